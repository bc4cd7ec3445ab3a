"""Trains a selection policy by group-relative policy optimisation, and measures what carries over to unseen entities.

Each step draws G candidates per entity from the policy as it is (with replacement), scores them relative to their group
and takes `inner_epochs` clipped steps on these draws. The reference is the policy before training. Groups whose rewards
are all equal are dropped and counted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor, nn

from pte.metric.collapse import effective_rank, pairwise_cosine
from pte.rl.grpo import categorical_kl, clip_fraction, clipped_objective, entropy, group_advantage, zero_std
from pte.schema.progress import Progress
from pte.selector.base import Candidates
from pte.selector.grpo import GRPO, all_logits
from pte.train.curve import log_row
from pte.train.loader import Place, step_seed
from pte.train.state.checkpoint import ResumeCheckpoint

logger = logging.getLogger(__name__)

GRADIENT_NORM = 1.0
PROBE = 4096  # entities on which the curve's figures are computed


class Shuffled(Place):
    """Batches of entities in a new order every epoch, a pure function of (seed, epoch)."""

    def __init__(self, entity: Tensor, batch_size: int, seed: int) -> None:
        self.entity, self.batch_size, self.seed = entity, batch_size, seed

    def __len__(self) -> int:
        return -(-len(self.entity) // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(step_seed(self.seed, self.epoch, 0))
        order = torch.randperm(len(self.entity), generator=generator).to(self.entity.device)
        yield from self.entity[order].split(self.batch_size)[self.begin_epoch() :]


class GRPOModule(LightningModule):
    """parts: raw reward parts by name, (E, K) each, for logging. `curve` collects one row per epoch.

    trackers: loggers that get each row as it comes. They belong to the caller: the Trainer would close its own.
    """

    def __init__(
        self,
        *,
        policy: nn.Module,
        candidates: Candidates,
        settings: GRPO,
        trained: Tensor,
        held_out: Tensor,
        parts: Mapping[str, Tensor],
        trackers: Sequence[Any] = (),
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.policy, self.candidates, self.settings = policy, candidates, settings
        self.parts, self.trackers = parts, trackers
        self.entity = torch.nonzero(trained).squeeze(1)
        self.unseen = torch.nonzero(held_out).squeeze(1)
        self.generator = torch.Generator().manual_seed(settings.seed)  # on the CPU: the same draws on every device
        order = torch.randperm(len(self.entity), generator=self.generator).to(self.entity.device)
        self.probe = self.entity[order[:PROBE]]
        self.reference = all_logits(policy, candidates)  # (E, K)
        self.curve: list[dict[str, float]] = []
        self._steps: list[dict[str, Tensor]] = []
        self._informative: list[Tensor] = []  # of every group drawn in this epoch, whether its rewards differ

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.policy.parameters(), lr=self.settings.learning_rate)

    def train_dataloader(self) -> Shuffled:
        return Shuffled(self.entity, self.settings.batch_size, self.settings.seed)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["curve"], checkpoint["partial_epoch"] = (
            self.curve,
            {"steps": self._steps, "informative": self._informative},
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.curve, partial_epoch = checkpoint["curve"], checkpoint["partial_epoch"]
        self._steps, self._informative = partial_epoch["steps"], partial_epoch["informative"]

    def on_train_start(self) -> None:
        self.progress = Progress(logger, "selection", "epochs", self.settings.epochs, len(self.curve))
        for row in self.curve:  # of the epochs before this fit was stopped
            log_row(self.trackers, "selection", row)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        s = self.settings
        self.generator.manual_seed(step_seed(s.seed, self.current_epoch, 1 + batch_idx))
        with torch.no_grad():
            old = self.policy(self.candidates, batch).log_softmax(dim=1)
            chance = old.exp().cpu()
            sample = torch.multinomial(chance, s.group_size, replacement=True, generator=self.generator).to(old.device)
        reward = self.candidates.reward[batch].gather(1, sample)  # (B, G)
        informative = ~zero_std(reward)
        advantage = group_advantage(reward, scale_std=s.objective.scale_std)
        self._informative.append(informative)
        for _ in range(s.inner_epochs if informative.any() else 0):
            step = self._step(
                batch[informative],
                sample[informative],
                old[informative].gather(1, sample[informative]),
                advantage[informative],
            )
            spread = {
                "advantage_mean": advantage[informative].mean(),
                "advantage_std": advantage[informative].std(correction=0),
            }
            self._steps.append(step | spread)

    def _step(self, entity: Tensor, sample: Tensor, old_log_pi: Tensor, advantage: Tensor) -> dict[str, Tensor]:
        """One gradient step on n groups: J = mean min(rho A, clip(rho) A) - beta KL + bonus entropy."""
        s = self.settings
        optimizer: Any = self.optimizers()  # one: `configure_optimizers` gives one
        logits = self.policy(self.candidates, entity)
        log_ratio = logits.log_softmax(dim=1).gather(1, sample) - old_log_pi
        gain = clipped_objective(log_ratio, advantage, *s.objective.clip).mean()
        kl, h = categorical_kl(logits, self.reference[entity]).mean(), entropy(logits).mean()
        optimizer.zero_grad()
        self.manual_backward(-(gain - s.objective.kl * kl + s.objective.entropy * h))
        nn.utils.clip_grad_norm_(self.policy.parameters(), GRADIENT_NORM)
        optimizer.step()
        clipped = clip_fraction(log_ratio, advantage, *s.objective.clip)
        return {"objective": gain.detach(), "kl": kl.detach(), "entropy": h.detach(), "clip_fraction": clipped.detach()}

    def on_train_epoch_end(self) -> None:
        row = {k: float(torch.stack([s[k] for s in self._steps]).mean()) for k in self._steps[0]} if self._steps else {}
        row["frac_zero_std"] = 1 - float(torch.cat(self._informative).float().mean())
        self._steps.clear()
        self._informative.clear()
        row |= self.figures()
        self.curve.append({"epoch": self.current_epoch, "step": self.global_step, **row})
        log_row(self.trackers, "selection", self.curve[-1])
        self.progress.advance()

    def figures(self) -> dict[str, float]:
        """Rewards of the policy and of baselines, on training and on unseen entities; collapse of the selection."""
        row: dict[str, float] = {}
        probability = all_logits(self.policy, self.candidates, self.probe).softmax(dim=1)
        for name, part in self.parts.items():
            row[f"reward_{name}"] = float((probability * part[self.probe]).sum(dim=1).mean())
        row |= {f"trained_{k}": v for k, v in baselines(probability, self.candidates.reward[self.probe]).items()}
        if len(self.unseen):
            unseen = all_logits(self.policy, self.candidates, self.unseen).softmax(dim=1)
            row |= {f"unseen_{k}": v for k, v in baselines(unseen, self.candidates.reward[self.unseen]).items()}
        best = self.candidates.vector[self.probe, probability.argmax(dim=1)].float().cpu().numpy()
        if len(best) > 1:
            row |= {"pairwise_cosine": pairwise_cosine(best), "effective_rank": effective_rank(best)}
        return row


def baselines(probability: Tensor, reward: Tensor) -> dict[str, float]:
    """Mean reward (n, K) under the policy, under its argmax, and under what needs no learning."""
    best = probability.argmax(dim=1, keepdim=True)
    return {
        "policy": float((probability * reward).sum(dim=1).mean()),
        "argmax": float(reward.gather(1, best).mean()),
        "first": float(reward[:, 0].mean()),
        "random": float(reward.mean()),
        "best_of_k": float(reward.amax(dim=1).mean()),
    }


def train(module: GRPOModule, *, resume: ResumeCheckpoint | None = None) -> None:
    """Train the module's policy in place, in this process alone, on the device where its candidates are; from where it
    was left, where `resume` finds that.
    """
    device = module.candidates.vector.device
    latest = resume.latest() if resume else None
    trainer = Trainer(
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=1 if device.index is None else [device.index],
        # A process group around it, if any, is not for this policy of few weights.
        plugins=[LightningEnvironment(), *(resume.plugins if resume else [])],
        max_epochs=module.settings.epochs,
        logger=False,
        callbacks=[resume] if resume else [],
        enable_checkpointing=resume is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with resume.interruptible() if resume else nullcontext():
        trainer.fit(module, ckpt_path=latest and latest[0])
    if trainer.interrupted:
        raise KeyboardInterrupt
