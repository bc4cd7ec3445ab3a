"""What prompts and templates tell of an entity: its own rows, what is alike, plain words where there is no profile."""
