"""Classes of one's own for pte, in a folder that pte knows nothing of."""
