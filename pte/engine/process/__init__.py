"""The processes of a run: how many, started, watched and ended together."""
