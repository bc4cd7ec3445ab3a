"""The state of a fit in and out of files: checkpoints, snapshots, best weights."""
