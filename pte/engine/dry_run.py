"""A dry run: every part that a configuration names is built and checked before its first stage, plan=true included.

Validation lives in the parts' constructors, so the parts themselves are made: models on torch's meta device, which
knows shapes and holds no numbers, with a stand-in for text vectors that have not been made yet. What the data decide
(number of items, longest history) is checked where they are known, and again once they have been read.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from pte.engine.build import as_typed, builder
from pte.engine.process.device import process_count
from pte.metric.sampled import NEGATIVES
from pte.nn.kernel import liger
from pte.schema import InputError, Interactions, Split, one_of, require
from pte.schema.knob import leaves
from pte.stage.metrics import RANKINGS
from pte.train import check
from pte.train.state.restore import network

STAND_IN = 1000  # items, where their number is not known
WIDTHS = (384, 768, 1024, 2048, 4096)  # of usual encoders: of an unknown width, what one of these allows passes
BYTES = 16  # of a trained fp32 number: itself, its gradient, Adam's two moments
GIB = 2**30
SIZES = ("length", "inner", "layers", "hidden", "width", "experts", "components")
COMPILERS = ("g++", "clang++", "c++")  # of what torch.compile writes
DRAWS = 10_000  # negatives that a step may draw of any catalogue; of a larger one as many as it has items


@dataclass(frozen=True)
class Known:
    """What of the data is known before training; None: not yet."""

    num_items: int | None = None
    longest: int | None = None  # history
    interactions: Path | None = None  # the artefacts
    split: Path | None = None

    @classmethod
    def of(cls, artefacts: Mapping[str, Path]) -> Known:
        """From the card of the interactions artefact, if there is one."""
        if "interactions" not in artefacts:
            return cls()
        card = json.loads((artefacts["interactions"] / "card.json").read_text(encoding="utf-8"))
        return cls(card["items"], card["length"]["max"], artefacts["interactions"], artefacts.get("split"))


def run(config: Mapping[str, Any], stages: list[str], known: Known, *, download: bool) -> None:
    """Raise InputError for what a stage would refuse. download: the encoder may be fetched for its width."""
    build = builder(config)
    check.trainer(build("trainer"), config["optimizer"])
    if "split" in stages:
        build("protocol")
    if "profiles" in stages:
        build("profiler")
    encoder = build("encoder") if "embeddings" in stages else None
    try:
        width = encoder.known_width(download) if encoder else None
    except InputError as error:  # of a part of it
        raise InputError(as_typed(str(error), config["encoder"], "encoder")) from None
    if "selection" in stages:
        build("selector")
        build("reward").check(width)
    if "training" in stages or "reader" in stages:
        _training(config, build, known, width)
    if "metrics" in stages:
        _metrics(config, known)


def _training(config: Mapping[str, Any], build: Callable[..., Any], known: Known, width: int | None) -> None:
    trainer = config["trainer"]
    check.device(trainer, process_count(trainer))
    check.optimizer(build("optimizer"))
    model = _model(build, known.num_items or STAND_IN, width)
    if model.stacked and config["protocol"].get("holdout") == 0:
        raise InputError(check.NO_HOLDOUT)
    if known.split is not None:
        facts = json.loads((known.split / "facts.json").read_text(encoding="utf-8"))
        check.split(
            facts, trained=model.trained, stacked=model.stacked, processes=process_count(trainer),
            devices=trainer["devices"],
        )  # fmt: skip
    if not model.trained:
        return
    require(config["optimizer"].get("lr") != 0, "optimizer.lr", 0, "nothing would be learnt: give a number above 0")
    most = max(known.num_items or 0, DRAWS)
    for name, value in leaves(config["backbone"]):
        if name.endswith("loss.negatives"):
            require(
                value <= most, f"backbone.{name}", value, f"give {most:,} at most, or type backbone/loss=cross_entropy"
            )
        if name.endswith("loss.kernel") and value == "liger":
            liger.check(check.kind(trainer))
    if trainer["compile"]:
        _compiled(getattr(model, "reader", model))
    if config["representation"].get("sparse"):
        check.sparse(trainer, config["optimizer"]["_target_"])
    if torch.device(check.kind(trainer)).type == "cpu":
        _memory(model, config, known)


def _compiled(model: Any) -> None:
    """InputError where there is nothing to compile, or nothing to compile it with."""
    if not isinstance(getattr(model, "encoder", None), nn.Module):
        raise InputError(f"trainer.compile=true: {type(model).__name__} has no encoder to compile: take false")
    if not (os.environ.get("CXX") or any(map(shutil.which, COMPILERS))):
        raise InputError(
            f"trainer.compile=true needs a compiler, one of {', '.join(COMPILERS)}: install it, or take false"
        )


class _Undrawn(TorchFunctionMode):
    """Random numbers are not drawn: the meta device would import torch's compiler, seconds, to hold none of them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func.__name__ in ("normal_", "uniform_"):
            return args[0] if args else kwargs["tensor"]
        if func.__name__ in ("randn", "rand"):
            kwargs.pop("generator", None)
            return torch.empty(*args, **kwargs)
        return func(*args, **kwargs)


