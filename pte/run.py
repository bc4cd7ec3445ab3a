"""The command: `python -m pte.run [group=option ...]` or `pte`. Composes the configuration, then hands over.
`pte compare RUN RUN ...` compares finished runs, `pte show RUN user|item NAME` looks into one, `pte export
profiles|vectors RUN` takes texts and vectors out, `pte list` and `pte clean` list and remove artefacts.

Imports neither torch nor Lightning, so that composing, `--help` and mistakes answer at once.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":  # until `main` answers to it, Ctrl-C ends the imports without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import contextlib
import difflib
import importlib
import os
import sys
import tempfile
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from pte import __version__
from pte.engine.config import composition, secret, source, usage
from pte.engine.process import join, pool, requeue
from pte.engine.process.parent_death import end_with
from pte.paths import CONF_DIR, cache_dir, expanded, unusable
from pte.schema import InputError

READERS = {  # of finished runs and their store
    "leaderboard": "pte.report.leaderboard.command", "show": "pte.report.inspect.show",
    "export": "pte.report.inspect.export", "recommend": "pte.engine.inference.recommend",
    "serve": "pte.engine.inference.serve",
    "list": "pte.report.store.list", "clean": "pte.report.store.clean", "workspace": "pte.report.workspace",
}  # fmt: skip
_main = 0  # the process whose command line this is


def job(cfg: DictConfig) -> float | None:
    """One resolved configuration, run to its end. Returns the monitored validation metric for sweepers.

    A job of a sweep that fails raises JobError: the launcher goes on with the others, and the sweeper knows.
    """
    from pte.artifact import write_atomic
    from pte.engine import sweep
    from pte.engine.pruning import PrunedError
    from pte.engine.run_log import run_log

    hydra_config: Any = HydraConfig.get()
    run_dir, sweeping = Path(hydra_config.runtime.output_dir), hydra_config.mode == RunMode.MULTIRUN
    if os.getpid() != _main:  # a launcher's worker: it and its groups end with the sweep
        end_with(os.getppid())
    (run_dir / sweep.ERROR).unlink(missing_ok=True)
    try:
        with run_log(run_dir / "run.log"), source.names_as_typed(cfg, source.words(hydra_config)):
            return _measured(cfg, run_dir, hydra_config)
    except PrunedError as early:  # no failure, and no figure either: the sweeper learns of it by an exception
        print(f"\n{run_dir}: {early}\n", flush=True)
        raise sweep.JobError(str(early)) from None
    except Exception as error:
        place = unusable(error, _folders(cfg, run_dir))
        known = bool(place) or isinstance(error, InputError | OmegaConfBaseException)
        reason = secret.redacted(place or (str(error) if known else f"{type(error).__name__}: {error}"))
        if known:
            print(f"\nERROR: {reason}\n", file=sys.stderr)
        if not known:
            print(secret.redacted(traceback.format_exc()), file=sys.stderr)
        if not sweeping:
            raise SystemExit(2 if known else 1) from None  # Hydra would print a traceback of its own
        with contextlib.suppress(OSError):  # the disk may be full
            write_atomic(run_dir / sweep.ERROR, f"{sweep.MISTAKE}{reason}" if known else reason)
        raise sweep.JobError(reason) from None


def _folders(cfg: DictConfig, run_dir: Path) -> dict[str, Path]:
    """What a job writes to, by the words that name another place."""
    folders = {"paths.outputs=FOLDER": run_dir, "TMPDIR=FOLDER": Path(tempfile.gettempdir()), "PTE_CACHE": cache_dir()}
    with contextlib.suppress(OmegaConfBaseException, InputError):  # the error may be that of its name
        folders = {"paths.store=FOLDER": expanded(str(cfg.paths.store)).absolute(), **folders}
    return folders


def _outputs(words: list[str]) -> dict[str, Path]:
    """The folders that readers of runs write to, by the words that name another one; where none is named, this one."""
    named = {}
    for flag, value in zip(words, [*words[1:], ""], strict=True):
        flag, given, joined = flag.partition("=")
        if flag in ("--out", "--evidence", "--figures") and (joined if given else value):
            named[f"{flag} FOLDER"] = Path(joined if given else value).absolute()
    return named or {"--out FOLDER": Path.cwd()}


def _measured(cfg: DictConfig, run_dir: Path, hydra_config: DictConfig) -> float | None:
    """The run, its table on the terminal, and the monitored validation metric."""
    from rich.console import Console

    from pte.engine import pipeline, pruning, sweep, tracking, validation
    from pte.engine.plan import LAST
    from pte.report.run import page, single

    validation.check_job(cfg)
    sweeping = hydra_config.mode == RunMode.MULTIRUN
    watchers = []
    if cfg.prune and not sweeping:
        print("note: prune=true changes nothing: it is for the trials of a search (-m hydra/sweeper=optuna)")
    if sweeping and not cfg.plan:
        pool.reserve(cfg.trainer)
    if sweeping and cfg.prune and not cfg.plan:
        pruner = pruning.of_job(hydra_config.sweeper, source.words(hydra_config), cfg.trainer.monitor)
        watchers = [pruner] if pruner else []
    options = {k: v for k, v in hydra_config.runtime.choices.items() if "/" not in k and v}
    group = run_dir.parent.name if sweeping else None
    if not sweeping and not cfg.plan and not cfg.stage and cfg.until == LAST:
        print(f"{single.outlook(cfg.dataset.get('name'))}\n", flush=True)
    metrics = pipeline.run(cfg, run_dir, tracking.Identity(options, _typed(hydra_config), group, watchers))
    if metrics is None:
        return None
    single.show(run_dir, Console())
    if cfg.stage == LAST:
        print(f"one page with everything: {page.write(run_dir)}", flush=True)
    if sweeping:
        print(sweep.standing(Path(hydra_config.sweep.dir), run_dir, cfg.trainer.monitor), flush=True)
    return metrics[f"valid/{cfg.trainer.monitor}"]


def _typed(hydra_config: DictConfig) -> list[str]:
    """What this job would be typed as: its own overrides, of a sweep or not, and a folder of one's own options."""
    folders = [s.path for s in hydra_config.runtime.config_sources if s.provider == "command-line"]
    return [*(f"--config-dir={os.path.relpath(folder)}" for folder in folders), *source.words(hydra_config)]


