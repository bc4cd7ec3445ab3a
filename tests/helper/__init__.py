"""What several rooms of tests share: small models, tables, contexts of stages, finished runs."""
