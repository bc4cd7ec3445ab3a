"""Three experts over one history, and gates between them: what reads well, what is alike, what was bought next.

    score(h, j) = g_r(h) reader(h)_j                                                 reader: any trained backbone
                + g_l(h) cos(u_h, z_j),       u_h = sum_l r^(steps of l back) z_{h_l}       likeness: of text vectors
                + g_m(h) (h M)_j / max_i (h M)_i                                         memory: training transitions
                + g_c(h) (h M X)_j / max_i (h M X)_i                                carried: memory for alike items

The reader's logits stand for its log softmax: they differ by a number per history, which neither a ranking nor a gate's
likelihood sees. z are unit whitened text vectors, M is backbone=markov's similarity (its recency in h too), X the
cosines of each item's `neighbors` nearest texts: through X an item that nobody has bought inherits what is bought
before those like it.

Gates of an expert e, g_e(h) = a_e + b_e log(length of h), are a conditional logit's weights (nn/statistic/logit): they
maximise the likelihood of training rows on which neither the reader nor the counts were fitted (protocol/withhold;
"Stacked generalization", Wolpert, 1992) in the softmax over each expert's best unseen `candidates`. Over the whole
catalogue the likelihood is that of thousands of items that no list would show, and the gates serve these. A handful of
numbers, none of which belongs to an item or a user; where rows are few they stay near fixed ones. Afterwards M counts
all rows.

`experts: [reader, likeness]` counts nothing, and with a reader of text alone nothing belongs to one item: that is the
claim "text only". Without the reader nothing is trained but the gates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from pte.nn.batch import History
from pte.nn.item_matrix import ItemMatrix, recency
from pte.nn.item_table import item_rows, padded
from pte.nn.kernel.chunked_scoring import rows_a_part, scored
from pte.nn.noise import Source
from pte.nn.statistic import logit
from pte.nn.statistic.neighbor import nearest
from pte.nn.statistic.whitening import whitened
from pte.schema import InputError

EXPERTS = ("reader", "likeness", "memory", "carried")
# Where few rows are left to fit on, the gates stay near these; ours: constants that did best on Toys' validation users.
PRIOR = {"reader": 1.0, "likeness": 6.0, "memory": 6.0, "carried": 0.0}
PRIOR_WEIGHT = 0.5  # ridge towards them, shared by all cases: a tenth of a likeness's curvature at 100 cases
SLOPE_CHOICES = 50  # cases a gate needs before it may vary with the length of the history

Make = Callable[..., Any]  # a part's class with its knobs, waiting for `representation` and `num_items`


class Likeness(nn.Module):
    """Cosine of an item's text with a recency-weighted history of texts."""

    direction: Tensor  # (N+1, d) unit rows, row 0 zeros

    def __init__(self, vectors: Tensor, *, recency: float, components: int | None, eps: float) -> None:
        """vectors: (N, D) text vectors; components: principal axes kept, None keeps all that vary."""
        super().__init__()
        if not 0 <= recency <= 1:
            raise InputError(f"backbone.likeness.recency={recency}: it is the weight of one step back, so from 0 to 1")
        width = min(vectors.shape[1], len(vectors) - 1) if components is None else components
        if not 1 <= width <= vectors.shape[1]:
            raise InputError(
                f"backbone.likeness.components={components}: type a number from 1 to {vectors.shape[1]}, or null"
            )
        self.recency = recency
        self.register_buffer("direction", padded(F.normalize(whitened(vectors, width, eps), dim=1)), persistent=False)

    def score(self, history: History) -> Tensor:
        """(B, N) in -1..1."""
        weight = recency(history.item, history.length, self.recency)
        user = F.embedding_bag(history.item, self.direction, mode="sum", per_sample_weights=weight)
        return (self.direction[1:] @ F.normalize(user, dim=1).T).T  # items first in memory, as a reader's products


