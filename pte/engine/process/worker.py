"""One process of a group that runs a stage: `python -m pte.engine.process.worker ORDER PARENT`, started by `launch`."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pte.artifact import write_atomic
from pte.engine.process.launch import ERROR
from pte.engine.process.lean import import_lightning
from pte.engine.process.parent_death import end_with
from pte.engine.run_log import run_log
from pte.schema import InputError
from pte.schema.context import Context


class Relay:
    """A logger whose rows go to the run that started the group, which holds the loggers of the configuration."""

    def __init__(self, file: int) -> None:
        self.rows = os.fdopen(file, "w", encoding="utf-8", buffering=1)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.write(json.dumps([dict(metrics), step]) + "\n")


def _terminate(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Exit status 0, or another with the reason in the work folder."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    end_with(int(sys.argv[2]))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # SLURM's notice is for the run, which ends this process
    import_lightning()
    from pte.engine.build import builder
    from pte.engine.plan import stage_module

    rank = os.environ["RANK"]
    first = rank == "0"

    module = stage_module(order["stage"])
    context = Context(
        config={name: order["config"][name] for name in module.READS},
        parents={name: Path(path) for name, path in order["parents"].items()},
        out=Path(order["out"]),
        work=Path(order["work"]),
        build=builder(order["config"]),
        loggers=[Relay(order["rows"])] if first and order["rows"] is not None else [],
    )
    with run_log(Path(order["log"])) if first else nullcontext():
        try:
            signal.signal(signal.SIGTERM, _terminate)  # before it there is nothing to leave
            module.run(context)
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            known = isinstance(error, InputError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            write_atomic(context.work / ERROR.format(rank), reason)
            if known:
                sys.exit(2)
            raise
        finally:
            _leave()


def _leave() -> None:
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
