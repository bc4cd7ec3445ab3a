"""Knobs that were typed and change nothing in this run: each gets one sentence.

They are not refused, since a sweep gives the same words to jobs that read them and to jobs that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from hydra.utils import get_class
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pte.paths import expanded
from pte.schema import typed
from pte.schema.knob import leaves, own_knobs

Test = Callable[[Any], bool]

TEXT = ("profiler", "encoder", "reward", "selector")  # read by stages that only text needs
UNTRAINED_READS = ("trainer.accelerator", "trainer.scores_mib", "trainer.monitor")
# Knobs of a group or of a part in it, a knob beside them, the values of that one under which they are read, and what
# they are for.
READ_WITH: list[tuple[str, tuple[str, ...], str, Test, str]] = [
    ("representation", ("hidden", "dropout"), "head", lambda v: v == "mlp", "head=mlp"),
    ("representation", ("heads",), "cross_attention", lambda v: v is not False, "cross_attention true or residual"),
    ("representation", ("mask",), "form", lambda v: v == "masked", "form=masked"),
    ("representation", ("sample",), "form", lambda v: v in ("cosine", "infonce"), "form cosine or infonce"),
    ("representation", ("temperature",), "form", lambda v: v in ("infonce", "masked"), "form infonce or masked"),
    ("representation", ("form", "temperature", "sample", "mask"), "weight", bool, "a weight above 0"),
    ("representation", ("neighbors", "pool"), "alpha", bool, "an alpha above 0"),
    ("representation", ("eps",), "whiten", bool, "whiten=true"),
    ("representation", ("eps",), "standardise", bool, "standardise=true"),
    ("backbone", ("distance_power",), "window", lambda v: v > 1, "windows above 1"),
    ("backbone", ("recency", "window"), "length", lambda v: v > 1, "histories longer than 1"),
    ("backbone", ("c",), "alpha", lambda v: v > 0, "an alpha above 0"),
    ("backbone", ("heads", "attention_dropout"), "alpha", lambda v: v < 1, "an alpha below 1"),
    ("protocol", ("min_visible",), "withhold", bool, "a withhold above 0"),
    ("protocol", ("shares",), "file", lambda v: v is None, "a draw of users, and a file parts them"),
    ("protocol", ("unknown_share",), "file", bool, "protocol.file"),
    ("protocol", ("shares",), "valid_from", lambda v: v is None, "parts without dates"),
    ("profiler", ("stop",), "rounds", lambda v: v > 3, "more than three rounds"),
    ("profiler", ("item_forms", "choosers"), "sides", lambda v: "item" in v, "sides with item in them"),
    ("profiler", ("user_forms",), "sides", lambda v: "user" in v, "sides with user in them"),
    ("profiler", ("top_k", "top_p"), "temperatures", any, "temperatures above 0"),
    ("profiler", ("revision",), "model", lambda v: v is None or _on_hub(v), "names on the hub"),
    ("encoder", ("revision",), "model", lambda v: v is None or _on_hub(v), "names on the hub"),
    ("encoder", ("sha256",), "model", lambda v: v is None or ":" in str(v), "addresses such as pypi: or https:"),
    ("dataset", ("time_format",), "timestamp", bool, "a column of times"),
    ("dataset", ("max_tags",), "layout", lambda v: v == "latest", "the latest sets: others have no tags"),
]
# A knob, and those of which one must be given for it to be read.
READ_BESIDE = {
    "dataset.rules.cut_seed": ("dataset.rules.max_users",),
    "dataset.rules.cut_length": ("dataset.rules.max_users", "dataset.rules.max_items"),
    "dataset.rating": ("dataset.min_rating",),
}
READ_BY = {  # a part of backbone=fused, and the experts that read it
    "reader": ("reader",), "likeness": ("likeness", "carried"), "memory": ("memory", "carried"),
    "neighbors": ("carried",), "profile": ("profile",), "long_recency": ("likeness", "memory", "carried"),
    "likeness.recency": ("likeness",), "likeness.neighbors": ("likeness",),
}  # fmt: skip


def notes(config: Mapping[str, Any], typed: Sequence[str], text: bool) -> list[str]:
    """A sentence for every override that changes nothing. text: whether representation or backbone reads any."""
    selector: Any = get_class(config["selector"]["_target_"])
    sentences = []
    for word in typed:
        name = word.lstrip("+~").partition("=")[0]
        if word.startswith("--") or isinstance(config.get(name), Mapping):  # an option, which a sweep chooses for all
            continue
        if ".fit." in name and _same_without(config, word, typed):
            reason = f"{_option(config)} has numbers of its own; type the knob it is for"
        else:
            reason = _of_stage(config, name, text) or _alone(config, name) or _beside(config, name)
        if reason:
            sentences.append(f"{word} changes nothing{' ' if reason.startswith('beside') else ': '}{reason}")
    option, chooses = _named(config, "selector"), selector.reads_reward or "seed" in config["selector"]
    if text and config["profiler"].get("num_candidates") == 1 and chooses and option != "selector=permuted":
        sentences.append(f"profiler.num_candidates=1 leaves {option} nothing to choose: it gives what first gives")
    return sentences


def _of_stage(config: Mapping[str, Any], name: str, text: bool) -> str:
    """Why no stage of this run reads a knob, "" where one may."""
    group, knob, _ = name.partition(".")
    backbone: Any = get_class(config["backbone"]["_target_"])
    selector: Any = get_class(config["selector"]["_target_"])
    untrained = backbone.trained is False or (backbone.stacked and not backbone.trains_reader(config["backbone"]))
    if name == "until" and config["stage"]:
        return f"stage={config['stage']} runs that stage alone"
    if name == "refit" and not (text and selector.reads_reward):
        return "no selector reads a reward, so texts are final at once"
    if (name == "encoded" and not text) or (knob and group in TEXT and not text):
        return "no text is read on the way to this table"
    if group == "reward" and not selector.reads_reward:
        return f"{_named(config, 'selector')} reads no reward, which is logged alone"
    if untrained and group in ("optimizer", "trainer") and name not in UNTRAINED_READS:
        return "this backbone is counted, not trained"
    if untrained and knob and group == "representation" and (backbone.stacked or not backbone.uses_text):
        return "this backbone is counted, and reads no vectors of items"
    if name == "seed" and untrained and not backbone.stacked and config["ranking"] == "full":
        return "nothing is drawn: this backbone is counted and the ranking is full"
    if name in ("protocol.withhold", "protocol.min_visible") and not text:
        return "it keeps rows out of texts, and none is read"
    if not text and (name == "protocol.holdout" or (name == "protocol.seed" and _parted(config["protocol"]))):
        return "it is of rows that are kept out of texts, and none is read"
    return ""


def _beside(config: Mapping[str, Any], name: str) -> str:
    """Why a knob is not read beside the value of another one of its part."""
    above, _, leaf = name.rpartition(".")
    part: Any = config
    for key in above.split("."):
        part = part.get(key) if isinstance(part, Mapping) else None
    for group, knobs, other, read, purpose in READ_WITH:
        own = part if isinstance(part, Mapping) and other in part else config.get(group, {})
        if above.partition(".")[0] == group and leaf in knobs and other in own and not _reads(read, own[other]):
            where = above if own is part else group
            return f"beside {where}.{other}={typed(own[other])}: it is for {purpose}"
    return ""


def _alone(config: Mapping[str, Any], name: str) -> str:
    """Why a knob is not read where that depends on others in ways of their own; "" where it is read."""
    given = {key: value for key, value in leaves(config) if value is not None}
    group, part = name.partition(".")[0], name.partition(".")[2].partition(".")[0]
    own, experts = config[group] if isinstance(config.get(group), Mapping) else {}, _experts(config)
    if name in READ_BESIDE and not given.keys() & READ_BESIDE[name]:
        return f"it goes with {' or '.join(READ_BESIDE[name])}"
    if name == "representation.null_space.share" and (
        others := given.keys() & {"representation.null_space.dim", "representation.null_space.threshold"}
    ):
        return f"{min(others)} is given, and stands in its place"
    readers = READ_BY.get(name.removeprefix("backbone."), READ_BY.get(part)) if group == "backbone" else None
    if readers and experts and not experts & set(readers):
        among = f"backbone.experts=[{','.join(config['backbone']['experts'])}]"
        return f"it is read by {' and '.join(readers)}, not among {among}"
    if (
        name == "backbone.gate_features"
        and own["gate_features"] == ["popularity"]
        and not experts & {"memory", "carried"}
    ):
        return "popularity goes with an expert that counts, memory or carried"
    if name == "representation.width" and own.get("head") == "none" and "id_share" not in own:
        return "under representation.head=none item vectors have representation.components numbers"
    if name == "representation.scale" and own.get("standardise") and "representation.null_space.threshold" not in given:
        return "it is for representation.standardise=false, or representation.null_space.threshold"
    if name in ("representation.std", "representation.least_std") and "least_std" in own:
        larger = max(("std", "least_std"), key=lambda knob: _number(own[knob]))
        return "" if name.endswith(f".{larger}") else f"representation.{larger}={own[larger]} is larger, and counts"
    if name == "selector.objective.clip" and own.get("inner_epochs") == 1:
        return "it is for selector.inner_epochs above 1: a first step is at a ratio of 1"
    if name.startswith("reward.parts.") and given.get(weight := f"reward.weights.{name.split('.')[2]}") == 0:
        return f"{weight}=0, so that part is logged alone"
    if name in ("dataset.separator", "dataset.quoting") and _tables(own) == {".parquet"}:
        return "both tables are Parquet, which says itself how it is written"
    if name == "protocol.seed" and not own.get("withhold") and not own.get("holdout") and _parted(own):
        return "no row is withheld or held out, so nothing is drawn"
    if name == "trainer.patience":
        every, most = _number(own.get("check_val_every_n_epoch")), _number(own.get("max_epochs"))
        if _number(own.get("patience")) * every >= most:
            return f"training ends with trainer.max_epochs={most} before so many validations"
    if name == "trainer.oversubscribe" and own.get("devices") == 1:
        return "it is for more than one of trainer.devices"
    if (
        name in ("backbone.sphere", "backbone.target_gradient")
        and config["representation"].get("head") == "none"
        and ("id_share" not in config["representation"])
    ):
        return "no vector of an item is trained under representation.head=none"
    return ""


def _experts(config: Mapping[str, Any]) -> set[str]:
    """Of backbone=fused; none of others."""
    experts = config["backbone"].get("experts")
    return set(map(str, experts)) if isinstance(experts, list) else set()


def _parted(protocol: Mapping[str, Any]) -> bool:
    """Whether train, validation and test are parted without a draw."""
    return "file" not in protocol or protocol["file"] is not None


def _reads(test: Test, value: Any) -> bool:
    try:
        return bool(test(value))
    except TypeError:  # of another kind: for others to refuse
        return True


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else float("nan")


def _on_hub(model: Any) -> bool:
    """Whether a model is fetched from the hub, and not of an address or a folder."""
    return ":" not in str(model) and not expanded(str(model)).exists()


def _tables(dataset: Mapping[str, Any]) -> set[str]:
    return {Path(str(dataset[role])).suffix.lower() for role in ("interactions", "items") if dataset.get(role)}


def _same_without(config: Mapping[str, Any], word: str, typed: Sequence[str]) -> bool:
    """Whether the configuration but its `fit` parts is the same where the word was not typed."""
    others = [other for other in typed if other != word and not other.startswith("--")]
    try:
        other: Any = OmegaConf.to_container(compose("config", overrides=others), resolve=True)
    except (HydraException, OmegaConfBaseException):  # the others make sense with this word alone
        return False
    return own_knobs(other) == own_knobs(config)


def _option(config: Mapping[str, Any]) -> str:
    return f"backbone {str(config['backbone']['_target_']).rpartition('.')[2]}"


def _named(config: Mapping[str, Any], group: str) -> str:
    """As it is typed: an option is called as the module of its class."""
    return f"{group}={config[group]['_target_'].split('.')[-2]}"
