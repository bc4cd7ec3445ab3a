"""How a sequence backbone reads histories through a representation: its inputs, its views, its losses on the states."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from pte.nn.batch import History, PackedBatch
from pte.nn.contract import Representation
from pte.nn.kernel.chunked_scoring import encoded
from pte.nn.sequence.attention import block_causal
from pte.nn.sequence.encoder import SequenceEncoder


def states(encoder: SequenceEncoder, representation: Representation, table: Tensor, batch: PackedBatch) -> Tensor:
    """The encoder's state at every place of a training step, (R, L, D)."""
    item = F.embedding(batch.item, representation.inputs(table), padding_idx=0, sparse=representation.sparse)
    return encoder(item, batch.position, block_causal(batch.segment), representation.mix)


def last(
    encoder: SequenceEncoder, representation: Representation, table: Tensor, item: Tensor, length: Tensor
) -> Tensor:
    """The state after the last item of right-padded histories (B, L) of lengths (B,): (B, D)."""
    return encoder.last(F.embedding(item, table, padding_idx=0), length, representation.mix)


def read(encoder: SequenceEncoder, representation: Representation, table: Tensor, history: History) -> Tensor:
    """`last` of many histories, (B, D), a part of them at a time."""
    return encoded(lambda item, length: last(encoder, representation, table, item, length), history)


def extras(
    encoder: SequenceEncoder, representation: Representation, table: Tensor, batch: PackedBatch, state: Tensor
) -> Tensor:
    """The representation's own losses, weighted already: a scalar to add to the backbone's."""
    of_states = representation.sequence_auxiliary(
        batch, state, lambda item, length: last(encoder, representation, table, item, length)
    )
    of_table = representation.auxiliary()
    return of_table if of_states is None else of_table + of_states
