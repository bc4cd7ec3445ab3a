"""One process of a group that runs a stage: `python -m pte.engine.worker ORDER`, started by pte.engine.launch."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pte.schema import InputError
from pte.schema.context import Context


def _terminate(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Exit status 0, or 2 with the reason printed by the first process."""
    from pte.engine.build import builder
    from pte.engine.plan import stage_module

    signal.signal(signal.SIGTERM, _terminate)
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    first = os.environ.get("RANK", "0") == "0"

    def say(line: str) -> None:
        if first:
            print(line, flush=True)
            with Path(order["log"]).open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%H:%M:%S')} {line}\n")

    module = stage_module(order["stage"])
    context = Context(
        config={name: order["config"][name] for name in module.READS},
        parents={name: Path(path) for name, path in order["parents"].items()},
        out=Path(order["out"]),
        work=Path(order["work"]),
        build=builder(order["config"]),
        loggers=[],  # the run that started the group logs the curve when it is whole
        say=say,
    )
    try:
        module.run(context)
    except InputError as error:
        if first:
            print(f"\nERROR: {error}\n", file=sys.stderr)
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
