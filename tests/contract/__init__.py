"""Probes: questions nobody could answer from public text, asked of a test company and a test installation."""
