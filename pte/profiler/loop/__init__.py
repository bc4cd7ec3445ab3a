"""The closed loop, what it asks again, and what came of it."""
