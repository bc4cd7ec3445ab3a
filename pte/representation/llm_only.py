"""Text alone: an item is its profile's embedding, frozen, seen through a head that all items share.

There is no free parameter per item, so whatever a backbone learns about an item it must read from the text; two items
with the same text are the same item. That makes the claim "language can replace IDs" testable at all.

Sentence embeddings fill a narrow cone: a few directions carry most of the variance. PCA whitening (as in WhitenRec,
arXiv 2402.10602, and AlphaFuse, arXiv 2504.19218) centres them and scales every kept direction to unit variance:

    z_i = U_k^T (v_i - mean) / sqrt(lambda_k + eps mean(lambda)),     Cov(v) = U diag(lambda) U^T

fitted on items 1..N, all of which are known beforehand; eps keeps directions without variance from blowing up.
"""

from __future__ import annotations

from torch import Tensor, nn

from pte.nn.item_table import ItemTable, padded, positive
from pte.nn.kernel.dropout import Dropout
from pte.nn.statistic.whitening import axis_count, whitened
from pte.schema import InputError, one_of, require

HEADS = ("none", "linear", "mlp")


def standardised(vectors: Tensor) -> Tensor:
    """(N, d) -> (N, d): every coordinate centred and scaled to unit variance; correlations stay."""
    v = vectors.double()
    v = v - v.mean(dim=0)
    return (v / v.square().mean(dim=0).sqrt().clamp_min(1e-12)).float()


class LlmOnly(ItemTable):
    """e_i = head(z_i); `head: none` hands on the frozen space itself, whose width is then `components`."""

    uses_text = True
    space: Tensor  # (N+1, components), row 0 zeros

    def __init__(
        self,
        *,
        num_items: int,
        vectors: Tensor | None = None,
        width: int,
        components: int | None,
        whiten: bool,
        eps: float,
        head: str,
        hidden: int,
        dropout: float,
    ) -> None:
        """components: principal axes kept; None keeps all that vary, which are all where whiten is False."""
        super().__init__()
        vectors = _checked(vectors, num_items, components, whiten)
        components = axis_count(vectors[1:], components, "representation") if whiten else vectors.shape[1]
        one_of("representation.head", head, HEADS)
        space = whitened(vectors[1:], components, eps) if whiten else standardised(vectors[1:])
        # Saved with the weights: a rebuilt model needs the very same axes.
        self.register_buffer("space", padded(space))
        self.width = components if head == "none" else positive(width)
        self.head = _head(head, components, hidden, width, dropout)

    def table(self) -> Tensor:
        """(N+1, D), row 0 zeros."""
        return padded(self.head(self.space[1:])) if len(list(self.head.parameters())) else self.space


def _head(head: str, components: int, hidden: int, width: int, dropout: float) -> nn.Module:
    """The head by name. Layers start as torch starts them: vectors of length 1 to 5, where an ID has 0.02 sqrt(d)."""
    match head:
        case "none":
            return nn.Identity()
        case "linear":
            return nn.Linear(components, width)
        case _:
            require(hidden >= 1, "representation.hidden", hidden, "give a whole number, 1 or more")
            drop = Dropout(dropout, "representation.dropout")
            return nn.Sequential(nn.Linear(components, hidden), nn.GELU(), drop, nn.Linear(hidden, width))


def _checked(vectors: Tensor | None, num_items: int, components: int | None, whiten: bool) -> Tensor:
    """The vectors, or a clear word about what is wrong with them."""
    if vectors is None:
        raise InputError("representation=llm_only needs item vectors: it runs after the stage `selection`")
    if vectors.ndim != 2 or len(vectors) != num_items + 1:
        raise InputError(
            f"item vectors of shape {tuple(vectors.shape)} do not fit a catalogue of {num_items} items: "
            f"expected ({num_items + 1}, d), row 0 for padding"
        )
    if not vectors.is_meta and not vectors.isfinite().all():
        raise InputError("representation=llm_only: the item vectors hold values that are not finite")
    encoded = vectors.shape[1]
    if not whiten and components not in {None, encoded}:
        raise InputError(
            f"representation.whiten=false keeps all {encoded} numbers of the encoder: "
            "type representation.components=null"
        )
    return vectors
