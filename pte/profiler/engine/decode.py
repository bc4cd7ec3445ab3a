"""Continuing K candidates from one prompt: prefill once, draw by inverse CDF, drop finished rows.

Row r of a batch continues prefix[row_prefix[r]] + lead[r]: candidates of one entity share their prefix (instruction and
data) and may begin differently (the lead). Where a model's attention can be exchanged, a prefix stays in the cache once
for all its rows (pte/profiler/cache/prefix.py), else each has a copy. Every row draws its own numbers in [0, 1), one
per step, so what it says does not depend on who shares its batch (up to rounding of the model's arithmetic).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from pte.profiler.base import Watch
from pte.profiler.cache.layer import ReservedLayer, caches, joined_right, shares_prompts
from pte.profiler.cache.prefix import PREFIXES, Prefixes
from pte.profiler.engine.chat import check_draws
from pte.schema import InputError, require

PREFILL = 2048  # tokens of prefixes that are read at once: more leave the processor's cache


class Decoding:
    """How completions are drawn; all of it is part of a generation's key."""

    def __init__(
        self,
        *,
        temperatures: Sequence[float],
        top_k: int,
        top_p: float,
        repetition_penalty: float,
        max_new_tokens: int,
    ) -> None:
        check_draws(temperatures, top_p, max_new_tokens)
        require(top_k >= 1, "profiler.decoding.top_k", top_k, "give 1 or more")
        above = "give a number above 0; 1 is no penalty"
        require(repetition_penalty > 0, "profiler.decoding.repetition_penalty", repetition_penalty, above)
        self.temperatures = [float(t) for t in temperatures]
        self.top_k, self.top_p = top_k, top_p
        self.repetition_penalty, self.max_new_tokens = repetition_penalty, max_new_tokens

    def holding(self, tokens: int) -> Decoding:
        """The same with room for answers of so many tokens."""
        return Decoding(**{**vars(self), "max_new_tokens": max(self.max_new_tokens, tokens)})

    def identity(self) -> dict[str, Any]:
        """What two generations must share to be draws from one distribution, the temperature apart."""
        return {name: value for name, value in vars(self).items() if name != "temperatures"}


@dataclass(frozen=True)
class Rows:
    """R rows to continue from P prefixes; row_prefix: (R,) int64, temperature: (R,), uniform: (R, T) in [0, 1)."""

    prefixes: Sequence[Sequence[int]]
    row_prefix: Tensor
    leads: Sequence[Sequence[int]]
    temperature: Tensor
    uniform: Tensor


def draw(logits: Tensor, decoding: Decoding, *, temperature: Tensor, uniform: Tensor) -> Tensor:
    """The token at which the CDF of the kept tokens passes `uniform`; logits (R, V), temperature, uniform (R,) -> (R,).

    Kept: the `top_k` likeliest at this temperature, of them the fewest that hold `top_p` (Holtzman et al. 2020).
    Temperature 0 takes the likeliest.
    """
    value, token = logits.float().topk(min(decoding.top_k, logits.shape[-1]))
    if not value[:, 0].isfinite().all():  # topk takes NaN for the largest
        raise InputError("profiler.model gave logits that are not finite: type profiler.dtype=float32")
    p = (value / temperature.clamp(min=1e-4)[:, None]).softmax(-1)
    p = p * (p.cumsum(-1) - p < decoding.top_p)
    cdf = p.cumsum(-1)
    place = (uniform[:, None] * cdf[:, -1:] >= cdf).sum(-1).clamp(max=value.shape[-1] - 1)
    place = torch.where(temperature > 0, place, torch.zeros_like(place))
    return token.gather(1, place[:, None])[:, 0]


def penalised(logits: Tensor, previous: Tensor, penalty: float) -> Tensor:
    """Repeated tokens lose: l / penalty if l > 0, else l * penalty (CTRL, Keskar et al. 2019). previous: (R, t)."""
    if penalty == 1.0 or previous.shape[1] == 0:
        return logits
    value = logits.gather(1, previous)
    return logits.scatter(1, previous, torch.where(value > 0, value / penalty, value * penalty))


_READS_PREFIXES: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()  # by model


@torch.inference_mode()
def reads_prefixes(model: Any) -> bool:
    """Whether every layer attends to `Prefixes`, and the model answers with them as it does without; tried once.

    model: one that `shares_prompts`; if so it attends by `PREFIXES` from then on.
    """
    if model not in _READS_PREFIXES:
        _READS_PREFIXES[model] = model.config._attn_implementation == "sdpa" and _try_prefixes(model)
    return _READS_PREFIXES[model]


