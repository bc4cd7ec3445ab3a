"""One question to a language model, and how much evidence it shows.

A prompt is `instruction`, `data`, `ask` (where there is one) and `lead`, with blank lines between. The model continues
the lead ("It suits people who like"), which keeps a small model on its subject and makes the forms differ; the forms of
one entity that show the same evidence share everything before the lead, so that it is computed once. The words are
those of a style (text/style.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from pte.schema import require


@dataclass(frozen=True)
class Prompt:
    """One question; `text` is what is stored and what the model reads (around it, its chat template)."""

    form: str
    instruction: str
    data: str
    lead: str
    ask: str = ""  # a request of this form alone, after the evidence

    def prefix(self, lines: int | None = None) -> str:
        """The prompt up to the lead, with the first `lines` of the evidence; None: all."""
        data = self.data if lines is None else "\n".join(self.data.split("\n")[:lines])
        return "\n\n".join([self.instruction, data, self.ask] if self.ask else [self.instruction, data])

    @property
    def text(self) -> str:
        return f"{self.prefix()}\n\n{self.lead}"


def lead_of(text: str) -> str:
    """The lead of a prompt by its text."""
    return text.rpartition("\n\n")[2]


MOST = 10_000  # of each kind of evidence: more than any model reads


@dataclass(frozen=True)
class Evidence:
    """How much a prompt shows, and how far what the candidates of one entity see differs.

    Prompts are the cost on a CPU, so all of it is short there. Candidate 0 sees the evidence as it is; the others see a
    draw of it by the profiler's seed, of which an entity's latest two rows are always part.
    """

    history: int = 6  # a user's latest items
    similar_users: int = 2
    companions: int = 4  # items often chosen with an item, and with a user's
    choosers: int = 3  # users who chose an item
    brief: int = 80  # characters of another entity's profile
    keep: float = 1.0  # chance that an older row of the history is shown; 1 = all
    jitter: int = 0  # places by which rows may pass each other; 0 = in order
    pool: int = 1  # others are drawn from so many times as many nearest; 1 = the nearest themselves

    def __post_init__(self) -> None:
        require(0 < self.keep <= 1, "profiler.evidence.keep", self.keep, "give a number above 0, 1 at most")
        for name in ("history", "similar_users", "companions", "choosers", "brief", "jitter", "pool"):
            least = int(name in ("history", "pool"))
            value = getattr(self, name)
            require(least <= value <= MOST, f"profiler.evidence.{name}", value, f"give {least} to {MOST}")

    @property
    def varies(self) -> bool:
        """Whether candidates see different evidence."""
        return self.keep < 1 or self.jitter > 0 or self.pool > 1
