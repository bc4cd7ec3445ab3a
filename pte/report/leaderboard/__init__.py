"""`pte leaderboard`: every finished run there is, by data set and protocol."""
