"""The textbook way of what pte does: padded histories, logits multiplied out, torch's own dropout and Adam.

    SASRec     post-LN blocks over B histories padded to L, then F.cross_entropy over materialised logits; either one
               target a sample (every prefix a padded row of its own, as RecBole does) or all positions of a history
    DreamRec   one target a sample, padded history, x_0 predicted from [x_t, c, tau(t)] by one linear layer, c replaced
               by a learned null with p = .1; sampled by T steps of two denoiser calls each, as in its published code

Both have the weights, the sizes and the loss of pte's models, so that tests can ask for equal values. It runs as well:
CPU-seconds of training, one thread.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Layer(nn.Module):
    """x <- LN(x + Attention(x)), x <- LN(x + W2 GELU(W1 x))."""

    def __init__(self, width: int, inner: int, heads: int, drop: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.widen, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norm_attention, self.norm_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.drop, self.drop_attention = nn.Dropout(drop), nn.Dropout(drop)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, D) and an additive mask (L, L) -> (B, L, D)."""
        B, L, D = x.shape
        q, k, v = (f(x).view(B, L, self.heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        score = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + mask
        read = self.drop_attention(score.softmax(dim=-1)) @ v
        x = self.norm_attention(x + self.drop(self.out(read.transpose(1, 2).reshape(B, L, D))))
        return self.norm_feed(x + self.drop(self.narrow(F.gelu(self.widen(x)))))


class Encoder(nn.Module):
    """Item vectors plus positions through the layers, every padded place computed."""

    def __init__(
        self, *, num_items: int, width: int, inner: int, layers: int, heads: int, length: int, drop: float, std: float
    ) -> None:
        super().__init__()
        self.item = nn.Embedding(num_items + 1, width, padding_idx=0)
        self.position = nn.Embedding(length, width)
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(drop)
        self.layers = nn.ModuleList(Layer(width, inner, heads, drop) for _ in range(layers))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for embedding in (self.item, self.position):
            nn.init.normal_(embedding.weight, std=std)
        with torch.no_grad():
            self.item.weight[0] = 0

    def forward(self, item: Tensor) -> Tensor:
        """(B, L) right-padded with 0 -> (B, L, D)."""
        L = item.shape[1]
        x = self.drop(self.norm(self.item(item) + self.position(torch.arange(L))))
        mask = torch.full((L, L), -torch.inf).triu(1)
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def last(self, item: Tensor, length: Tensor) -> Tensor:
        """The state after the last real item, (B, D)."""
        return self(item)[torch.arange(len(item)), length - 1]


class SASRec(nn.Module):
    """The next item by softmax over the whole catalogue."""

    def __init__(
        self, *, num_items: int, width: int = 64, inner: int = 256, layers: int = 2, heads: int = 2, length: int = 50,
        drop: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder = Encoder(
            num_items=num_items, width=width, inner=inner, layers=layers, heads=heads, length=length, drop=drop,
            std=0.02,
        )  # fmt: skip

    def loss(self, item: Tensor, length: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy. target: (B,) one a sample, or (B, L) one at every place, 0 = none."""
        if target.ndim == 1:
            hidden = self.encoder.last(item, length)
        else:
            real = target > 0
            hidden, target = self.encoder(item)[real], target[real]
        return F.cross_entropy(self.logits(hidden), target - 1)

    def logits(self, hidden: Tensor) -> Tensor:
        """(B, N), column j is item j+1."""
        return hidden @ self.encoder.item.weight[1:].T

    @torch.no_grad()
    def score(self, item: Tensor, length: Tensor) -> Tensor:
        return self.logits(self.encoder.last(item, length))


class DreamRec(nn.Module):
    """The next item's vector by diffusion, as published: T = 500, linear betas, x_0 predicted, guidance w."""

    def __init__(
        self, *, num_items: int, width: int = 64, inner: int = 256, layers: int = 1, heads: int = 1, length: int = 10,
        drop: float = 0.1, steps: int = 500, guidance: float = 2.0, uncondition: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder = Encoder(
            num_items=num_items, width=width, inner=inner, layers=layers, heads=heads, length=length, drop=drop, std=1.0
        )
        self.time = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.denoise = nn.Linear(3 * width, width)
        self.null = nn.Parameter(torch.randn(width))
        self.steps, self.guidance, self.uncondition = steps, guidance, uncondition
        beta = torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)
        bar = (1 - beta).cumprod(0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])
        self.bar = bar.float()
        self.of_x_0 = (beta * before.sqrt() / (1 - bar)).float()
        self.of_x_t = ((1 - before) * (1 - beta).sqrt() / (1 - bar)).float()
        self.sigma = (beta * (1 - before) / (1 - bar)).sqrt().float()

    def tau(self, time: Tensor) -> Tensor:
        """(B,) -> (B, D), anew for every row."""
        half = self.null.numel() // 2
        angle = time[:, None] * torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        return self.time(torch.cat([angle.sin(), angle.cos()], dim=1))

    def predicted(self, x: Tensor, c: Tensor, time: Tensor) -> Tensor:
        """xhat_0, (B, D)."""
        return self.denoise(torch.cat([x, c, self.tau(time)], dim=1))

    def loss(self, item: Tensor, length: Tensor, target: Tensor) -> Tensor:
        """Mean ||f(x_t, c or null, t) - x_0||^2 / D over B samples of one target each."""
        x_0, c = self.encoder.item(target), self.encoder.last(item, length)
        c = torch.where(torch.rand(len(c), 1) < self.uncondition, self.null, c)
        time = torch.randint(self.steps, (len(c),))
        bar = self.bar[time, None]
        x_t = bar.sqrt() * x_0 + (1 - bar).sqrt() * torch.randn_like(x_0)
        return F.mse_loss(self.predicted(x_t, c, time), x_0)

    @torch.no_grad()
    def imagine(self, c: Tensor, noise: float = 1.0) -> Tensor:
        """(B, D) -> (B, D) by the whole chain; noise = 0 starts at zero and adds nothing."""
        x, null = noise * torch.randn_like(c), self.null.expand_as(c)
        for t in range(self.steps - 1, -1, -1):
            time = torch.full((len(c),), t)
            with_c, without_c = self.predicted(x, c, time), self.predicted(x, null, time)
            x_0 = (1 + self.guidance) * with_c - self.guidance * without_c
            x = self.of_x_0[time, None] * x_0 + self.of_x_t[time, None] * x
            if t > 0:
                x = x + noise * self.sigma[time, None] * torch.randn_like(x)
        return x


@dataclass(frozen=True)
class Samples:
    """Padded training samples, (S, L) items, (S,) lengths, (S,) or (S, L) targets."""

    item: Tensor
    length: Tensor
    target: Tensor

    def batches(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """One epoch in random order."""
        for some in torch.randperm(len(self.item), generator=generator).split(size):
            yield self.item[some], self.length[some], self.target[some]


def samples(item: np.ndarray, begin: np.ndarray, length: np.ndarray, row_length: int, every_place: bool) -> Samples:
    """Sequence i is item[begin[i] : begin[i] + length[i]]; every prefix of it is a sample, or it is one as a whole."""
    inputs, targets, sizes = [], [], []
    for first, size in zip(begin.tolist(), length.tolist(), strict=True):
        whole = item[first : first + size]
        for end in [size - 1] if every_place else range(1, size):
            begins = max(0, end - row_length)
            known = whole[begins:end]
            inputs.append(np.pad(known, (0, row_length - len(known))))
            following = whole[begins + 1 : end + 1]
            targets.append(np.pad(following, (0, row_length - len(known))) if every_place else whole[end])
            sizes.append(len(known))
    return Samples(*(torch.from_numpy(np.array(a, dtype=np.int64)) for a in (inputs, sizes, targets)))


def main() -> None:
    from product import SEED, assemble, result

    parser = argparse.ArgumentParser()
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--backbone", choices=("sasrec", "dreamrec"), required=True)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--every-place", action="store_true", help="all positions of a history instead of one target")
    parser.add_argument("--batch", type=int, default=256, help="samples a step")
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ours = assemble(options.interactions, f"backbone={options.backbone}", f"backbone.length={options.length}")
    rows = samples(ours.loader.item, ours.loader.begin, ours.loader.length, options.length, options.every_place)
    model = {"sasrec": SASRec, "dreamrec": DreamRec}[options.backbone](
        num_items=ours.interactions.num_items, length=options.length
    )
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in ours.backbone.parameters())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    steps = rows.batches(options.batch, torch.Generator().manual_seed(SEED))

    def train(count: int) -> int:
        targets = 0
        for _ in range(count):
            batch = next(steps)
            optimizer.zero_grad()
            model.loss(*batch).backward()
            optimizer.step()
            targets += int((batch[2] > 0).sum())
        return targets

    train(2)  # warm-up
    began = time.process_time()
    targets = train(options.steps)
    result(targets=targets, train_cpu_seconds=time.process_time() - began)


if __name__ == "__main__":
    main()
