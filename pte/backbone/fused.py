"""Three experts over one history, and gates between them: what reads well, what is alike, what was bought next.

    score(h, j) = g_r(h) reader(h)_j                                                 reader: any trained backbone
                + g_l(h) cos(u_h, z_j),       u_h = sum_l r^(steps of l back) z_{h_l}       likeness: of text vectors
                + g_m(h) (h M)_j / max_i (h M)_i                                         memory: training transitions
                + g_c(h) (h M X)_j / max_i (h M X)_i                                carried: memory for alike items
                + g_p(h) cos(p_u, z_j)                                                  profile: what is written of u
                + c_1 x_j + c_2 x_j^2                              how popular j is in training (expert/popularity)
                + r [j in h]                                                  whether users come back (expert/repeat)

The reader's logits stand for its log softmax: they differ by a number per history, which neither a ranking nor a gate's
likelihood sees. z are unit whitened text vectors, M is backbone=markov's similarity (its recency in h too), X the
cosines of each item's `neighbors` nearest texts: through X an item that nobody has bought inherits what is bought
before those like it. Likeness, memory and carried are each read twice, under gates of their own: with a recency that
sees little but the last items, and with `long_recency`, which sees a user's longer taste. p_u is the vector of user u's
own profile (expert/profile).

Gates of an expert e, g_e(h) = a_e + b_e log(length of h), are a conditional logit's weights (nn/statistic/logit): they
maximise the likelihood of training rows on which neither the reader nor the counts were fitted (protocol/withhold;
"Stacked generalization", Wolpert, 1992) in the softmax over each expert's best unseen `candidates`. Over the whole
catalogue the likelihood is that of thousands of items that no list would show, and the gates serve these. A handful of
numbers, none of which belongs to an item or a user; where rows are few they stay near fixed ones. Afterwards M counts
all rows.

`experts: [reader, likeness]` counts nothing, not even popularity, and with a reader of text alone nothing belongs to
one item: that is the claim "text only". Without the reader nothing is trained but the gates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pte.backbone.expert import gate, popularity, repeat
from pte.backbone.expert.likeness import Likeness, neighbor_matrix
from pte.backbone.expert.memory import Memory
from pte.backbone.expert.profile import Profile
from pte.nn.batch import History
from pte.nn.contract import Backbone
from pte.nn.item_matrix import ItemMatrix
from pte.nn.item_table import item_rows
from pte.nn.kernel.chunked_scoring import rows_a_part
from pte.nn.noise import Noise
from pte.schema import InputError, require

EXPERTS = ("reader", "likeness", "memory", "carried", "profile")
GATE_FEATURES = ("history_length", "popularity")  # gates' slopes; a candidate's own term, where an expert counts


class Expert(Protocol):
    """What is added to the reader's scores. decay: the weight of one step back in the history."""

    def score(self, history: History, decay: float) -> Tensor:
        """(B, N)."""
        ...

    def add_(self, scores: Tensor, history: History, gates: Tensor, decays: Sequence[float]) -> None:
        """scores (B, N) += the sum of gates (R, B) times the `score` of each of R decays, in place."""
        ...


Make = Callable[..., Any]  # a part's class with its knobs, waiting for what is known at run time


