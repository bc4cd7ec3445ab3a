"""`profiler=auto`: a fixed rule, applied when a run is planned, that says what it chose and why.

The language model where there is an accelerator or few enough generations for a CPU; else the template. A profiler
asked for by name is never replaced.
"""

from __future__ import annotations

from dataclasses import dataclass

from pte.profiler.loop import count_generations

__all__ = ["Choice", "count_generations", "resolve_auto"]


@dataclass(frozen=True)
class Choice:
    """The option of the group `profiler` that auto stands for, and a sentence for the person watching."""

    option: str  # "transformers" or "template"
    sentence: str


def resolve_auto(num_generations: int, accelerator: bool, limit: int) -> Choice:
    """transformers if there is an accelerator or num_generations <= limit, else template."""
    size = f"profiler=auto: {num_generations:,} generations"
    if accelerator:
        return Choice(
            "transformers", f"{size} on an accelerator -> profiler=transformers: a language model writes them"
        )
    if num_generations <= limit:
        why = f"at most {limit:,}, which a CPU can do"
        return Choice("transformers", f"{size}, {why} -> profiler=transformers: a language model writes the profiles")
    why = f"more than the {limit:,} that a CPU does in about ten minutes, and there is no accelerator"
    return Choice(
        "template",
        f"{size}, {why} -> profiler=template: NO LANGUAGE MODEL, texts are filled-in forms."
        " Type profiler=transformers to have a language model write them anyway",
    )
