"""What prompts and templates state of an entity: its rows, its neighbours, metadata where it has no profile."""
