"""One process of a group that runs a stage: `python -m pte.engine.worker ORDER`, started by pte.engine.launch."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pte.engine.run_log import run_log
from pte.schema import InputError
from pte.schema.context import Context

logger = logging.getLogger("pte.engine.worker")  # this module runs as __main__


def _terminate(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Exit status 0, or 2 with the reason printed by the first process."""
    from pte.engine.build import builder
    from pte.engine.plan import stage_module

    signal.signal(signal.SIGTERM, _terminate)
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    first = os.environ.get("RANK", "0") == "0"

    module = stage_module(order["stage"])
    context = Context(
        config={name: order["config"][name] for name in module.READS},
        parents={name: Path(path) for name, path in order["parents"].items()},
        out=Path(order["out"]),
        work=Path(order["work"]),
        build=builder(order["config"]),
        loggers=[],  # the run that started the group logs the curve when it is whole
    )
    with run_log(Path(order["log"])) if first else nullcontext():
        try:
            module.run(context)
        except InputError as error:
            if first:
                logger.error(error)
            sys.exit(2)
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            _leave()


def _leave() -> None:
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
