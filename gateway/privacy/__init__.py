"""Data protection: how a person is recognised, exported and erased, and what is deleted by age or on removal."""
