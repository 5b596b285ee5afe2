"""The command line: `python -m gateway VERB ...`, one function for each verb."""
