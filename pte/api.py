"""The command for notebooks: `result = pte.run(["dataset=Toys", "backbone=markov"])`, with what came out as tables.

It composes the configuration that the command would, and does what the command does; a mistake raises
`pte.schema.InputError` (a ValueError) with the sentence that the command would print.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from pte.artifact import Stored
from pte.engine import pipeline, tracking, validation
from pte.engine.config import secret
from pte.engine.config.composition import at_home
from pte.engine.config.source import names_as_typed
from pte.metric.summary import values
from pte.paths import CONF_DIR
from pte.report.compare.comparison import parse
from pte.report.inspect import export
from pte.report.runs import Ranked, Run, read
from pte.schema import InputError, Interactions, first_line

SIDES = ("item", "user")


@dataclass(frozen=True)
class Result:
    """A run's folder and what is in it."""

    folder: Path

    @cached_property
    def metrics(self) -> Mapping[str, float]:
        """{"test/masked/all/NDCG@10": ...}: PART/RANKING/GROUP/METRIC."""
        return self._run.metrics

    @property
    def ranks(self) -> Mapping[str, Ranked]:
        """Of part "test" or "valid": 0-based `rank["masked"]`, `user`, `target` (see `ids`), `group["all"]`."""
        return self._run.parts

    def ids(self, side: str) -> list[str]:
        """The data's own ids: of user number u in place u, of item number i in place i (place 0 is padding, "")."""
        interactions = self._interactions
        return interactions.items.item_id if _side(side) == "item" else interactions.user_id

    def profiles(self) -> pl.DataFrame:
        """Every candidate text: side, id, candidate, text, selected."""
        stored = self._stored
        return export.profile_rows(self._interactions, export.texts(stored), export.before_refit(stored))

    def vectors(self, side: str) -> pl.DataFrame:
        """The selected text vectors of "item" or "user": id, vector."""
        sides = export.vectors(self._interactions, export.selected(self._stored))
        if _side(side) not in sides:
            raise InputError(f"{self.folder}: nothing read the {side}s' texts, so they have no vectors: encoded={side}")
        ids, rows = sides[side]
        return pl.DataFrame({"id": ids, "vector": rows}).cast({"vector": pl.List(pl.Float32)})

    def per_case(self, metric: str = "NDCG@10", ranking: str = "masked", part: str = "test") -> np.ndarray:
        """(C,) a metric of every case, in the order of `ranks[part]`."""
        name, k = parse(metric)
        return values(name, self.ranks[part].rank[ranking], k)

    @cached_property
    def _run(self) -> Run:
        return read(self.folder)

    @cached_property
    def _stored(self) -> Stored:
        return Stored(self.folder)

    @cached_property
    def _interactions(self) -> Interactions:
        return Interactions.load(self._stored.path("interactions"))


def _add(folders: Sequence[str]) -> None:
    """Options of one's own beside ours, for every composition of this run, as --config-dir does."""
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)
    for folder in folders:
        loader.config_search_path.prepend("command-line", f"file://{folder}", anchor="schema")
    loader.repository.initialize_sources(loader.config_search_path)


def _side(name: str) -> str:
    if name not in SIDES:
        raise InputError(f"there is no side {name!r}: give one of {', '.join(SIDES)}")
    return name


def run(overrides: Sequence[str] = (), *, config_dir: str | Path | None = None) -> Result:
    """Run to the table, or to where `until=` says. `config_dir`: a folder of options of one's own."""
    if isinstance(overrides, str):
        raise InputError(f"pte.run({overrides!r}): give a list of overrides: pte.run([{overrides!r}])")
    words = [at_home(word) for word in overrides]
    secret.refuse_words(words)
    folders = [] if config_dir is None else [str(Path(config_dir).resolve())]
    if missing := [each for each in folders if not Path(each).is_dir()]:
        raise InputError(f"config_dir={missing[0]}: there is no such folder")
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            _add(folders)
            cfg = compose("config", overrides=words, return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            folder, choices = Path(cfg.hydra.run.dir), dict(cfg.hydra.runtime.choices)
            if cfg.hydra.mode is not None and cfg.hydra.mode.name == "MULTIRUN":
                raise InputError(
                    "pte.run runs one configuration: give a row and a seed, or sweep in a loop of your own"
                )
            cfg = compose("config", overrides=words)
            options = {k: v for k, v in choices.items() if "/" not in k and v}
            command = [*(f"--config-dir={os.path.relpath(each)}" for each in folders), *words]
            with names_as_typed(cfg, words):
                validation.check_job(cfg)
                pipeline.run(cfg, folder, tracking.Identity(options, command, None))
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(first_line(error)) from error
    return Result(folder)