def _try_prefixes(model: Any) -> bool:
    leads = [[1], [2, 3], [4]]
    rows = Rows([[1, 2, 3], [1, 4]], torch.tensor([0, 1, 0]), leads, torch.zeros(3), torch.zeros(3, 1))
    plain = Continuation(model, rows, pad=0, extra=1, shared=False).logits.float()
    model.set_attn_implementation(PREFIXES)
    try:
        flight = Continuation(model, rows, pad=0, extra=1, shared=True)
    except (TypeError, ValueError, AttributeError):  # a signature or an attention of its own
        flight = None
    whole = flight and flight.prefixes and len(flight.prefixes.read) == len(flight.prefixes.layers)
    if flight and whole and (flight.logits.float() - plain).norm() <= 0.02 * plain.norm():  # bfloat16 rounds at .004
        return True
    model.set_attn_implementation("sdpa")
    return False


def padded_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """(R, longest) tokens and their 0/1 mask."""
    longest = max(map(len, rows))
    tokens = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return tokens, mask


def shared_length(rows: Sequence[Sequence[int]]) -> int:
    """How many first tokens all rows share, short of any row's last one."""
    first, last = min(map(tuple, rows)), max(map(tuple, rows))
    limit = min(map(len, rows)) - 1
    return next((i for i in range(limit) if first[i] != last[i]), limit)


def portions(rows: Sequence[Sequence[int]], tokens: int) -> Iterator[Sequence[Sequence[int]]]:
    """The rows in their order, so many at a time that their number times the longest is at most `tokens`."""
    first = 0
    for last in range(1, len(rows) + 1):
        if last == len(rows) or (last + 1 - first) * max(map(len, rows[first : last + 1])) > tokens:
            yield rows[first:last]
            first = last


def unwatched(tokens: int, share: float) -> None:
    """Nobody looks on."""


