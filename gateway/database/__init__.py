"""The database itself: engines and transactions, SQL of both dialects, secrets at rest. Knows no table."""
