"""Quantities of the books become stock of the till."""
