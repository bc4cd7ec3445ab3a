"""One run from raw files to a table: find what is there, make what is missing, deliver."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig, OmegaConf

from pte.artifact import Store
from pte.engine import dry_run, idle, launch, plan, provenance, run_folder, secret
from pte.engine.build import builder, construct
from pte.engine.device import process_count
from pte.engine.plan import EXTRA, LAST, STAGES, Step
from pte.schema import InputError, Interactions
from pte.schema.context import Context
from pte.train.curve import log_found

AUTO = "pte.profiler.auto"  # the marker of profiler=auto


def execute(step: Step, context: Context, store: Store, config: Mapping[str, Any], log: Path, lock: int) -> Path:
    """Run one stage and publish what it made; training on several devices goes to a process group of its own."""
    processes = process_count(config["trainer"]) if step.name == "training" else 1
    facts: dict[str, Any] = {"parents": step.parents, "knobs": secret.redacted(step.knobs), **provenance.facts()}
    began = time.perf_counter()
    with store.publish(step.name, step.key, facts) as out:
        context = replace(context, out=out)
        if processes > 1:
            launch.launch(step.name, context, config, processes, log, lock)
        else:
            step.module().run(context)
        facts |= {
            "wall_seconds": round(time.perf_counter() - began, 2),
            "peak_memory_mib": provenance.peak_memory_mib(),
            "gpu": provenance.gpu(elsewhere=processes > 1 and config["trainer"]["accelerator"] != "cpu"),
        }
    shutil.rmtree(context.work, ignore_errors=True)  # only needed to get here
    return store.path(step.name, step.key)


@contextmanager
def alone(context: Context, step: Step) -> Iterator[int]:
    """Until no other process makes the same artefact. The lock, a file descriptor, ends with its process, however that
    ends, and with the last process that was handed it.
    """
    held = os.open(context.work, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            context.say(f"{step.name:<13} {step.key[:16]}  waiting: another process is making it")
            fcntl.flock(held, fcntl.LOCK_EX)
        context.work.mkdir(parents=True, exist_ok=True)  # the other one has removed it
        yield held
    finally:
        os.close(held)


class Run:
    """One configuration on its way: what is planned, what is done, and what the person sees of it."""

    def __init__(self, cfg: DictConfig, run_dir: Path, options: Mapping[str, str], group: str | None) -> None:
        self.run_dir, self.options, self.group = run_dir, dict(options), group
        self.config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
        self.target: str = self.config["stage"] or self.config["until"]
        if self.target not in (known := [*STAGES, *EXTRA, LAST]):
            knob = "stage" if self.config["stage"] else "until"
            raise InputError(f"{knob}={self.target}: there is no such stage. Stages in order: {', '.join(known)}")
        self.store = Store(Path(self.config["paths"]["store"]).expanduser().resolve())
        self.done: dict[str, Path] = {}
        self.loggers: list[Any] = []
        run_dir.mkdir(parents=True, exist_ok=True)

    def say(self, line: str) -> None:
        print(line, flush=True)
        with (self.run_dir / "run.log").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {line}\n")

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
            loggers=self.loggers,
            say=self.say,
        )

    def resolve(self) -> None:
        """Replace profiler=auto by what its rule says, which needs the interactions' counts."""
        auto = self.config["profiler"]
        if auto["_target_"] != AUTO or "profiles" not in plan.names_to(self.target, self.config):
            return
        import torch

        from pte.profiler.auto import count_generations, resolve_auto

        first = plan.steps(self.config, self.store, ["interactions"])
        self.rehearse(first)
        path = self.make(first[0])
        data = Interactions.load(path)
        wanted = count_generations(data.num_users, data.num_items, auto["num_candidates"], auto["rounds"])
        choice = resolve_auto(wanted, torch.cuda.is_available() or torch.backends.mps.is_available(), auto["limit"])
        option = compose("config", overrides=[f"profiler={choice.option}"]).profiler
        knobs = OmegaConf.to_container(option, resolve=True)
        self.options["profiler"] = choice.option
        self.config["profiler"] = {**knobs, **{k: auto[k] for k in ("num_candidates", "rounds") if k in knobs}}
        self.say(f"\n{choice.sentence}\n")

    def make(self, step: Step) -> Path:
        """The step's artefact: found, or made now."""
        if step.name in self.done:
            return self.done[step.name]
        if step.path is not None:
            self.say(f"{step.name:<13} {step.key[:16]}  found")
            self.done[step.name] = step.path
            log_found(self.loggers, step.name, step.path)
            return step.path
        if self.store.exists(step.name, step.key):
            self.say(f"{step.name:<13} {step.key[:16]}  is damaged or incomplete: making it again")
        with alone(context := self.context(step), step) as lock:
            path = self.store.find(step.name, step.key)
            if path is not None:  # another process has made it meanwhile
                self.say(f"{step.name:<13} {step.key[:16]}  found")
                self.done[step.name] = path
                return path
            self.say(f"{step.name:<13} {step.key[:16]}  ...")
            began = time.perf_counter()
            log = self.run_dir / "run.log"
            self.done[step.name] = execute(step, context, self.store, self.config, log, lock)
            self.say(f"{step.name:<13} {step.key[:16]}  made in {time.perf_counter() - began:.1f} s")
        return self.done[step.name]

    def rehearse(self, steps: list[Step]) -> None:
        """Build and check the whole configuration, against the data as far as they have been read."""
        found = {step.name: step.path for step in steps if step.path} | self.done
        missing = any(step.name == "embeddings" and step.path is None for step in steps)
        dry_run.run(
            self.config,
            plan.names_to(self.target, self.config),
            dry_run.Known.of(found),
            download=missing and not self.config["plan"],
        )

    def make_all(self, steps: list[Step]) -> None:
        """The steps' artefacts in order; what the data decide is checked as soon as they have been read."""
        for step in steps:
            self.make(step)
            if step.name == "split" and step.path is None:
                self.rehearse(steps)

    def to_the_end(self, steps: list[Step]) -> dict[str, float]:
        """All stages under open loggers, then the run folder's files."""
        self.loggers = run_folder.open_loggers(self.config, construct, self.run_dir, self.group)
        try:
            run_folder.record_keys(self.loggers, {step.name: step.key for step in steps})
            self.make_all(steps)
            return run_folder.deliver(self.done, self.config, self.options, self.loggers, self.run_dir)
        finally:
            run_folder.finish(self.loggers)


