"""`pte clean`: folders that nobody needs, shown; `--yes` deletes them. What a process makes or a run uses stays."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from pte.report.store import content
from pte.report.store.content import Artefact, Content
from pte.schema import InputError


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="pte clean",
        description="Show, and with --yes delete, half-made folders, work that is left over, and artefacts that no run"
        " folder names (delete a run's folder first to free what it alone used). Answers of language models and vectors"
        " that all runs share (store/work/generation, store/work/vector) stay.",
    )
    made.add_argument("outputs", nargs="?", type=Path, default=Path("outputs"), help="folder of outputs (default: it)")
    made.add_argument("--store", type=Path, help="the store, where it lies elsewhere (default: OUTPUTS/store)")
    made.add_argument("--interrupted", action="store_true", help="also the work from which stopped runs would go on")
    made.add_argument("--yes", action="store_true", help="delete them (without it they are only shown)")
    return made


def main(arguments: Sequence[str]) -> None:
    """Show or delete."""
    asked = parser().parse_args(arguments)
    found = content.asked(asked.outputs, asked.store)
    with found.store.planning(alone=True):  # no run finds an artefact now and names it a moment later
        found = content.asked(asked.outputs, asked.store)
        kinds = {
            "half-made": found.half_made(),
            "work left over": found.left_over() + (found.interrupted() if asked.interrupted else []),
            "used by no run": found.unused(),
        }
        free = []
        for kind, folders in kinds.items():
            for one in folders:
                held, age = found.is_held(one), content.told_age(content.age_of(one.path))
                free += [] if held else [one]
                said = "kept: a process is at work on it" if held else age
                print(f"{kind:<15} {one.place:<31} {content.told_size(one.size):>12}  {said}")
        told = content.total(free)
        if asked.yes:
            for one in free:
                _delete(found, one)
    _say(found, asked, len(free), told)


def _say(found: Content, asked: argparse.Namespace, folders: int, size: str) -> None:
    if not asked.interrupted and (waiting := found.interrupted()):
        print(
            f"kept: {content.total(waiting)} of work from which {len(waiting)} stopped stage(s) would go on (type the"
            " run's command again, or --interrupted)"
        )
    if not folders:
        print("nothing to delete")
    elif asked.yes:
        print(f"deleted {folders} folders, {size}")
    else:
        print(f"{folders} folders, {size}, can be deleted: the same command with --yes does it")


def _delete(found: Content, one: Artefact) -> None:
    """Out of sight in one step, then gone: nobody finds half of it."""
    if not one.path.is_relative_to(found.store.root) or one.path.is_symlink():
        raise InputError(f"{one.path}: a link, or outside the store: delete it by hand")
    try:
        shutil.rmtree(one.path.rename(found.store.scratch(one.stage, one.key)))
    except OSError as error:
        raise InputError(f"{one.path}: cannot be deleted ({error.strerror}): is the store yours to write?") from None
