"""A seeded month of trade at the simulated till: every kind of sale there is, corrected, returned, paid late."""
