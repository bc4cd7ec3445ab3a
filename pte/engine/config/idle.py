"""Knobs that were typed and change nothing in this run: each gets one sentence.

They are not refused, since a sweep gives the same words to jobs that read them and to jobs that do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from hydra.utils import get_class
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pte.engine.config.secret import leaves

TEXT = ("profiler", "encoder", "reward", "selector")  # read by stages that only text needs
UNTRAINED_READS = ("trainer.accelerator", "trainer.scores_mib", "trainer.monitor")
# A knob, the knob that decides whether it is read, and the values under which it is.
READ_WITH: dict[str, tuple[str, tuple[Any, ...]]] = {
    "representation.hidden": ("representation.head", ("mlp",)),
    "representation.dropout": ("representation.head", ("mlp",)),
    "representation.heads": ("representation.cross_attention", (True, "residual")),
    "representation.mask": ("representation.form", ("masked",)),
    "representation.sample": ("representation.form", ("cosine", "infonce")),
    "representation.temperature": ("representation.form", ("infonce", "masked")),
}
# A knob, and those of which one must be given for it to be read.
READ_BESIDE = {
    "dataset.rules.cut_seed": ("dataset.rules.max_users",),
    "dataset.rules.cut_length": ("dataset.rules.max_users", "dataset.rules.max_items"),
}
READ_BY = {  # a part of backbone=fused, and the experts that read it
    "reader": ("reader",), "likeness": ("likeness", "carried"), "memory": ("memory", "carried"),
    "neighbors": ("carried",), "profile": ("profile",),
}  # fmt: skip


def notes(config: Mapping[str, Any], typed: Sequence[str], text: bool) -> list[str]:
    """A sentence for every override that changes nothing. text: whether representation or backbone reads any."""
    backbone: Any = get_class(config["backbone"]["_target_"])
    selector: Any = get_class(config["selector"]["_target_"])
    untrained = backbone.trained is False
    sentences = []
    for word in typed:
        name = word.lstrip("+~").partition("=")[0]
        group, knob, _ = name.partition(".")
        if name == "refit" and not (text and selector.reads_reward):
            sentences.append(f"{word} changes nothing: no selector reads a reward, so texts are final at once")
        if not knob or word.startswith("--"):  # an option, which a sweep chooses for all its jobs
            continue
        if group in TEXT and not text:
            sentences.append(f"{word} changes nothing: no text is read on the way to this table")
        elif untrained and group in ("optimizer", "trainer") and name not in UNTRAINED_READS:
            sentences.append(f"{word} changes nothing: this backbone is counted, not trained")
        elif ".fit." in name and _same_without(config, word, typed):
            sentences.append(
                f"{word} changes nothing: {_option(config)} has numbers of its own; type the knob it is for"
            )
        elif name in READ_WITH:
            other, values = READ_WITH[name]
            own, _, last = other.partition(".")
            if last in config[own] and config[own][last] not in values:
                usual = " or ".join(str(value).lower() for value in values)
                sentences.append(
                    f"{word} changes nothing under {other}={str(config[own][last]).lower()}: it is for {usual}"
                )
        elif reason := _alone(config, name):
            sentences.append(f"{word} changes nothing: {reason}")
    if text and config["profiler"].get("num_candidates") == 1 and config["selector"]["_target_"].endswith(".GRPO"):
        sentences.append("profiler.num_candidates=1 leaves selector=grpo nothing to choose: it gives what first gives")
    return sentences


def _alone(config: Mapping[str, Any], name: str) -> str:
    """Why a knob is not read where that depends on another being set; "" where it is read."""
    given = {key for key, value in leaves(config) if value is not None}
    group, part, *_ = name.split(".")
    experts = config["backbone"].get("experts")
    if name in READ_BESIDE and not given.intersection(READ_BESIDE[name]):
        return f"it goes with {' or '.join(READ_BESIDE[name])}"
    if name == "representation.null_space.share" and (
        others := given & {"representation.null_space.dim", "representation.null_space.threshold"}
    ):
        return f"{min(others)} is given, and stands in its place"
    if group == "backbone" and isinstance(experts, list) and not set(READ_BY.get(part, experts)) & set(experts):
        return f"it is read by {' and '.join(READ_BY[part])}, not among backbone.experts=[{','.join(experts)}]"
    return ""


def _same_without(config: Mapping[str, Any], word: str, typed: Sequence[str]) -> bool:
    """Whether the configuration but its `fit` parts is the same where the word was not typed."""
    others = [other for other in typed if other != word and not other.startswith("--")]
    try:
        other = OmegaConf.to_container(compose("config", overrides=others), resolve=True)
    except (HydraException, OmegaConfBaseException):  # the others make sense with this word alone
        return False
    return _without_fit(other) == _without_fit(config)


def _without_fit(value: Any) -> Any:
    return {k: _without_fit(v) for k, v in value.items() if k != "fit"} if isinstance(value, Mapping) else value


def _option(config: Mapping[str, Any]) -> str:
    return f"backbone {str(config['backbone']['_target_']).rpartition('.')[2]}"
