"""Small shared maps from one vector space to another, and the rows a loss is measured on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pte.nn.kernel.dropout import Dropout
from pte.nn.kernel.place_noise import common
from pte.nn.sequence.attention import MOST_LAYERS, normal_weights
from pte.schema import one_of, require

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


def mlp(source: int, target: int, *, layers: int, activation: str, dropout: float, last_active: bool) -> nn.Sequential:
    """source -> target -> ... -> target: dropout, then a linear layer, an activation between layers and maybe last.

    Weights start small, as the encoder's do: items start alike and their scores near zero.
    """
    one_of("representation.activation", activation, ACTIVATIONS)
    require(1 <= layers <= MOST_LAYERS, "representation.layers", layers, f"give a whole number, 1 to {MOST_LAYERS}")
    steps: list[nn.Module] = []
    for layer in range(layers):
        linear = nn.Linear(target if layer else source, target)
        normal_weights(linear, std=0.02)
        steps += [Dropout(dropout, "representation.dropout"), linear]
        if layer < layers - 1 or last_active:
            steps.append(ACTIVATIONS[activation]())
    return nn.Sequential(*steps)


def projector(source: int, target: int) -> nn.Sequential:
    """source -> (source + target) / 2 -> target with LeakyReLU between, Xavier weights: RLMRec's map between spaces."""
    middle = (source + target) // 2
    into, out = nn.Linear(source, middle), nn.Linear(middle, target)
    for layer in (into, out):
        nn.init.xavier_uniform_(layer.weight)
    return nn.Sequential(into, nn.LeakyReLU(), out)


def sample_rows(count: int, sample: int, device: torch.device) -> Tensor:
    """(sample,) different rows of `count`, all of them in order where sample is 0 or not smaller."""
    if sample <= 0 or sample >= count:
        return torch.arange(count, device=device)
    if (generator := common()) is not None:  # the same rows on every process
        return torch.randperm(count, generator=generator).to(device)[:sample]
    return torch.randperm(count, device=device)[:sample]
