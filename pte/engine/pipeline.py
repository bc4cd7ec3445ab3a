"""One run from raw files to a table: find what is there, make what is missing, deliver."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig, OmegaConf

from pte.artifact import Store, acquire, read_manifest
from pte.engine import dry_run, plan, provenance, run_folder, tracking
from pte.engine.build import builder, trains_reader, uses_language_model
from pte.engine.config import idle, secret
from pte.engine.plan import EXTRA, LAST, STAGES, Step
from pte.engine.process import launch
from pte.engine.process.device import process_count
from pte.engine.run_log import run_log
from pte.engine.tracking import Identity
from pte.paths import expanded
from pte.schema import InputError, Interactions, Split, require, typed, visible_view
from pte.schema.context import Context
from pte.train.curve import log_curve

logger = logging.getLogger(__name__)

FORECASTS: dict[tuple[str, str], list[str]] = {}  # by key and knobs of profiles: a sweep's jobs measure a model once

AUTO = "pte.profiler.auto.Auto"  # chooses another profiler


def execute(step: Step, context: Context, store: Store, config: Mapping[str, Any], run_dir: Path, lock: int) -> Path:
    """Run one stage and publish what it made; training on several devices goes to a process group of its own."""
    processes = process_count(config["trainer"]) if plan.trains(step) else 1
    facts: dict[str, Any] = {"parents": step.parents, "knobs": secret.redacted(step.knobs), **provenance.facts()}
    began, energy = time.perf_counter(), provenance.energy()
    with store.publish(step.name, step.key, facts) as out:
        context = replace(context, out=out)
        if processes > 1:
            launch.launch(step.name, context, config, processes, run_dir / "run.log", lock)
        else:
            step.module().run(context)
        store.register(run_dir)  # a store begins with what it holds: not with a plan, nor with data it cannot read
        if (file := out / "facts.json").is_file():
            facts["facts"] = json.loads(file.read_text(encoding="utf-8"))
        facts |= {
            "wall_seconds": round(time.perf_counter() - began, 2),
            "energy_joules": provenance.energy_joules(energy),
            "peak_memory_mib": provenance.peak_memory_mib(),
            "gpu": provenance.gpu(elsewhere=processes > 1 and config["trainer"]["accelerator"] != "cpu"),
        }
    shutil.rmtree(context.work, ignore_errors=True)  # only needed to get here
    return store.path(step.name, step.key)


def overhead(step: Step, path: Path) -> str:
    """What a group of processes took beside training: to start, import, load and end; "" where one process trained."""
    manifest = read_manifest(path) or {}
    facts = manifest.get("facts") or {}
    if not plan.trains(step) or facts.get("processes", 1) == 1:
        return ""
    seconds = manifest["wall_seconds"] - facts["fit_seconds"]
    return f", {seconds:.1f} s of them beside training: {facts['processes']} processes, data and model"


@contextmanager
def exclusive(context: Context, step: Step) -> Iterator[int]:
    """Until no other process makes the same artefact. The lock, a file descriptor, ends with its process, however that
    ends, and with the last process that was handed it.
    """
    while (lock := _lock(context.work, step)) is None:  # the process waited for has removed the folder
        continue
    try:
        yield lock
    finally:
        os.close(lock)


def _lock(work: Path, step: Step) -> int | None:
    """A locked descriptor of the work folder, which is made; None where another folder has that name by now."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(work, os.O_RDONLY)
    except FileNotFoundError:
        return None
    acquire(descriptor, f"{step.name:<13} {step.key[:16]}  waiting: another process is making it")
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), work.stat()):
            return descriptor
    os.close(descriptor)
    return None


def _folder(place: Any) -> Path:
    """Of the store: an InputError where a job's own number was to name it, and it has none."""
    require(place is not None, "paths.store", place, "give a folder; ${hydra:job.num} is known in a sweep (-m) alone")
    return expanded(str(place), "paths.store").resolve()