class Fused(nn.Module):
    """The experts that `experts` names, and their gates."""

    uses_text = True
    gate: Tensor  # (experts, 2) float64: a_e, b_e

    def __init__(
        self,
        *,
        representation: nn.Module,
        num_items: int,
        length: int,
        experts: Sequence[str],
        reader: Make | None,
        likeness: Mapping[str, Any],
        memory: Make | None,
        neighbors: int,
        candidates: int,
        history_gate: bool,
        ridge: float,
    ) -> None:
        super().__init__()
        if unknown := [name for name in experts if name not in EXPERTS]:
            raise InputError(f"backbone.experts={list(experts)}: {unknown[0]} is none of {', '.join(EXPERTS)}")
        if not experts:
            raise InputError(f"backbone.experts is empty: name some of {', '.join(EXPERTS)}")
        least = {"candidates": candidates, "neighbors": neighbors}
        for name, value in least.items():
            if value < 1:
                raise InputError(f"backbone.{name}={value}: give a whole number, 1 or more")
        if ridge <= 0:
            raise InputError(f"backbone.ridge={ridge}: give a number above 0, such as 1e-6")
        self.experts = [name for name in EXPERTS if name in experts]
        self.num_items, self.length, self.candidates = num_items, length, candidates
        self.neighbors, self.history_gate, self.ridge = neighbors, history_gate, ridge
        self.knobs = dict(likeness)
        shared = {"representation": representation, "num_items": num_items}
        self.reader = _part("reader", reader, shared) if "reader" in experts else None
        self.memory = _part("memory", memory, shared) if self.counts else None
        self.likeness: Likeness | None = None
        self.carried: ItemMatrix | None = None
        self.register_buffer("gate", torch.zeros(len(self.experts), 2, dtype=torch.float64))

    @property
    def trained(self) -> bool:
        """Whether there is a reader, which is trained before anything is counted."""
        return "reader" in self.experts

    @property
    def counts(self) -> bool:
        """Whether an expert reads training counts."""
        return "memory" in self.experts or "carried" in self.experts

    def attach(self, vectors: Tensor | None) -> None:
        """Hand it the items' text vectors (N+1, D), row 0 for padding, before it is moved to a device."""
        if "likeness" in self.experts or "carried" in self.experts:
            self.likeness = Likeness(item_rows(vectors, self.num_items, "fused"), **self.knobs)

    @property
    def free_per_item(self) -> int:
        """Trainable numbers of one item alone: the reader's. Counts, where there is a memory, are not in it."""
        return 0 if self.reader is None else self.reader.representation.free_per_item

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences for the memory: sequence s is item[start[s]:start[s+1]]. Leaves the gates."""
        if self.memory is None:
            return
        self.memory.fit(item, start)
        if "carried" in self.experts:
            alike = neighbor_matrix(_ready(self.likeness, "attach").direction[1:], self.neighbors)
            self.carried = ItemMatrix((self.memory.similarity.matrix() @ alike).tocsr()).to(self.gate.device)

    def fit_gates(self, batches: Iterable[tuple[History, Tensor, Tensor]]) -> dict[str, Any]:
        """Fit the gates to batches (history, target (B,), exclusion (B, S)), whose targets no expert was fitted on.

        What it returns describes the fit. A case whose target is among no expert's best candidates teaches nothing
        of their order, and is left out.
        """
        choices, rows = [], 0
        for history, target, exclusion in batches:
            for part in torch.arange(len(target)).split(rows_a_part(self.num_items, target.device)):
                rows += len(part)
                some = History(history.item[part], history.length[part])
                choices.append(self._choices(some, target[part], exclusion[part]))
        count = sum(len(choice.target) for choice in choices)
        if count == 0:
            raise InputError("backbone=fused: no training row is left to fit its gates on; take another backbone")
        terms = 2 if self.history_gate and count >= SLOPE_CHOICES * len(self.experts) else 1
        size = terms * len(self.experts)
        parts = [replace(choice, feature=choice.feature[:size]) for choice in choices]
        prior = torch.zeros(size, dtype=torch.float64)
        prior[: len(self.experts)] = torch.tensor([PRIOR[name] for name in self.experts], dtype=torch.float64)
        ridge = self.ridge + PRIOR_WEIGHT / count
        theta, value = logit.fit(lambda: parts, size, ridge=ridge, prior=prior)
        self.gate.zero_()
        self.gate[:, :terms] = theta.view(-1, len(self.experts)).T.to(self.gate)
        named = {name: [round(float(g), 4) for g in row] for name, row in zip(self.experts, self.gate, strict=True)}
        return {"gates": named, "gate_rows": rows, "gate_choices": count, "gate_log_likelihood": round(value, 5)}

    @torch.no_grad()
    def _choices(self, history: History, target: Tensor, exclusion: Tensor) -> logit.Choices:
        """The experts' scores of the best candidates of each, (experts, B, C), where the target is one of them."""
        excluded = torch.zeros(len(target), self.num_items + 1, dtype=torch.bool, device=target.device)
        excluded = excluded.scatter_(1, exclusion, True)[:, 1:]
        scores = [score.masked_fill(excluded, -torch.inf) for score in self._experts(history, None)]
        best = min(self.candidates, self.num_items)
        column = torch.cat([score.topk(best, dim=1).indices for score in scores], dim=1).sort(dim=1).values
        absent = excluded.gather(1, column)
        absent[:, 1:] |= column[:, 1:] == column[:, :-1]  # several experts' candidate is one candidate
        own = (column == target[:, None] - 1) & ~absent
        row = own.any(dim=1).nonzero()[:, 0]
        features = torch.stack([score[row].gather(1, column[row]).masked_fill(absent[row], 0.0) for score in scores])
        if self.history_gate:
            features = torch.cat([features, features * log_length(history)[row, None]])
        return logit.Choices(features, own[row].int().argmax(dim=1), absent[row])

    def _experts(self, history: History, noise: Source) -> Iterator[Tensor]:
        """Each expert's (B, N), in the order of `experts`."""
        if self.reader is not None:
            yield self.reader.score(history, noise=noise).float()
        yield from self._untrained(history)

    def _untrained(self, history: History) -> Iterator[Tensor]:
        """(B, N) of likeness, memory and carried memory, as far as `experts` names them."""
        for name in self.experts[self.trained :]:
            if name == "likeness":
                yield _ready(self.likeness, "attach").score(history)
            else:
                memory = _ready(self.memory, "fit")
                matrix = self.carried if name == "carried" else memory.similarity
                weight = recency(history.item, history.length, memory.recency)
                yield _over_largest(_ready(matrix, "fit")(history.item, weight))

    @torch.no_grad()
    def score_parts(self, history: History, *, noise: Source = None) -> Iterator[Tensor]:
        """The gated sum, float32 (b, N) of the next few histories at a time; the reader reads all of them at once."""
        begin = 0
        for part in self._reader_parts(history, noise):
            rows = slice(begin, begin := begin + len(part))
            some = History(history.item[rows], history.length[rows])
            with torch.autocast(part.device.type, enabled=False):  # rounded scores would tie
                gate = (self.gate[:, :1] + self.gate[:, 1:] * log_length(some)).float()  # (experts, b)
                total = part.float() * gate[0, :, None] if self.trained else part
                for weight, score in zip(gate[self.trained :], self._untrained(some), strict=True):
                    total.addcmul_(weight[:, None], score)
            yield total

    def _reader_parts(self, history: History, noise: Source) -> Iterator[Tensor]:
        """The reader's scores (b, N), zeros where there is none."""
        if self.reader is not None:
            yield from scored(self.reader, history, noise)
            return
        for part in history.item.split(rows_a_part(self.num_items, history.item.device)):
            yield torch.zeros(len(part), self.num_items, device=part.device)

    def score(self, history: History, *, noise: Source = None) -> Tensor:
        """(B, N): the gated sum, float32."""
        return torch.cat(list(self.score_parts(history, noise=noise)))


