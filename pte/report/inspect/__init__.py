"""Single runs looked into: their artefacts found, taken out by the user's own ids, and one entity shown."""