class Run:
    """One run: its plan, its finished stages, and the messages about them."""

    def __init__(self, cfg: DictConfig, run_dir: Path, identity: Identity) -> None:
        self.run_dir, self.identity = run_dir, identity
        self.config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
        self.target: str = self.config["stage"] or self.config["until"]
        if self.target not in (known := [*STAGES, *EXTRA, LAST]):
            knob = "stage" if self.config["stage"] else "until"
            raise InputError(
                f"{knob}={typed(self.target)}: there is no such stage. Stages in order: {', '.join(known)}"
            )
        if self.target == "reader" and not trains_reader(self.config):
            raise InputError("this backbone has no reader that is trained in a stage of its own: type until=training")
        self.store = Store(_folder(self.config["paths"]["store"]))
        self.done: dict[str, Path] = {}
        self.loggers: list[Any] = []
        run_dir.mkdir(parents=True, exist_ok=True)

    def context(self, step: Step) -> Context:
        work = self.store.root / "work" / step.name / step.key[:16]
        work.mkdir(parents=True, exist_ok=True)
        module = step.module()
        return Context(
            config={name: self.config[name] for name in module.READS},
            parents={name: self.done[name] for name in step.parents},
            out=work,
            work=work,
            build=builder(self.config),
            loggers=[*self.loggers, *self.identity.watchers],
        )

    def resolve(self) -> None:
        """Replace profiler=auto by what its rule says, which needs the interactions' counts."""
        auto = self.config["profiler"]
        if auto["_target_"] != AUTO or "profiles" not in plan.names_to(self.target, self.config):
            return
        import torch

        first = self.planned(["interactions"])
        path = self.make(first[0])
        data = Interactions.load(path)
        accelerator = torch.cuda.is_available() or torch.backends.mps.is_available()
        choice = builder(self.config)("profiler").choose(data.num_users, data.num_items, accelerator)
        option = compose("config", overrides=[f"profiler={choice.option}"]).profiler
        knobs: Any = OmegaConf.to_container(option, resolve=True)
        self.identity = replace(self.identity, options={**self.identity.options, "profiler": choice.option})
        self.config["profiler"] = {**knobs, **{k: auto[k] for k in ("num_candidates", "rounds") if k in knobs}}
        logger.info(f"\n{choice.sentence}\n")

    def planned(self, names: list[str]) -> list[Step]:
        """The stages' keys of a configuration that passes its checks, written down before anybody could take an
        artefact for one that no run names.
        """
        with self.store.planning():
            steps = plan.steps(self.config, self.store, names)
            self.check(steps)
            run_folder.save_keys(self.store.root, {step.name: step.key for step in steps}, self.run_dir)
        return steps

    def make(self, step: Step) -> Path:
        """The step's artefact: found, or made now."""
        if step.name in self.done:
            return self.done[step.name]
        if step.path is not None:
            return self.reuse(step, step.path)
        if self.store.exists(step.name, step.key):
            logger.info(f"{step.name:<13} {step.key[:16]}  is damaged or incomplete: making it again")
        with exclusive(context := self.context(step), step) as lock:
            path = self.store.find(step.name, step.key)
            if path is not None:  # another process has made it meanwhile
                self.store.register(self.run_dir)
                self.store.remove_empty(context.work)
                return self.reuse(step, path)
            logger.info(f"{step.name:<13} {step.key[:16]}  ...")
            began = time.perf_counter()
            try:
                self.done[step.name] = execute(step, context, self.store, self.config, self.run_dir, lock)
            except BaseException:
                self.store.remove_empty(context.work, self.store.root / step.name)
                raise
            seconds, note = time.perf_counter() - began, overhead(step, self.done[step.name])
            logger.info(f"{step.name:<13} {step.key[:16]}  made in {seconds:.1f} s{note}")
        return self.done[step.name]

    def reuse(self, step: Step, path: Path) -> Path:
        """An artefact that is there, and its curve; where a reader was trained apart, that is in the reader's step."""
        logger.info(f"{step.name:<13} {step.key[:16]}  found")
        if plan.trains(step) or step.name != "training":
            log_curve(self.loggers, "training" if plan.trains(step) else step.name, path)
        self.done[step.name] = path
        return path

    def check(self, steps: list[Step]) -> None:
        """Build and check the whole configuration, against the data as far as they have been read."""
        paths = {step.name: step.path for step in steps if step.path} | self.done
        missing = any(step.name == "embeddings" and step.path is None for step in steps)
        tracking.check(self.config)
        dry_run.run(
            self.config,
            plan.names_to(self.target, self.config),
            dry_run.Known.of(paths),
            download=missing and not self.config["plan"],
        )

    def log_forecast(self, steps: list[Step]) -> None:
        """What would be requested of a language model, where there is one; reads the data and stores nothing."""
        artefact = {step.name: step.path for step in steps}
        if artefact.get("profiles", True) is not None or not uses_language_model(self.config):
            return
        profiles = (next(step.key for step in steps if step.name == "profiles"), str(self.config["profiler"]))
        if profiles not in FORECASTS:
            build, (data, split) = builder(self.config), (artefact["interactions"], artefact["split"])
            rows = Interactions.load(data) if data else build("dataset").read()
            view = visible_view(rows, Split.load(split) if split else build("protocol")(rows))
            FORECASTS[profiles] = build("profiler").forecast(view)
        for line in FORECASTS[profiles]:
            logger.info(line)

    def make_all(self, steps: list[Step]) -> None:
        """The steps' artefacts in order; what the data decide is checked as soon as they have been read."""
        for step in steps:
            self.make(step)
            if step.name == "split" and step.path is None:
                self.check(steps)

    def complete(self, steps: list[Step]) -> dict[str, float]:
        """All stages under open loggers, then the run folder's files."""
        keys = {step.name: step.key for step in steps}
        self.loggers = tracking.open_loggers(self.config, self.run_dir, self.identity, keys)
        succeeded = False
        try:
            self.make_all(steps)
            metrics = run_folder.deliver(
                self.done, self.config, self.identity.options, self.identity.words, self.run_dir
            )
            tracking.deliver(self.loggers, metrics, self.config["trainer"]["monitor"], self.done)
            succeeded = True
            return metrics
        finally:
            tracking.finish(self.loggers, succeeded)


