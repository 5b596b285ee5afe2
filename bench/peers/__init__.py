"""Our ingest and work beside that of others, with the same wire and the same promise: `python -m bench.peers`."""
