"""What trains a module: LightningModules, loaders, checkpoints, early stopping, loggers."""
