"""Chaos by a seed: trade while everything dies, then healing, draining, and a checker that reads three histories."""
