"""DreamRec: generate the next item's vector by diffusion guided by the history, then rank items by similarity to it.

Yang et al., "Generate What You Prefer", NeurIPS 2023 (arXiv 2310.20453), as in its code. With x_0 the next item's
vector and c the state of a causal encoder after the history:

    train    t ~ U{0..T-1}, x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, c <- null with probability p,
             minimise (1 - rho) || f(x_t, c, t) - x_0 ||^2 / D  -  rho log softmax_j( E[sample | c] . e_j / sqrt(D) )_y
    sample   xhat_0 = (1 + w) f(x_t, c, t) - w f(x_t, null, t), from pure noise down a reverse chain (nn/diffusion)
    score    s_j = x_0 . e_j, or their cosine

f is one linear layer on [x_t; c; tau(t)] ("mlp1", depth 1), for which the whole chain is one Gaussian and needs no loop
(backbone/sampler=exact, the same law as DDPM's), or two layers with GELU ("mlp2", depth 2). Of one layer c is a
summand: what distinguishes users then grows by 1 + w beside the noise, whose share in a sample guidance w lowers.

With rho = 0 this is DreamRec's loss. It asks for the mean of what could come next, which need not be near any item, and
at most times for little more than x_t itself. The second term, ours, asks that the samples' mean rank the item y first:
the whole chain from zero noise, under guidance, as it is scored. PreferDiff (Liu et al., ICLR 2025, arXiv 2410.13117)
ranks predictions at all times against sampled negatives; where little noise is left x_t names y, and there is nothing
to learn. Products are divided by sqrt(D), as entries of e are of unit variance. Gradients pass through all steps of the
chain, so few pay.

Departures: every prefix of a history is a training case in the same pass; the encoder is SASRec's, of
nn/sequence/attention; dropout is off at evaluation (the published code leaves it on); a time index always goes with its
own alpha_bar; padding is never scored.

The published loss moves x_0 as well, and so a space that trains shrinks, which makes the loss small and, on Toys, the
ranking a chance one. A space that trains is therefore constrained to a sphere, e_i <- sqrt(D) e_i / |e_i|
(`sphere`), and the loss moves what predicts, not what is predicted (`target_gradient: false`). A frozen space, as
llm_only's without a head, needs neither and keeps its lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pte.backbone.sequence import history as reading
from pte.nn.batch import History, PackedBatch
from pte.nn.contract import Backbone, Representation
from pte.nn.diffusion import Diffusion, Fold, fold, mean_map, noised, sample, sinusoid
from pte.nn.kernel.chunked_scoring import products
from pte.nn.kernel.place_noise import PlaceNoise, current_at
from pte.nn.loss.base import inner
from pte.nn.loss.cross_entropy import CrossEntropy
from pte.nn.noise import Noise, standard_normal, uniform
from pte.nn.sampler import Sampler
from pte.nn.sequence.attention import Encoder
from pte.schema import InputError, require

FULL_CROSS_ENTROPY = CrossEntropy()


class Denoiser(nn.Module):
    """f(x_t, c, t) on [x_t; c; tau(t)], tau(t) = W2 GELU(W1 sinusoid(t))."""

    def __init__(self, *, width: int, depth: int) -> None:
        super().__init__()
        if depth not in (1, 2):
            raise InputError(f"backbone.depth={depth}: the denoiser has a depth of 1 (one linear layer) or 2")
        self.width, self.depth = width, depth
        self.time = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.first = nn.Linear(3 * width, width if depth == 1 else 2 * width)
        self.second = nn.Linear(2 * width, width) if depth == 2 else nn.Identity()

    def tau(self, steps: int, device: torch.device) -> Tensor:
        """(T, D): the code of every time, made once for all rows of a batch."""
        code: Tensor = self.time(sinusoid(torch.arange(steps, device=device), self.width))
        return code

    def split(self) -> tuple[Tensor, Tensor, Tensor]:
        """W_x, W_c, W_tau of the first layer."""
        W_x, W_c, W_tau = self.first.weight.split(self.width, dim=1)
        return W_x, W_c, W_tau

    def forward(self, x: Tensor, c: Tensor, tau: Tensor) -> Tensor:
        """(B, D) each -> (B, D). tau may be one row for all."""
        hidden: Tensor = self.first(torch.cat([x, c, tau.expand_as(x)], dim=-1))
        if self.depth == 2:
            hidden = self.second(F.gelu(hidden))
        return hidden


class DreamRec(nn.Module, Backbone):
    """Scores by similarity to a sampled vector; `score` draws from `noise` and from nothing else."""

    alpha_bar: Tensor  # (T,)

    def __init__(
        self,
        *,
        representation: Representation,
        num_items: int,
        length: int,
        encoder: Callable[..., Encoder],
        diffusion: Diffusion,
        sampler: Sampler,
        depth: int,
        std: float,
        cosine: bool,
        target_gradient: bool,
        sphere: bool,
        ranking: float,
    ) -> None:
        """encoder: waits for width, views and length. depth: of the denoiser. std: of positions and null at the start.
        cosine: scores are cosines. target_gradient: the loss moves the target's vector too. sphere: vectors that train
        keep the length sqrt(D). ranking: rho, the share of the ranking term in the loss, from 0 to 1.
        """
        super().__init__()
        if sampler.folds and depth != 1:
            raise InputError(
                f"backbone.depth={depth} does not go with backbone/sampler=exact: backbone/sampler=ddim does"
            )
        require(std > 0, "backbone.std", std, "a standard deviation is above 0")
        require(0 <= ranking <= 1, "backbone.ranking", ranking, "the share of the ranking term, from 0 to 1")
        self.representation, self.num_items, self.length = representation, num_items, length
        width = representation.width
        self.encoder = encoder(width=width, views=representation.views, length=length)
        nn.init.normal_(self.encoder.position.weight, std=std)  # on the scale of the item vectors they are added to
        self.denoiser = Denoiser(width=width, depth=depth)
        self.null = nn.Parameter(torch.randn(width) * std)
        self.guidance, self.uncondition, self.folds = diffusion.guidance, diffusion.uncondition, sampler.folds
        self.cosine, self.target_gradient, self.ranking = cosine, target_gradient, ranking
        trains = isinstance(representation, nn.Module) and any(p.requires_grad for p in representation.parameters())
        self.sphere = sphere and trains
        if ranking and trains and representation.sparse:
            raise InputError(
                "representation.sparse=true goes with backbone.ranking=0: its softmax takes the whole table"
            )
        if self.sphere and representation.sparse:
            raise InputError("representation.sparse=true goes with backbone.sphere=false: lengths take the whole table")
        beta = diffusion.betas()
        self.chain = sampler.chain(beta)
        self.register_buffer("alpha_bar", (1 - beta).cumprod(0).float(), persistent=False)
        self._folded: tuple[list[Tensor], Fold] | None = None

    def loss(self, batch: PackedBatch) -> dict[str, Tensor]:
        table = self.table()
        state = reading.states(self.encoder, self.representation, table, batch)
        position = batch.target > 0
        aim = table if self.target_gradient else table.detach()
        target = batch.target[position]
        x_0 = F.embedding(target, aim, sparse=self.representation.sparse)
        c, noise = state[position], current_at(position)
        loss = self.squared_error(x_0, c, noise).sum() / (batch.total * x_0.shape[1])
        if self.ranking:
            scaled = self.expected(c, noise) / x_0.shape[1] ** 0.5
            compared = F.normalize(table, dim=1) * x_0.shape[1] ** 0.5 if self.cosine else table
            ranked = FULL_CROSS_ENTROPY(scaled, compared, target, total=batch.total)
            loss = (1 - self.ranking) * loss + self.ranking * ranked
        return {"loss": loss + reading.extras(self.encoder, self.representation, table, batch, state)}

    def table(self) -> Tensor:
        """(N+1, D): the space of the diffusion, row 0 zeros."""
        table = self.representation.table()
        return F.normalize(table, dim=1) * table.shape[1] ** 0.5 if self.sphere else table

    def squared_error(self, x_0: Tensor, c: Tensor, noise: PlaceNoise | None = None) -> Tensor:
        """(f(x_t, c or null, t) - x_0)^2 at a random time for each of T targets; x_0, c (T, D) -> (T, D)."""
        steps = len(self.alpha_bar)
        chance = uniform((len(x_0), 2), noise, x_0.device)
        time = (chance[:, 0] * steps).long().clamp(max=steps - 1)
        eps = standard_normal(x_0.shape, noise, x_0.device).to(x_0.dtype)
        x_t = noised(x_0, eps, self.alpha_bar[time, None])
        free = chance[:, 1:] < self.uncondition
        tau = self.denoiser.tau(steps, x_0.device)
        prediction: Tensor = self.denoiser(x_t, torch.where(free, self.null.to(c.dtype), c), tau[time])
        return (prediction - x_0).square()

    def expected(self, c: Tensor, noise: PlaceNoise | None = None) -> Tensor:
        """The mean of the samples for every condition, (T, D) -> (T, D), through which gradients flow; of a loop, the
        sample from zero noise.
        """
        if not self.folds:
            return self._loop(c, torch.zeros_like(c), noise)
        K, m = mean_map(self.chain, *self._affine())
        return self._guided(c) @ K.T + m

    @torch.no_grad()
    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N), column j is item j+1."""
        return inner(*self._vectors(history, noise))

    @torch.no_grad()
    def score_parts(self, history: History, *, noise: Noise = None) -> Iterator[Tensor]:
        return products(*self._vectors(history, noise))

    def _vectors(self, history: History, noise: Noise) -> tuple[Tensor, Tensor]:
        """x_0 (B, D) and e (N, D), whose inner products are the scores."""
        table = self.table()
        c = reading.read(self.encoder, self.representation, table, history)
        items = table[1:]
        return self.imagine(c, noise), F.normalize(items, dim=1) if self.cosine else items

    @torch.no_grad()
    def imagine(self, c: Tensor, noise: Noise = None) -> Tensor:
        """A sample of x_0 for every condition, (B, D) -> (B, D)."""
        z = standard_normal(c.shape, noise, c.device).to(c.dtype)
        return self.folded()(self._guided(c), z) if self.folds else self._loop(c, z, noise)

    def _loop(self, c: Tensor, z: Tensor, noise: Noise) -> Tensor:
        """The reverse chain from z, step by step."""
        tau = self.denoiser.tau(len(self.alpha_bar), c.device)[self.chain.time.to(c.device)]
        both = torch.cat([c, self.null.expand_as(c)])  # with and without the condition, in one call

        def denoise(x: Tensor, step: int) -> Tensor:
            prediction: Tensor = self.denoiser(torch.cat([x, x]), both, tau[step])
            with_c, without_c = prediction.chunk(2)
            return (1 + self.guidance) * with_c - self.guidance * without_c

        return sample(self.chain, denoise, z, noise)

    def _guided(self, c: Tensor) -> Tensor:
        """u of an affine denoiser under guidance."""
        return ((1 + self.guidance) * c - self.guidance * self.null) @ self.denoiser.split()[1].T

    def _affine(self) -> tuple[Tensor, Tensor]:
        """W_x (D, D) and v (S, D), in the chain's order, of an affine denoiser."""
        W_x, _, W_tau = self.denoiser.split()
        tau = self.denoiser.tau(len(self.alpha_bar), W_x.device)[self.chain.time.to(W_x.device)]
        return W_x, tau @ W_tau.T + self.denoiser.first.bias

    def folded(self) -> Fold:
        """The reverse chain as one Gaussian map, made anew when a weight of the denoiser has changed.

        Weights are compared by value: torch's fused optimizers change them without counting a version.
        """
        weights = [p.detach() for p in self.denoiser.parameters()]
        if self.training or self._folded is None or not all(map(torch.equal, self._folded[0], weights)):
            self._folded = ([w.clone() for w in weights], fold(self.chain, *self._affine()))
        return self._folded[1]
