"""Losses over items, and what they draw and compare."""
