"""The order of the stages and their keys: what a run would make, and what is there already.

A stage's key is a hash of its name and VERSION, the knobs of the config groups it READS (but those that are marked,
pte/schema/knob), and its parents' keys; the chain is rooted in the sha256 of the raw files, and of models that lie in
local folders. So a changed knob rebuilds what depends on it, no more.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pte.artifact import Store, digest, read_manifest
from pte.asset import knob_content, named_content
from pte.engine.build import apart, builder, flag, reads_users, trains_reader, uses_language_model
from pte.schema import InputError
from pte.schema.knob import MARKS, leaves, own_knobs

STAGES = ("interactions", "split", "profiles", "embeddings", "selection", "refit", "reader", "training", "metrics")
EXTRA = ("audit",)  # run by name, not on the way to a table
LAST = "report"
METADATA = "pte.profiler.none.MetadataProfiler"


@dataclass(frozen=True)
class Step:
    """One stage of a planned run."""

    name: str
    key: str
    parents: Mapping[str, str]  # keys by stage name
    knobs: Mapping[str, Any]
    path: Path | None  # the finished artefact, None = a miss

    def module(self) -> ModuleType:
        return stage_module(self.name)


def stage_module(name: str) -> ModuleType:
    return importlib.import_module(f"pte.stage.{name}")


def stage_names(config: Mapping[str, Any]) -> list[str]:
    """The stages a table needs: without the profile stages where neither representation nor backbone reads text,
    without a second writing where no reward judged the texts or vectors come by id, and without a reader where the
    backbone has none that is trained apart."""
    left_out: tuple[str, ...] = () if trains_reader(config) else ("reader",)
    if not any(flag(config, group, "uses_text") for group in ("representation", "backbone")):
        left_out += ("profiles", "embeddings", "selection", "refit")
    elif not refits(config):
        left_out += ("refit",)
    return [name for name in STAGES if name not in left_out]


def refits(config: Mapping[str, Any]) -> bool:
    """Whether items' texts are written once more after the choice: not where vectors come by id."""
    judged, by_id = flag(config, "selector", "reads_reward"), flag(config, "encoder", "reads_ids")
    return bool(config["refit"] and judged and not by_id)


def trains(step: Step) -> bool:
    """Whether a step is where gradients are followed, if any are, alone or in a process group."""
    return step.name == "reader" or (step.name == "training" and "reader" not in step.parents)


def knobs_of(module: ModuleType, config: Mapping[str, Any]) -> dict[str, Any]:
    """What of the config goes into a stage's key: the groups it reads, or what it says of them, less what is marked."""
    groups = module.knobs(config) if hasattr(module, "knobs") else {name: config[name] for name in module.READS}
    return apart(own_knobs(groups), config, *MARKS)[0]


def encoded(config: Mapping[str, Any]) -> list[str]:
    """Whose texts are encoded: what selection and backbone read.

    One candidate leaves nothing to judge, so items' alone; several are judged beside metadata, and a selector that
    reads the reward chooses for users too.
    """
    if flag(config, "encoder", "reads_ids") and config["profiler"]["_target_"] != METADATA:
        raise InputError("encoder=imported brings vectors by id and reads no profile: type profiler=none with it")
    if flag(config, "encoder", "reads_ids") and reads_users(config):
        raise InputError(
            "encoder=imported brings vectors of items alone, and profile of backbone.experts reads users': take another"
            " encoder, or leave profile out"
        )
    judged = config["profiler"].get("num_candidates") != 1
    read = ["item"] + ["metadata"] * judged
    if (judged and flag(config, "selector", "reads_reward")) or reads_users(config):
        read.append("user")
    sides = read if config["encoded"] == "auto" else config["encoded"]
    if not isinstance(sides, list) or not set(sides) <= {"item", "metadata", "user"}:
        raise InputError(f"encoded={sides}: give auto, or a list out of item, metadata and user: encoded=[item,user]")
    if missing := [side for side in read if side not in sides]:
        raise InputError(f"encoded=[{','.join(sides)}]: {' and '.join(missing)} texts are read too: type encoded=auto")
    return sorted(set(sides))


