"""What a sale only names, found in the books: customer, items, codes."""
