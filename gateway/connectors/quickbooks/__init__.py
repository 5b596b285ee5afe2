"""The connector to QuickBooks Online: pure vendor rules, and a client that sends."""
