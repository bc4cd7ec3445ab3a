"""Causal encoders of histories: attention, its variants, recurrence; and the contract that a backbone builds on."""
