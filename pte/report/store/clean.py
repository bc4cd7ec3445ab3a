"""`pte clean`: folders that nobody needs, shown; `--yes` deletes them. What a process makes or a run uses stays."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from pte.artifact import Store
from pte.report.store import content
from pte.report.store.content import Artefact, Content
from pte.schema import InputError


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="pte clean",
        description="Show, and with --yes delete, half-made folders, work that is left over, and artefacts that no run"
        " folder names (delete a run's folder first to free what it alone used). Answers of language models and vectors"
        " that all runs share (store/work/generation, store/work/vector) stay.",
    )
    root.add_argument(
        "outputs", nargs="?", type=content.outputs_folder, default="outputs", help="paths.outputs (default: outputs)"
    )
    root.add_argument("--store", type=Path, help="the store, where it lies elsewhere (default: OUTPUTS/store)")
    root.add_argument("--interrupted", action="store_true", help="also the work from which stopped runs would go on")
    root.add_argument("--yes", action="store_true", help="delete them (without it they are only shown)")
    return root


def main(arguments: Sequence[str]) -> None:
    """Show or delete."""
    options = parser().parse_args(arguments)
    store = content.store_of(options.outputs, options.store)
    with Store(store.resolve()).planning(exclusive=True):  # no run finds an artefact now and names it a moment later
        outputs = Content(store, options.outputs)
        kinds = {
            "half-made": outputs.incomplete(),
            "work left over": outputs.left_over() + (outputs.interrupted() if options.interrupted else []),
            "used by no run": outputs.unused(),
        }
        free = []
        for kind, folders in kinds.items():
            for one in folders:
                locked, age = outputs.in_progress(one), content.format_age(content.age_of(one.path))
                free += [] if locked else [one]
                state = "kept: a process is at work on it" if locked else age
                print(f"{kind:<15} {one.place:<31} {content.format_size(one.size):>12}  {state}")
        size = content.total(free)
        if options.yes:
            for one in free:
                _delete(outputs, one)
    _log(outputs, options, len(free), size)


def _log(outputs: Content, options: argparse.Namespace, folders: int, size: str) -> None:
    if not options.interrupted and (waiting := outputs.interrupted()):
        print(
            f"kept: {content.total(waiting)} of work from which {len(waiting)} stopped stage(s) would go on (type the"
            " run's command again, or --interrupted)"
        )
    if not folders:
        print("nothing to delete")
    elif options.yes:
        print(f"deleted {folders} folders, {size}")
    else:
        print(f"{folders} folders, {size}, can be deleted: the same command with --yes does it")


def _delete(outputs: Content, one: Artefact) -> None:
    """Out of sight in one step, then gone: nobody finds half of it."""
    if not one.path.is_relative_to(outputs.store.root) or one.path.is_symlink():
        raise InputError(f"{one.path}: a link, or outside the store: delete it by hand")
    try:
        shutil.rmtree(one.path.rename(outputs.store.scratch(one.stage, one.key)))
    except OSError as error:
        raise InputError(f"{one.path}: cannot be deleted ({error.strerror}): is the store yours to write?") from None
