"""A sale of the till becomes a document of the books, and stays right afterwards."""