class Fused(nn.Module, Backbone):
    """The experts that `experts` names, and their gates."""

    uses_text = True
    stacked = True
    gate: Tensor  # (terms, 2) float64: a_e, b_e
    repeat: Tensor  # () float64: r
    popularity: Tensor | None  # (2,) float64: c_1, c_2; None: left out

    def __init__(
        self,
        *,
        representation: nn.Module,
        num_items: int,
        length: int,
        experts: Sequence[str],
        reader: Make | None,
        likeness: Make,
        profile: Make,
        memory: Make | None,
        neighbors: int,
        candidates: int,
        gate_features: Sequence[str] = (),
        long_recency: float | None = None,
    ) -> None:
        super().__init__()
        for knob, names, known in (("experts", experts, EXPERTS), ("gate_features", gate_features, GATE_FEATURES)):
            if unknown := [name for name in names if name not in known]:
                raise InputError(f"backbone.{knob}={list(names)}: {unknown[0]} is none of {', '.join(known)}")
        if not experts:
            raise InputError(f"backbone.experts is empty: name some of {', '.join(EXPERTS)}")
        for name, value in {"candidates": candidates, "neighbors": neighbors}.items():
            require(value >= 1, f"backbone.{name}", value, "give a whole number, 1 or more")
        if long_recency is not None:
            require(0 <= long_recency <= 1, "backbone.long_recency", long_recency, "give a number from 0 to 1, or null")
        self.long_recency = long_recency
        self.experts = [name for name in EXPERTS if name in experts]
        self.trained = "reader" in experts  # before anything is counted
        self.num_items, self.length, self.candidates = num_items, length, candidates
        self.neighbors, self.slopes = neighbors, "history_length" in gate_features
        self.make_likeness, self.make_profile = likeness, profile
        shared = {"representation": representation, "num_items": num_items}
        self.reader = _part("reader", reader, shared) if "reader" in experts else None
        self.memory = _part("memory", memory, shared) if self.counts else None
        self.likeness: Likeness | None = None
        self.carried: ItemMatrix | None = None
        self.profile: Profile | None = None
        self.register_buffer("gate", torch.zeros(len(self.terms), 2, dtype=torch.float64))
        self.register_buffer("repeat", torch.zeros((), dtype=torch.float64))
        popular = self.counts and "popularity" in gate_features
        self.register_buffer("popularity", torch.zeros(2, dtype=torch.float64) if popular else None)
        self.powers: Tensor | None = None  # (2, N): x and x^2, once counted

    @property
    def terms(self) -> list[str]:
        """What has a gate: the experts, those that are read with `long_recency` as well once more."""
        return [term for name in self.experts for term in (name, f"{name}_long")[: self._readings(name)]]

    def _readings(self, expert: str) -> int:
        return 1 if self.long_recency is None or expert in ("reader", "profile") else 2

    def _prior(self, expert: str) -> list[float]:
        """What an expert's gates stay near where cases are few."""
        readings = self._readings(expert)
        return [gate.PRIOR[expert] / readings] * readings

    @property
    def counts(self) -> bool:
        """Whether an expert reads training counts."""
        return "memory" in self.experts or "carried" in self.experts

    @classmethod
    def trains_reader(cls, knobs: Mapping[str, Any]) -> bool:
        return "reader" in (knobs.get("experts") or ())

    @classmethod
    def reads_users(cls, knobs: Mapping[str, Any]) -> bool:
        return "profile" in (knobs.get("experts") or ())

    def attach(self, item: Tensor | None, user: Tensor | None) -> None:
        """Receive the text vectors of items (N+1, D), row 0 for padding, and users (U, D), on the CPU."""
        if "likeness" in self.experts or "carried" in self.experts:
            self.likeness = self.make_likeness(item_rows(item, self.num_items, "fused"))
        if "profile" in self.experts:
            self.profile = self.make_profile(user, item_rows(item, self.num_items, "fused"))

    @property
    def free_per_item(self) -> int:
        """Trainable numbers of one item alone: the reader's. Counts, where there is a memory, are not in it."""
        return 0 if self.reader is None else self.reader.representation.free_per_item

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences for the memory: sequence s is item[start[s]:start[s+1]]. Leaves the gates."""
        if self.memory is None:
            return
        self.memory.fit(item, start)
        if self.popularity is not None:
            self.powers = popularity.powers(item, self.num_items).to(self.gate.device)
        if "carried" in self.experts:
            alike = neighbor_matrix(_ready(self.likeness, "attach").direction[1:], self.neighbors)
            self.carried = ItemMatrix((self.memory.similarity.csr @ alike).tocsr()).to(self.gate.device)

    def fit_gates(self, batches: Iterable[tuple[History, Tensor, Tensor]]) -> dict[str, Any]:
        """Fit the gates to batches (history, target (B,), exclusion (B, S)), whose targets no expert was fitted on.

        What it returns describes the fit. A case whose target is among no expert's best candidates teaches nothing
        of their order, and is left out.
        """
        choices, rows = [], 0
        for history, target, exclusion in batches:
            for part in torch.arange(len(target)).split(rows_a_part(self.num_items, target.device)):
                rows += len(part)
                some = history.rows(part)
                with torch.no_grad():
                    choices.append(
                        gate.choices(
                            self._experts(some, None), some, target[part], exclusion[part],
                            candidates=self.candidates, slopes=self.slopes, item=self.powers,
                        )
                    )  # fmt: skip
        fixed = [share for name in self.experts for share in self._prior(name)]
        fitted = gate.fit(choices, fixed, slopes=self.slopes)
        self.gate.copy_(fitted.value)
        named = {name: [round(float(g), 4) for g in row] for name, row in zip(self.terms, self.gate, strict=True)}
        likelihood = round(fitted.log_likelihood, 5)
        facts = {"gates": named, "gate_rows": rows, "gate_choices": fitted.choices, "gate_log_likelihood": likelihood}
        if self.popularity is None:
            return facts
        self.popularity.copy_(fitted.item)
        return facts | {"popularity": [round(float(c), 4) for c in self.popularity]}

    def fit_repeat(self, batches: Iterable[tuple[History, Tensor]], share: float) -> dict[str, Any]:
        """Fit r under fitted gates to (history, target (B,)) of nothing that repeats, on which no expert was fitted;
        share: of cases that do repeat, from 0 to 1.
        """
        self.repeat.zero_()
        log_odds, candidate = [], []
        best = self.candidates * len(self.terms)
        for history, target in batches:
            begin = 0
            for score in self.score_parts(history):
                rows = slice(begin, begin := begin + len(score))
                log_odds.append(repeat.odds(score, history.rows(rows), best))
                candidate.append(repeat.is_candidate(score, history.rows(rows), target[rows], best))
        covered = (float(torch.cat(candidate).sum()) + 0.5) / (sum(map(len, candidate)) + 1)
        self.repeat.fill_(repeat.offset(torch.cat(log_odds), share / (share + (1 - share) * covered)))
        facts = {"repeat": float(self.repeat), "repeat_share": share, "repeat_covered": covered}
        return {name: round(value, 6) for name, value in facts.items()}

    def _experts(self, history: History, noise: Noise) -> Iterator[Tensor]:
        """The (B, N) of each of `terms`, in its order."""
        if self.reader is not None:
            yield self.reader.score(history, noise=noise).float()
        for expert, decays in self._untrained():
            yield from (expert.score(history, decay) for decay in decays)

    def _untrained(self) -> Iterator[tuple[Expert, list[float]]]:
        """The other experts that `experts` names, in its order, and the decays each is read with."""
        longer = [] if self.long_recency is None else [self.long_recency]
        memory: Any = self.memory
        for name in self.experts[self.trained :]:
            if name == "likeness":
                likeness = _ready(self.likeness, "attach")
                yield likeness, [likeness.recency, *longer]
            elif name == "profile":
                yield _ready(self.profile, "attach"), [1.0]
            else:
                matrix = self.carried if name == "carried" else memory.similarity
                yield Memory(_ready(matrix, "fit")), [memory.recency, *longer]

    @torch.no_grad()
    def score_parts(self, history: History, *, noise: Noise = None) -> Iterator[Tensor]:
        """The gated sum, float32 (b, N) of the next few histories at a time; the reader reads all of them at once.

        A part lies where the last one lay.
        """
        begin, space = 0, None
        for part in self._reader_parts(history, noise):
            rows = slice(begin, begin := begin + len(part))
            some = history.rows(rows)
            with torch.autocast(part.device.type, enabled=False):  # rounded scores would tie
                gates = (self.gate[:, :1] + self.gate[:, 1:] * gate.log_length(some)).float()  # (terms, b)
                total = part
                if self.trained:
                    if space is None or space.shape != part.shape:
                        space = torch.empty_like(part, dtype=torch.float32)
                    total = torch.mul(part.float(), gates[0, :, None], out=space)
                begin_gate = int(self.trained)
                for expert, decays in self._untrained():
                    expert.add_(total, some, gates[begin_gate : begin_gate + len(decays)], decays)
                    begin_gate += len(decays)
                if self.popularity is not None:
                    total += self.popularity.float() @ _ready(self.powers, "fit")
                own = repeat.places(some)
                total.scatter_(1, own, total.gather(1, own) + self.repeat.float())
            yield total

    def _reader_parts(self, history: History, noise: Noise) -> Iterator[Tensor]:
        """The reader's scores (b, N), zeros where there is none."""
        if self.reader is not None:
            yield from self.reader.score_parts(history, noise=noise)
            return
        for part in history.item.split(rows_a_part(self.num_items, history.item.device)):
            yield torch.zeros(len(part), self.num_items, device=part.device)

    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N): the gated sum, float32."""
        return torch.cat([part.clone() for part in self.score_parts(history, noise=noise)])


def _part(name: str, make: Make | None, shared: Mapping[str, Any]) -> Any:
    """An expert from its class and knobs; InputError where something is missing."""
    if make is None:
        raise InputError(f"backbone.experts names {name}, but backbone.{name} says nothing of it")
    return make(**shared)


def _ready(part: Any, verb: str) -> Any:
    if part is None:
        raise RuntimeError(f"{verb} comes before score")
    return part
