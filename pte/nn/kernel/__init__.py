"""Fast paths. Each names the plain reference it equals and the test that compares them."""