class Continuation:
    """A batch of rows in flight: the model's cache, the attention mask and how far each row is."""

    def __init__(
        self, model: Any, rows: Rows, *, pad: int, extra: int, shared: bool | None = None, watch: Watch = unwatched
    ) -> None:
        """extra: tokens to come; shared: whether prefixes stay in the cache once (None: where the model can)."""
        self.model, self.device, self.watch = model, model.device, watch
        self.cache: Any = None
        self.prefixes: Prefixes | None = None
        self.before = torch.zeros(1, 1, dtype=torch.long, device=self.device)  # tokens of a row's prefix, (R, 1)
        self.mask = torch.ones(1, 0, dtype=torch.long, device=self.device)
        self.caches = caches(model)
        self.tokens = torch.zeros(len(rows.leads), 0, dtype=torch.long, device=self.device)  # where nothing is cached
        if self.caches and shares_prompts(model):
            self._fill_prefixes(rows.prefixes, pad)
            lead, mask = padded_left(rows.leads, pad)
            row_prefix, room = rows.row_prefix.to(self.device), lead.shape[1] + extra
            if reads_prefixes(model) if shared is None else shared:
                self._part(row_prefix, room)
            else:
                self._take(row_prefix)
                self._reserve(room)
            self.logits = self._feed(lead, mask)
        else:
            whole = [
                [*rows.prefixes[prefix], *lead]
                for prefix, lead in zip(rows.row_prefix.tolist(), rows.leads, strict=True)
            ]
            self.mask = self.mask.expand(len(whole), -1)
            self.logits = self._feed(*padded_left(whole, pad))

    def _fill_prefixes(self, prefixes: Sequence[Sequence[int]], pad: int) -> None:
        """What all prefixes share once, then the rest of every prefix, some at a time; padding stands on the left."""
        shared = shared_length(prefixes)
        if shared:
            self._feed(torch.tensor([list(prefixes[0][:shared])]), torch.ones(1, shared, dtype=torch.long))
        first = [(layer.keys, layer.values) for layer in self.cache.layers] if shared else []
        parts = []
        for some in portions(prefixes, PREFILL):
            self.mask = self.mask.new_ones(len(some), shared)
            self.cache = None
            if shared:
                self.cache = DynamicCache()
                for place, pair in enumerate(first):
                    self.cache.update(*(x.expand(len(some), -1, -1, -1) for x in pair), place)
            self._feed(*padded_left([prefix[shared:] for prefix in some], pad))
            self.watch(0, 0.0)
            parts.append((self.cache.layers, self.mask))
        self.mask = joined_right([mask[:, None, :, None] for _, mask in parts])[:, 0, :, 0]
        for place, layer in enumerate(self.cache.layers):
            layer.keys = joined_right([layers[place].keys for layers, _ in parts])
            layer.values = joined_right([layers[place].values for layers, _ in parts])

    def _part(self, row_prefix: Tensor, room: int) -> None:
        """Leave the prefixes as they are, once; from here on the cache holds each row's own tokens."""
        self.prefixes = Prefixes([(layer.keys, layer.values) for layer in self.cache.layers], self.mask, row_prefix)
        self.before = self.mask.sum(1)[row_prefix, None]
        self.mask = self.mask.new_ones(len(row_prefix), 0)
        self.cache = DynamicCache()
        empty = [(k[row_prefix, :, :0], v[row_prefix, :, :0]) for k, v in self.prefixes.layers]
        self.cache.layers = [ReservedLayer(keys, values, room) for keys, values in empty]

    def _reserve(self, extra: int) -> None:
        """Room for `extra` tokens in every layer."""
        self.cache.layers = [ReservedLayer(layer.keys, layer.values, extra) for layer in self.cache.layers]

    def _feed(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Run the model on (R, n) new tokens; logits after the last of them, (R, V)."""
        tokens, mask = tokens.to(self.device), mask.to(self.device)
        position = self.before + self.mask.sum(1, keepdim=True) + mask.cumsum(1) - 1
        self.mask = torch.cat([self.mask, mask], 1)
        if not self.caches:
            self.tokens = torch.cat([self.tokens, tokens], 1)  # all is read anew: slow, and right
            logits: Tensor = self.model(input_ids=self.tokens, attention_mask=self.mask, use_cache=False).logits
            return logits[:, -1]
        out = self.model(
            input_ids=tokens,
            attention_mask=self.mask,
            position_ids=position.clamp(min=0),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
            **({"prefixes": self.prefixes} if self.prefixes else {}),
        )
        self.cache, logits = out.past_key_values, out.logits
        return logits[:, -1]

    def _take(self, rows: Tensor) -> None:
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]
        if self.prefixes:
            self.before = self.before[rows]
            self.prefixes.take(rows)

    def step(self, tokens: Tensor) -> None:
        """Feed the tokens drawn, (R,)."""
        self.logits = self._feed(tokens[:, None], torch.ones_like(tokens[:, None]))

    def keep(self, rows: Tensor) -> bool:
        """Go on with these rows alone, where the cache can leave rows behind (one that carries a state cannot)."""
        if not self.caches:
            self.tokens, self.mask = self.tokens[rows], self.mask[rows]
            return True
        if not all(isinstance(layer, DynamicLayer) for layer in self.cache.layers):
            return False
        self._take(rows)
        return True


@torch.inference_mode()
def continue_rows(
    model: Any,
    rows: Rows,
    *,
    stops: Callable[[int, int], bool],
    pad: int,
    decoding: Decoding,
    watch: Watch = unwatched,
) -> list[list[int]]:
    """New tokens of every row, R lists of at most T. `stops(row, token)` says that the row ends with this token."""
    steps = rows.uniform.shape[1]
    flight = Continuation(model, rows, pad=pad, extra=steps, watch=watch)
    temperature, uniform = rows.temperature.to(flight.device), rows.uniform.to(flight.device)
    previous = torch.empty(len(rows.leads), 0, dtype=torch.long, device=flight.device)
    texts: list[list[int]] = [[] for _ in rows.leads]
    alive = list(range(len(rows.leads)))  # the row behind each row of the batch
    ended: set[int] = set()
    for step in range(steps):
        logits = penalised(flight.logits, previous, decoding.repetition_penalty)
        token = draw(logits, decoding, temperature=temperature, uniform=uniform[:, step])
        for row, value in zip(alive, token.tolist(), strict=True):
            if row not in ended:
                texts[row].append(value)
                if stops(row, value):
                    ended.add(row)
        live = [i for i, row in enumerate(alive) if row not in ended]
        watch(sum(map(len, texts)), 1 - len(live) / len(texts) * (1 - (step + 1) / steps))
        if not live or step == steps - 1:
            break
        previous = torch.cat([previous, token[:, None]], 1)
        rest = torch.tensor(live, device=flight.device)
        if len(live) <= 0.75 * len(alive) and flight.keep(rest):  # a smaller batch is worth its copy
            temperature, uniform, previous, token = temperature[rest], uniform[rest], previous[rest], token[rest]
            alive = [alive[i] for i in live]
        flight.step(token)
    return texts
