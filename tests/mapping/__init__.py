"""Tests of the pure mapping core."""
