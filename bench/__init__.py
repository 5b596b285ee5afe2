"""Benchmarks, each a program of its own: they show the bars, they are no tests."""
