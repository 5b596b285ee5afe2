"""Pure translation between the books and the till: no I/O, no clock, no randomness."""
