"""A finished run's model put to use: a list for a history, and a page to try it on."""
