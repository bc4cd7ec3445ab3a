"""`profiler=auto`: a fixed rule, applied and logged when a run is planned.

The language model where there is an accelerator or few enough generations for a CPU; else the template. A profiler
requested by name is never replaced.
"""

from __future__ import annotations

from dataclasses import dataclass

from pte.profiler.loop.closed_loop import count_generations, legs
from pte.schema import require


@dataclass(frozen=True)
class Choice:
    """The option of the group `profiler` that auto stands for, and a sentence for the person watching."""

    option: str  # "transformers" or "template"
    sentence: str


class Auto:
    """The rule and what it hands on to the profiler it chooses; limit: generations that a CPU may be given."""

    def __init__(self, *, limit: int, num_candidates: int, rounds: int) -> None:
        require(limit >= 0, "profiler.limit", limit, "a number of generations, 0 or more")
        legs(rounds, num_candidates)
        self.limit, self.num_candidates, self.rounds = limit, num_candidates, rounds

    def choose(self, num_users: int, num_items: int, accelerator: bool) -> Choice:
        """transformers if there is an accelerator or its generations are within the limit, else template."""
        num_generations = count_generations(num_users, num_items, self.num_candidates, self.rounds)
        size = f"profiler=auto: {num_generations:,} generations"
        if accelerator or num_generations <= self.limit:
            why = "on an accelerator" if accelerator else f"at most {self.limit:,}, which a CPU can do"
            return Choice(
                "transformers", f"{size}, {why} -> profiler=transformers: a language model writes the profiles"
            )
        why = f"more than the {self.limit:,} that a CPU is given, and there is no accelerator"
        return Choice(
            "template",
            f"{size}, {why} -> profiler=template: NO LANGUAGE MODEL, texts are filled-in forms."
            " Type profiler=transformers to have a language model write them anyway",
        )
