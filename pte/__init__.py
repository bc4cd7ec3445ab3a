"""Profile-then-Embedding: can text written by a language model replace ID embeddings in recommendation?"""

from typing import Any

__version__ = "0.3.0"


def __getattr__(name: str) -> Any:
    """`pte.run(...)` without `import pte.run`: imported on request, so that `import pte` costs nothing."""
    if name == "run":
        from importlib import import_module

        return import_module("pte.run")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
