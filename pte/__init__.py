"""Profile-then-Embedding: can text written by a language model replace ID embeddings in recommendation?"""

__version__ = "0.2.0"
