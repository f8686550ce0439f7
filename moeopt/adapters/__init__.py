"""Doors to running systems: engines, workers, clouds."""
