"""Items and categories of the books become articles and groups of the till."""
