"""The verbs of the command line, a few per module; each is a function from a `Call` to an exit code."""
