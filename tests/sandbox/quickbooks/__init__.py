"""Tests of the QuickBooks Online simulator, with clients that nobody here wrote."""
