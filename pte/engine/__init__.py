"""A run from its configuration to its folder: plan, build, launch, pipeline, provenance."""
