"""Both outside systems, each spoken to by a client whose rules are pure functions."""