def _terminate(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _command(word: str, *others: str) -> None:
    """What the words of the command line ask for."""
    if word == "compare":  # reads finished runs: nothing to compose
        from pte.engine import provenance
        from pte.report.compare import command

        command.main(list(others), provenance.commit())
    elif word in READERS:
        importlib.import_module(READERS[word]).main(list(others))
    elif word.isalpha():
        near = difflib.get_close_matches(word, ["compare", *READERS], 1, 0.5)
        meant = f"did you mean pte {near[0]}?" if near else "pte --help lists them, and what a run takes"
        raise InputError(f"{word}: there is no such command; {meant}")
    elif {"-h", "--help"} & {word, *others}:
        print(usage.text())
    elif word == "--version":
        print(f"pte {__version__}")
    else:
        _compose_and_run()


def _compose_and_run() -> None:
    """The job or sweep that sys.argv describes; in a process that was started beside others, its part of it."""
    sys.argv[1:] = composition.ordered(sys.argv[1:])
    composition.check(sys.argv[1:])
    together = join.enter()
    if together is not None and together.rank:  # the first one of those started together runs the job
        from pte.engine.process import launch

        sys.exit(together.serve(launch.follow))
    hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")(job)()


def main() -> None:
    """Console entry. Exit status: 0 done, 2 a user's mistake, 1 another failure, 130 interrupted."""
    global _main
    _main = os.getpid()
    signal.signal(signal.SIGTERM, _terminate)
    requeue.on_notice()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it otherwise
    code: int | str | None = 0
    try:
        secret.refuse_words(sys.argv[1:])
        _command(*(sys.argv[1:] or ["-"]))
    except InputError as error:
        code = 2
        print(f"\nERROR: {secret.redacted(str(error))}\n", file=sys.stderr)
    except SystemExit as left:
        code = left.code
    except BrokenPipeError:  # the reader of the output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        place = unusable(error, _outputs(sys.argv[1:]))
        code = 2 if place else 1
        print(secret.redacted(f"\nERROR: {place}\n" if place else traceback.format_exc()), file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)  # another one ends this at once, without a traceback
        print("\nInterrupted. Finished stages are kept: the same command continues from here.\n", file=sys.stderr)
        if requeue.noticed() and not ((joined := join.joined()) and joined.rank):
            requeue.requeue()
    if "pte.engine.sweep" in sys.modules:  # `--help` and mistakes answer without it
        from pte.engine import sweep

        if failed := sweep.failures():
            code = sweep.status(failed) if code in (0, 1, None) else code
            print(f"{len(failed)} job(s) of the sweep failed:", *failed, sep="\n  ", file=sys.stderr)
    if (together := join.joined()) is not None:
        together.leave(code if isinstance(code, int) else int(code is not None))
    sys.exit(code)


class _Callable(ModuleType):
    """`pte.run` is this module and, for notebooks, a function: one object, whoever imports which first."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        from pte import api

        return api.run(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable

if __name__ == "__main__":
    main()
