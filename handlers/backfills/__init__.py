"""Load records from before the connection, page by page, at the lowest priority."""
