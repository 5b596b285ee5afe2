"""The memory: SQL and transactions, as functions named by intent. Touches no network but the database's."""
