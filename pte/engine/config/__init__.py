"""The configuration as a person types it: composed, searched for secrets and idle knobs, explained by --help."""
