"""One finished run on a page of its own."""
