"""A sale of the till becomes a document of the books, and the document follows later changes."""
