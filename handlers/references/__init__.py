"""Find in the books what a sale refers to: customer, items, codes."""
