"""`pte compare`: several finished runs as one table with tests, in every format, and a page."""
