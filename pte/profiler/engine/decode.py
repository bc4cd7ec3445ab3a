"""Continuing K candidates from one prompt: prefill once, attend to it together, draw by inverse CDF, drop finished rows.

Row r of a batch continues stem[row_stem[r]] + lead[r]: candidates of one entity share their stem (instruction and
data) and may begin differently (the lead). Where a model's attention can be exchanged, the stem stays in the cache once
for all its rows (pte/nn/kernel/stem_attention.py), else it is copied to each. Every row draws its own numbers in [0, 1), one per step, so what it says
does not depend on who shares its batch (up to rounding of the model's arithmetic).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from pte.nn.kernel.stem_attention import Seats, stem_attention
from pte.schema import InputError, require

PREFILL = 2048  # tokens of stems that are read at once: more leave the processor's cache
STEMS = "pte_stems"  # transformers' name of `_attend`
UNKNOWN = ("position_bias", "softcap", "s_aux", "cache")  # kinds of attention that `stem_attention` is not


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
        if not temperatures or min(temperatures) < 0:
            raise InputError(f"profiler.decoding.temperatures={list(temperatures)}: give at least one, none below 0")
        require(top_k >= 1, "profiler.decoding.top_k", top_k, "give 1 or more")
        require(max_new_tokens >= 1, "profiler.decoding.max_new_tokens", max_new_tokens, "give 1 or more")
        require(0 < top_p <= 1, "profiler.decoding.top_p", top_p, "give a number above 0, 1 at most")
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
    """R rows to continue from P stems; row_stem: (R,) int64, temperature: (R,), uniform: (R, T) in [0, 1)."""

    stems: Sequence[Sequence[int]]
    row_stem: Tensor
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
    """Tokens already said lose: l / penalty if l > 0, else l * penalty (CTRL, Keskar et al. 2019). previous: (R, t)."""
    if penalty == 1.0 or previous.shape[1] == 0:
        return logits
    value = logits.gather(1, previous)
    return logits.scatter(1, previous, torch.where(value > 0, value / penalty, value * penalty))


class ReservedLayer(DynamicLayer):
    """A cache layer with room for the tokens to come: appending copies the new token, not all old ones.

    (On two CPU cores decoding became 1.4 times as fast.)"""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor, extra: int) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self._reserve(keys, values, keys.shape[-2] + extra)

    def _reserve(self, keys: Tensor, values: Tensor, capacity: int) -> None:
        length = keys.shape[-2]
        self._buffer = tuple(x.new_empty(*x.shape[:-2], capacity, x.shape[-1]) for x in (keys, values))
        self._buffer[0][..., :length, :], self._buffer[1][..., :length, :] = keys, values
        self._show(length)

    def _show(self, length: int) -> None:
        self.keys, self.values = (x[..., :length, :] for x in self._buffer)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append (R, H, n, D) and return all (R, H, length, D)."""
        length, end = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        self._buffer[0][..., length:end, :], self._buffer[1][..., length:end, :] = key_states, value_states
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows."""
        self._reserve(self.keys[indices], self.values[indices], self._buffer[0].shape[-2])


class Stems:
    """P stems of R rows: keys and values of every layer (P, H, S, D), once; mask: (P, S), row_stem: (R,)."""

    def __init__(self, layers: Sequence[DynamicLayer], mask: Tensor, row_stem: Tensor) -> None:
        self.layers = [(layer.keys, layer.values) for layer in layers]
        self.seats = Seats.of(row_stem, mask.bool())
        self.read: set[int] = set()  # layers that attended

    def take(self, rows: Tensor) -> None:
        """Go on with these rows; stems without any are left behind once they are a quarter."""
        stem, mask = self.seats.stem[rows], self.seats.mask
        used, place = stem.unique(return_inverse=True)
        if len(used) <= 0.75 * len(mask):
            self.layers = [(keys[used], values[used]) for keys, values in self.layers]
            stem, mask = place, mask[used]
        self.seats = Seats.of(stem, mask)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    stems: Stems | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention over a row's own tokens and, where `stems` are given, over its stem before them."""
    if stems is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    if any(kwargs.get(name) is not None for name in UNKNOWN) or scaling is None:
        raise ValueError(f"{type(module).__name__} attends in a way of its own")
    length = query.shape[2]
    if attention_mask is None and length > 1:
        attention_mask = torch.ones(1, 1, length, key.shape[2], dtype=torch.bool, device=key.device)
        attention_mask = attention_mask.tril(key.shape[2] - length)
    stems.read.add(module.layer_idx)
    out = stem_attention(query, stems.layers[module.layer_idx], (key, value), stems.seats, attention_mask, scaling)
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register(STEMS, _attend)
AttentionMaskInterface.register(STEMS, sdpa_mask)


@torch.inference_mode()
def caches(model: Any) -> bool:
    """Whether a model takes and hands on a cache of the usual kind: Mamba's and RecurrentGemma's states are not."""
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        return False
    out = model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device), use_cache=True)
    return isinstance(out.get("past_key_values"), Cache)


def shares_prompts(model: Any) -> bool:
    """Whether padding may stand in the middle of a row: not where layers slide a window over it or carry a state.

    model: one that `caches`.
    """
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)


_READS_STEMS: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()  # by model


@torch.inference_mode()
def reads_stems(model: Any) -> bool:
    """Whether every layer attends through `_attend`, and the model says with stems what it says without; tried once.

    model: one that `shares_prompts`; from then on it attends by `STEMS`.
    """
    if model not in _READS_STEMS:
        _READS_STEMS[model] = model.config._attn_implementation == "sdpa" and _try_stems(model)
    return _READS_STEMS[model]


