"""What was there before the connection, page by page, behind all else."""
