"""What lies in a store, which runs use it, and what nobody needs."""
