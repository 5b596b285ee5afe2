"""Clients of both systems; their rules are pure functions."""