def _model(build: Callable[..., Any], num_items: int, width: int | None) -> Any:
    """The untrained backbone without its numbers. Of unknown widths one that fits is enough."""
    refused: InputError | None = None
    for each in [width] if width else WIDTHS:
        try:
            with torch.device("meta"), _Undrawn():
                return network(build, num_items, torch.empty(num_items + 1, each), torch.empty(1, each))
        except InputError as error:
            refused = error
    assert refused is not None
    raise refused


def _memory(model: nn.Module, config: Mapping[str, Any], known: Known) -> None:
    """Refuse a model that training cannot hold in this machine's memory."""
    need = BYTES * sum(p.numel() for p in model.parameters()) + sum(b.nbytes for b in model.buffers())
    if known.longest is not None:
        need += _attention(config["backbone"], known.longest)
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if need > have:
        largest = max((*model.named_parameters(), *model.named_buffers()), key=lambda named: named[1].numel())
        sizes = ", ".join(size for group in ("backbone", "representation") for size in _sizes(config[group], group))
        raise InputError(
            f"training this model takes about {need / GIB:,.0f} GiB of memory, and this machine has {have / GIB:,.0f}:"
            f" most of it is {largest[0]} {tuple(largest[1].shape)}; type smaller sizes ({sizes})"
        )


def _attention(knobs: Mapping[str, Any], longest: int) -> int:
    """Bytes of attention weights, their dropout and their gradients, of a row at least and of all parts."""
    longest = min(longest, knobs.get("length", longest))
    own = 3 * 4 * knobs["layers"] * knobs["heads"] * longest**2 if "heads" in knobs else 0
    return own + sum(_attention(part, longest) for part in knobs.values() if isinstance(part, Mapping))


def _sizes(knobs: Mapping[str, Any], name: str) -> list[str]:
    """Sizes of a model as they are typed, those of its parts too."""
    own = [f"{name}.{k}={v}" for k, v in knobs.items() if k in SIZES]
    nested = [size for k, v in knobs.items() if isinstance(v, Mapping) for size in _sizes(v, f"{name}.{k}")]
    return own + nested


def _metrics(config: Mapping[str, Any], known: Known) -> None:
    ranking = config["ranking"]
    one_of("ranking", ranking, RANKINGS)
    for name, least in config["llm_esr_groups"].items():
        if least is not None and (isinstance(least, bool) or not isinstance(least, int) or least < 1):
            raise InputError(
                f"llm_esr_groups.{name}={least}: give a whole number, 1 or more, or null for no such groups"
            )
    if ranking == "sampled" and known.num_items is not None and known.longest is not None:
        left = known.num_items - known.longest
        if left < NEGATIVES and known.interactions and known.split:
            left = _fewest_unmet(Interactions.load(known.interactions), Split.load(known.split))
        elif known.num_items > NEGATIVES:  # longest histories may repeat items, so this is not certain yet
            left = NEGATIVES
        if left < NEGATIVES:
            raise InputError(
                f"ranking=sampled draws {NEGATIVES} items that a user has not met, and one user has met all but {left}"
                f" of {known.num_items}: take ranking=full"
            )


def _fewest_unmet(interactions: Interactions, split: Split) -> int:
    """Of all cases, the fewest items that are neither in the history nor the target."""
    rows = [
        (begin, target + 1)
        for part in (split.valid, split.test)
        for begin, target in zip(part.history_begin(interactions), part.target, strict=True)
    ]
    return interactions.num_items - max(len(set(interactions.item[slice(*each)].tolist())) for each in rows)