def run(
    cfg: DictConfig, run_dir: Path, options: Mapping[str, str], group: str | None = None, typed: Sequence[str] = ()
) -> dict[str, float] | None:
    """Plan, do what is missing, deliver. Returns the metrics, None where the run was asked to stop before them.

    options: which option of each config group was chosen. group: the sweep this run is a job of. typed: the
    overrides, of which those that change nothing are told.
    """
    this = Run(cfg, run_dir, options, group)
    target = this.target
    this.say(f"run folder    {run_dir}")
    for note in idle.notes(this.config, typed, "selection" in plan.stage_names(this.config)):
        this.say(f"note: {note}")
    this.resolve()
    this.config["encoded"] = plan.encoded(this.config)
    run_folder.save_config(this.config, run_dir)
    steps = plan.steps(this.config, this.store, plan.names_to(target, this.config))
    this.rehearse(steps)
    if this.config["plan"]:
        for step in steps:
            this.say(f"{step.name:<13} {step.key[:16]}  {'hit' if step.path else 'miss'}")
        return None
    if this.config["stage"]:
        plan.require_parents(steps, target)
    if any(step.name == "training" and step.path is None for step in steps):
        process_count(this.config["trainer"])  # refused before anything is made
    if target != LAST:
        this.make_all(steps)
        return None
    return this.to_the_end(steps)
