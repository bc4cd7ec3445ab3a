"""The one LightningModule that trains any backbone: loss from packed steps, exact full ranks in validation.

A loss is a sum over this process's targets divided by the step's targets over all processes. Distributed training
averages gradients over the processes, so the divisor handed to the backbone is the total per process: the average is
then the gradient of the whole step, however unevenly the targets fell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from pte.metric.rank import ranks
from pte.metric.ranking import RankingMetric
from pte.nn.batch import PackedBatch
from pte.nn.kernel.place_noise import PlaceNoise, place_noise
from pte.nn.noise import CaseNoise
from pte.schema import InputError
from pte.train import check, learning_rate
from pte.train.loader import EvaluationBatch, step_seed


class Recommender(LightningModule):
    """Logs train/loss and valid/{masked,unmasked}/all/* once per epoch.

    products: "bfloat16" rounds the inputs of training's fp32 products to bf16 where the device gains by it; validation
    is fp32 throughout, also under autocast, since rounded scores tie. The caller restores torch's own setting. warmup,
    decay: see train/learning_rate, which counts in `steps_per_epoch`.
    """

    def __init__(
        self,
        *,
        backbone: Any,  # a module with the verbs of nn/contract.Backbone
        optimizer: Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer],
        seed: int,
        products: str = "float32",
        warmup: float = 0.0,
        decay: str = "none",
        steps_per_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self.optimizer, self.seed = optimizer, seed
        learning_rate.check(warmup, decay)
        self.warmup, self.decay, self.steps_per_epoch = warmup, decay, steps_per_epoch
        self.training_precision = "medium" if products == "bfloat16" else "highest"
        self.metrics: Any = nn.ModuleDict({kind: RankingMetric() for kind in ("masked", "unmasked")})
        self.loss_sum, self.target_sum = torch.zeros(()), 0.0

    def on_fit_start(self) -> None:
        torch.set_float32_matmul_precision(self.training_precision)
        self.loss_sum = self.loss_sum.to(self.device)

    def on_train_epoch_start(self) -> None:
        self.loss_sum, self.target_sum = torch.zeros((), device=self.device), 0.0

    def training_step(self, batch: PackedBatch, batch_idx: int) -> Tensor:
        # Draws depend on the seed, the step and the process only: a resumed run repeats them. On a CPU they depend on
        # the seed, the step and the place in a history: any number of processes repeat them.
        torch.manual_seed(step_seed(self.seed, self.current_epoch, batch_idx, self.global_rank))
        world = self.trainer.world_size
        share = replace(batch, total=batch.total / world, sequences=batch.sequences / world)
        noise = None
        if self.device.type == "cpu" and batch.sequence is not None:
            seed = step_seed(self.seed, self.current_epoch, batch_idx)
            noise = PlaceNoise(seed, batch.sequence, batch.position)
        with place_noise(noise):
            loss: Tensor = self.backbone.loss(share)["loss"]
        if not loss.isfinite():
            raise InputError(
                f"the loss became {loss.item()} in epoch {self.current_epoch + 1}, step {batch_idx + 1}: type a smaller"
                " optimizer.lr (or trainer.gradient_clip=1 with optimizer.fused=false)"
            )
        self.loss_sum += loss.detach() * batch.total
        self.target_sum += batch.total
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train/loss", self.loss_sum / max(self.target_sum, 1), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # The mean over the processes, which all of them take as theirs: each holds its own share of every step.
        loss_sum = self.trainer.strategy.reduce(self.loss_sum.clone(), reduce_op="mean")
        checkpoint["epoch_loss"] = {"sum": float(loss_sum), "targets": self.target_sum}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        so_far = checkpoint["epoch_loss"]
        self.loss_sum, self.target_sum = torch.tensor(so_far["sum"]), so_far["targets"]

    def on_validation_epoch_start(self) -> None:
        torch.set_float32_matmul_precision("highest")

    def validation_step(self, batch: EvaluationBatch, batch_idx: int) -> None:
        # The same draws in every epoch and on any number of processes, so that epochs are compared on equal luck.
        noise = CaseNoise(self.seed, batch.case.cpu().numpy())
        with torch.autocast(self.device.type, enabled=False):
            parts = self.backbone.score_parts(batch.history, noise=noise)
            results = [ranks(scores, part.target, part.exclusion) for part, scores in batch.scored(parts)]
        self.metrics["masked"].update(torch.cat([rank.masked for rank in results]))
        self.metrics["unmasked"].update(torch.cat([rank.unmasked for rank in results]))

    def on_validation_epoch_end(self) -> None:
        for kind, metric in self.metrics.items():
            self.log_dict({f"valid/{kind}/all/{name}": value for name, value in metric.compute().items()})
            metric.reset()
        torch.set_float32_matmul_precision(self.training_precision)

    def configure_optimizers(self) -> Any:
        optimizer = check.make_optimizer(self.optimizer, (p for p in self.parameters() if p.requires_grad))
        if not self.warmup and self.decay == "none":
            return optimizer
        # Not `trainer.estimated_stepping_batches`, which sets the loader up before a checkpoint has given it its place.
        assert self.trainer.max_epochs is not None
        steps = self.steps_per_epoch * self.trainer.max_epochs
        rate = partial(learning_rate.factor, steps=steps, warmup=self.warmup, decay=self.decay)
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}
