"""The use cases: one file per flow, each the order of its steps. Knows the business, imports no library."""