def log_length(history: History) -> Tensor:
    """(B,) natural logarithm of how many items are read, at least 1."""
    return history.length.float().log()


def neighbor_matrix(direction: Tensor, count: int) -> sparse.csr_array:
    """(N, N): cosines of unit rows (N, d) with their `count` nearest, nothing below 0, rows summing to 1."""
    near = nearest(direction, count, len(direction))
    cosine = torch.einsum("nd,nkd->nk", direction, direction[near]).clamp_min(0)
    share = (cosine / cosine.sum(dim=1, keepdim=True).clamp_min(1e-12)).cpu().numpy()
    row = np.repeat(np.arange(len(direction)), near.shape[1])
    place = (row, near.cpu().numpy().ravel())
    return sparse.csr_array((share.ravel(), place), shape=(len(direction), len(direction)))


def _part(name: str, make: Make | None, shared: Mapping[str, Any]) -> Any:
    """An expert from its class and knobs, or a word on what is missing."""
    if make is None:
        raise InputError(f"backbone.experts names {name}, but backbone.{name} says nothing of it")
    return make(**shared)


def _ready(part: Any, verb: str) -> Any:
    if part is None:
        raise RuntimeError(f"{verb} comes before score")
    return part


def _over_largest(score: Tensor) -> Tensor:
    """Rows (B, N) of nothing negative over their largest entry; a row of zeros stays."""
    return score / score.amax(dim=1, keepdim=True).clamp_min(1e-12)
