"""Inference engines: their interfaces and formats."""