def _try_stems(model: Any) -> bool:
    leads = [[1], [2, 3], [4]]
    rows = Rows([[1, 2, 3], [1, 4]], torch.tensor([0, 1, 0]), leads, torch.zeros(3), torch.zeros(3, 1))
    plain = Continuation(model, rows, pad=0, extra=1, stemwise=False).logits.float()
    model.set_attn_implementation(STEMS)
    try:
        flight = Continuation(model, rows, pad=0, extra=1, stemwise=True)
    except (TypeError, ValueError, AttributeError):  # a signature or an attention of its own
        flight = None
    if flight and flight.stems and len(flight.stems.read) == len(flight.stems.layers):
        if (flight.logits.float() - plain).norm() <= 0.02 * plain.norm():  # bfloat16 rounds at .004
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
    """The rows in their order, so many at a time that the longest one's length times their number is at most `tokens`."""
    first = 0
    for last in range(1, len(rows) + 1):
        if last == len(rows) or (last + 1 - first) * max(map(len, rows[first : last + 1])) > tokens:
            yield rows[first:last]
            first = last


def joined_right(parts: Sequence[Tensor]) -> Tensor:
    """(n, H, s, D) of several lengths s, one below the other: (sum of n, H, longest s, D), zeros on the left."""
    if len(parts) == 1:
        return parts[0]
    longest = max(part.shape[2] for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, 0, longest - part.shape[2], 0)) for part in parts])


class Continuation:
    """A batch of rows in flight: the model's cache, the attention mask and how far each row is."""

    def __init__(self, model: Any, rows: Rows, *, pad: int, extra: int, stemwise: bool | None = None) -> None:
        """extra: tokens to come; stemwise: whether stems stay in the cache once (None: where the model can)."""
        self.model, self.device = model, model.device
        self.cache: Any = None
        self.stems: Stems | None = None
        self.before = torch.zeros(1, 1, dtype=torch.long, device=self.device)  # tokens of a row's stem, (R, 1)
        self.mask = torch.ones(1, 0, dtype=torch.long, device=self.device)
        self.caches = caches(model)
        self.tokens = torch.zeros(len(rows.leads), 0, dtype=torch.long, device=self.device)  # where nothing is cached
        if self.caches and shares_prompts(model):
            self._fill_stems(rows.stems, pad)
            lead, mask = padded_left(rows.leads, pad)
            row_stem, room = rows.row_stem.to(self.device), lead.shape[1] + extra
            if reads_stems(model) if stemwise is None else stemwise:
                self._part(row_stem, room)
            else:
                self._take(row_stem)
                self._reserve(room)
            self.logits = self._feed(lead, mask)
        else:
            whole = [[*rows.stems[stem], *lead] for stem, lead in zip(rows.row_stem.tolist(), rows.leads, strict=True)]
            self.mask = self.mask.expand(len(whole), -1)
            self.logits = self._feed(*padded_left(whole, pad))

    def _fill_stems(self, stems: Sequence[Sequence[int]], pad: int) -> None:
        """What all stems share once, then the rest of every stem, some at a time; padding stands on the left."""
        shared = shared_length(stems)
        if shared:
            self._feed(torch.tensor([list(stems[0][:shared])]), torch.ones(1, shared, dtype=torch.long))
        first = [(layer.keys, layer.values) for layer in self.cache.layers] if shared else []
        parts = []
        for some in portions(stems, PREFILL):
            self.mask = self.mask.new_ones(len(some), shared)
            self.cache = None
            if shared:
                self.cache = DynamicCache()
                for place, pair in enumerate(first):
                    self.cache.update(*(x.expand(len(some), -1, -1, -1) for x in pair), place)
            self._feed(*padded_left([stem[shared:] for stem in some], pad))
            parts.append((self.cache.layers, self.mask))
        self.mask = joined_right([mask[:, None, :, None] for _, mask in parts])[:, 0, :, 0]
        for place, layer in enumerate(self.cache.layers):
            layer.keys = joined_right([layers[place].keys for layers, _ in parts])
            layer.values = joined_right([layers[place].values for layers, _ in parts])

    def _part(self, row_stem: Tensor, room: int) -> None:
        """Leave the stems as they are, once; from here on the cache holds what rows say of their own."""
        self.stems = Stems(self.cache.layers, self.mask, row_stem)
        self.before = self.mask.sum(1)[row_stem, None]
        self.mask = self.mask.new_ones(len(row_stem), 0)
        self.cache = DynamicCache()
        empty = [(k[row_stem, :, :0], v[row_stem, :, :0]) for k, v in self.stems.layers]
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
            return self.model(input_ids=self.tokens, attention_mask=self.mask, use_cache=False).logits[:, -1]
        out = self.model(
            input_ids=tokens,
            attention_mask=self.mask,
            position_ids=position.clamp(min=0),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
            **({"stems": self.stems} if self.stems else {}),
        )
        self.cache = out.past_key_values
        return out.logits[:, -1]

    def _take(self, rows: Tensor) -> None:
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]
        if self.stems:
            self.before = self.before[rows]
            self.stems.take(rows)

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
) -> list[list[int]]:
    """New tokens of every row, R lists of at most T. `stops(row, token)` says that the row ends with this token."""
    steps = rows.uniform.shape[1]
    flight = Continuation(model, rows, pad=pad, extra=steps)
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
        if not live or step == steps - 1:
            break
        previous = torch.cat([previous, token[:, None]], 1)
        rest = torch.tensor(live, device=flight.device)
        if len(live) <= 0.75 * len(alive) and flight.keep(rest):  # a smaller batch is worth its copy
            temperature, uniform, previous, token = temperature[rest], uniform[rest], previous[rest], token[rest]
            alive = [alive[i] for i in live]
        flight.step(token)
    return texts
