"""What happens between machines that are all well: a network that is slow, silent, cut or lossy, on order."""
