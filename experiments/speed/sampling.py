"""DreamRec's sampling for every user: the folded chain (`sampler: exact`) and the published loop of T = 500 steps.

Both ask one denoiser with one set of weights, trained for a few steps. `--check` compares what they return.
"""

import argparse
import time
from pathlib import Path

import torch
from plain import DreamRec
from product import assemble, result
from torch import Tensor


def published(ours) -> DreamRec:
    """The loop with our denoiser's weights."""
    plain = DreamRec(
        num_items=ours.num_items, length=ours.length, guidance=ours.guidance, steps=len(ours.alpha_bar)
    )  # fmt: skip
    plain.time.load_state_dict(ours.denoiser.time.state_dict())
    plain.denoise.load_state_dict(ours.denoiser.first.state_dict())
    with torch.no_grad():
        plain.null.copy_(ours.null)
    return plain.eval()


def agreement(ours, plain: DreamRec, c: Tensor, draws: int) -> dict[str, float]:
    """Noise-free chains of conditions c (B, D), and the laws of `draws` samples for the first condition.

    mean: the largest |difference| of a coordinate's mean in standard errors; covariance: the Frobenius norm of the
    difference over that of the covariance, beside what two samples of one law differ by.
    """
    W_c = ours.denoiser.split()[1]
    u = ((1 + ours.guidance) * c - ours.guidance * ours.null) @ W_c.T
    folded = ours.folded()(u, torch.zeros_like(u))
    chain = (folded - plain.imagine(c, noise=0)).abs().max() / folded.abs().max()
    one, other = (f(c[:1].expand(draws, -1)) for f in (ours.imagine, plain.imagine))
    again = ours.imagine(c[:1].expand(draws, -1))
    error = ((one.var(0) + other.var(0)) / draws).sqrt()
    covariance = [torch.cov(x.T) for x in (one, other, again)]
    size = covariance[0].norm()
    return {
        "chain": float(chain),
        "mean": float(((one.mean(0) - other.mean(0)) / error).abs().max()),
        "covariance": float((covariance[0] - covariance[1]).norm() / size),
        "covariance_by_chance": float((covariance[0] - covariance[2]).norm() / size),
    }


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--sampler", choices=("exact", "plain"), required=True)
    parser.add_argument("--users", type=int, default=None, help="how many to ask; default: all")
    parser.add_argument("--draws", type=int, default=4096)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    made = assemble(options.interactions, "backbone=dreamrec")
    ours = made.backbone.train()
    with torch.enable_grad():
        for _, batch in zip(range(40), made.steps(), strict=False):
            made.train(batch)
    plain = published(ours.eval())
    c = torch.randn(options.users or len(made.split.valid.target), ours.null.numel())  # states come out of a LayerNorm
    one = ours.imagine if options.sampler == "exact" else plain.imagine
    one(c[:256])  # warm-up
    ours._folded = None  # an evaluation folds once: on the clock
    began = time.process_time()
    for conditions in c.split(256):
        one(conditions)
    spent = time.process_time() - began
    found = {"agreement": agreement(ours, plain, c[:64], options.draws)} if options.check else {}
    result(users=len(c), sample_cpu_seconds=spent, **found)


if __name__ == "__main__":
    main()
