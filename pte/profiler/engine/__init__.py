"""How a language model is reached: local weights, the chat protocol, its keys, and the log of what it generated."""
