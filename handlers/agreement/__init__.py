"""Compare till and books; every cent of difference is explained by a record."""
