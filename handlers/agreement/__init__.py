"""Till and books compared, every cent explained by record."""