def steps(config: Mapping[str, Any], store: Store, names: list[str]) -> list[Step]:
    """Every stage's key, and whether its artefact is there. Reads hashes of raw files and local models, no more."""
    plan: dict[str, Step] = {}
    for name in names:
        module = stage_module(name)
        parents = {p: plan[p].key for p in module.PARENTS if p in plan}
        knobs = knobs_of(module, config)
        facts: dict[str, Any] = {"stage": name, "version": module.VERSION, "knobs": knobs, "parents": parents}
        if name == "interactions":
            facts["roots"] = module.roots(builder(config)("dataset"))
        if "profiler" in knobs and uses_language_model(config):
            from pte.profiler.language import LanguageModelProfiler  # workers need the names of stages alone

            facts["style"] = LanguageModelProfiler.wording(**config["profiler"])
        if "encoder" in knobs:
            facts["encoder"] = builder(config)("encoder").identity()
        groups = module.knobs(config) if hasattr(module, "knobs") else {group: config[group] for group in module.READS}
        if models := knob_content(groups) | _resolved(groups, config):
            facts["models"] = models
        key = digest(facts)
        plan[name] = Step(name, key, parents, knobs, store.find(name, key))
    return list(plan.values())


def _resolved(groups: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the files and folders that knobs marked Resolved name, by knob; a dataset gives its own fingerprint."""
    knobs = {group: value for group, value in own_knobs(groups).items() if group != "dataset"}
    hashes = {}
    for name, value in leaves(apart(knobs, config, "Resolved")[1]):
        if sha256 := named_content(value, name):
            hashes[name] = sha256
    return hashes


def table(store: Store, steps: Sequence[Step]) -> list[str]:
    """A line a stage: what is there, what is to be made, and the minutes the same classes took last for these data."""
    lines, total = [f"{'stage':<13} {'key':<16}  there  minutes"], 0.0
    for step in steps:
        seconds = None if step.path else last_seconds(store, step, steps[0].key)
        total += seconds or 0
        minutes = "" if step.path else "      –" if seconds is None else f"{seconds / 60:7.1f}"
        lines.append(f"{step.name:<13} {step.key[:16]}  {'hit' if step.path else 'miss':<5}  {minutes}".rstrip())
    if all(step.path for step in steps):
        return [*lines, "nothing is to be made"]
    known = f"about {total / 60:.1f} minutes, as last for these data; –: not yet measured"
    return [*lines, known if total else "minutes show once a stage was made for these data"]


def last_seconds(store: Store, step: Step, interactions: str) -> float | None:
    """Wall seconds of a stage's newest artefact that the same classes made of the same interactions."""
    folders = sorted((store.root / step.name).glob("[0-9a-f]*"), key=lambda folder: -folder.stat().st_mtime_ns)
    manifests = (read_manifest(folder) or {} for folder in folders)
    alike = (m for m in manifests if _classes(m.get("knobs", {})) == _classes(step.knobs))
    seconds = (m.get("wall_seconds") for m in alike if m.get("parents", {}).get("interactions") == interactions)
    return next((float(value) for value in seconds if value is not None), None)


def _classes(knobs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in leaves(knobs) if name.endswith("_target_")}


def names_to(target: str, config: Mapping[str, Any]) -> list[str]:
    """The stages up to a target, in order."""
    names = stage_names(config)
    if target == LAST:
        return names
    if target in names:
        return names[: names.index(target) + 1]
    without = tuple(name for name in ("refit", "reader") if name not in names)
    ancestors = _ancestors(target, without)  # of a stage that is not on this configuration's way to a table
    return [*(name for name in STAGES if name in ancestors), target]


def _ancestors(name: str, without: tuple[str, ...] = ()) -> set[str]:
    """The stages a stage builds on, whatever the representation, but for some and what these alone build on."""
    ancestors: set[str] = set()
    for parent in stage_module(name).PARENTS:
        if parent not in without:
            ancestors |= {parent} | _ancestors(parent, without)
    return ancestors


def require_parents(steps: list[Step], only: str) -> None:
    """stage=NAME runs one stage: all others must be there already."""
    missing = [step.name for step in steps if step.path is None and step.name != only]
    if missing:
        words = [a for a in sys.argv[1:] if not a.startswith(("stage=", "until=", "plan="))]
        command = " ".join(["python -m pte.run", *words, f"until={missing[-1]}"])
        raise InputError(f"stage={only} needs what is missing: {', '.join(missing)}. Make it with: {command}")