def run(cfg: DictConfig, run_dir: Path, identity: Identity) -> dict[str, float] | None:
    """Plan, do what is missing, deliver. Returns the metrics, None where the run is to stop before them.

    A job of a sweep that has ended in this folder before is not repeated.
    """
    with run_log(run_dir / "run.log"):
        return to_the_target(Run(cfg, run_dir, identity))


def to_the_target(this: Run) -> dict[str, float] | None:
    """The stages that a run's configuration requests, in order."""
    target, run_dir = this.target, this.run_dir
    logger.info(f"run folder    {run_dir}")
    for note in idle.notes(this.config, this.identity.words, "selection" in plan.stage_names(this.config)):
        logger.info(f"note: {note}")
    this.resolve()
    this.config["encoded"] = plan.encoded(this.config)
    run_folder.save_config(this.config, run_dir)
    steps = this.planned(plan.names_to(target, this.config))
    for line in plan.table(this.store, steps):
        logger.info(line)
    if this.config["plan"]:
        this.log_forecast(steps)
        return None
    if this.config["stage"]:
        plan.require_parents(steps, target)
    if any(plan.trains(step) and step.path is None for step in steps):
        process_count(this.config["trainer"])  # refused before anything is made
    if target != LAST:
        this.make_all(steps)
        return None
    if this.identity.group and (metrics := run_folder.finished(run_dir, {step.name: step.key for step in steps})):
        logger.info("finished before: nothing to do")
        return metrics
    return this.complete(steps)
