"""The command: `python -m pte.run [group=option ...]` or `pte`. Composes the configuration, then hands over.
`pte compare RUN RUN ...` tells finished runs apart.

Imports neither torch nor Lightning, so that composing, `--help` and mistakes answer at once.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pte.engine import composition, secret, usage
from pte.paths import CONF_DIR
from pte.schema import InputError

_failed: list[str] = []


def check_knobs(cfg: DictConfig) -> None:
    """Refuse values that cannot be, by the names a person typed; where no knob was typed there is nothing to check."""
    from pte.engine import validation

    typed = HydraConfig.get().overrides.task
    choices = [word for word in typed if word.lstrip("+~").partition("=")[0] in HydraConfig.get().runtime.choices]
    if len(choices) < len(typed):
        usual = hydra.compose("config", overrides=choices)
        validation.check(*(OmegaConf.to_container(config, resolve=True) for config in (cfg, usual)))


def job(cfg: DictConfig) -> float | None:
    """One resolved configuration, run to its end. Returns the monitored validation metric for sweepers."""
    from rich.console import Console

    from pte.engine import pipeline
    from pte.report import single

    run_dir = Path(HydraConfig.get().runtime.output_dir)
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        check_knobs(cfg)
        options = {k: v for k, v in HydraConfig.get().runtime.choices.items() if "/" not in k and v}
        typed = list(HydraConfig.get().overrides.task)
        metrics = pipeline.run(cfg, run_dir, options, run_dir.parent.name if sweeping else None, typed)
        if metrics is None:
            return None
        single.show(run_dir, Console())
        return metrics[f"valid/{cfg.trainer.monitor}"]
    except (InputError, OmegaConfBaseException) as error:
        print(f"\nERROR: {error}\n", file=sys.stderr)
        write_down(run_dir, str(error))
        if not sweeping:
            raise SystemExit(2) from None  # Hydra would print a traceback for an ordinary exception
        _failed.append(str(run_dir))  # a sweep goes on with its other jobs and fails at its end
        return float("nan")
    except Exception as error:
        write_down(run_dir, f"{type(error).__name__}: {error}")
        raise


def write_down(run_dir: Path, reason: str) -> None:
    """The reason of a failure, into the run's log, where `pte compare` sends people."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "run.log").open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%H:%M:%S')} ERROR: {secret.redacted(reason)}\n")


def _terminate(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Console entry. Exit status: 0 done, 2 a user's mistake, 1 another failure, 130 interrupted."""
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, _terminate)  # a shell's background job would ignore it otherwise
    code: int | str | None = 0
    try:
        if sys.argv[1:2] == ["compare"]:  # reads finished runs: nothing to compose
            from pte.engine import provenance
            from pte.report import command

            command.main(sys.argv[2:], provenance.commit())
        else:
            secret.refuse_words(sys.argv[1:])
            if {"-h", "--help"} & set(sys.argv[1:]):
                print(usage.text())
                sys.exit(0)
            sys.argv[1:] = composition.ordered(sys.argv[1:])
            composition.check(sys.argv[1:])
            hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")(job)()
    except InputError as error:
        code = 2
        print(f"\nERROR: {error}\n", file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
        print("\nInterrupted. Finished stages are kept: the same command continues from here.\n", file=sys.stderr)
    if _failed:
        code = 1
        print(f"{len(_failed)} job(s) of the sweep failed: {', '.join(_failed)}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
