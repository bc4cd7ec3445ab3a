"""The lists of two methods side by side, case by case, against the held-out item.

Needs the runs' artefacts (lists.npy of metrics, the interactions), so that evidence alone has no such part. Lists are
those of each method's first seed. Where the page would grow too large, cases at even distances are kept.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pte.artifact import Stored
from pte.metric.summary import MISS
from pte.paths import RUN_KEYS
from pte.report.compare.comparison import Comparison
from pte.report.run.finished import Finished
from pte.report.runs import Run
from pte.report.shell import packed
from pte.schema import InputError

LIMIT = 8_000_000  # characters before packing
HISTORY = 12  # last items of a history

FORM = """
<form role="search" id="cases"><label for="user">User, or words of the held-out item's title</label><br>
<input id="user" type="search" autocomplete="off" size="40" style="max-width:100%"> <button>find next</button>
<button type="button" id="differ">next where one of the two has it</button></form>
<div id="case" aria-live="polite" tabindex="-1"></div>
<div class="sides"><section><select id="one" aria-label="one method"></select><ol id="one-list"></ol></section>
<section><select id="other" aria-label="other method"></select><ol id="other-list"></ol></section></div>
"""


def elements(comparison: Comparison) -> list[str]:
    """Heading, form and data; [] where fewer than two methods still have their lists, or validation is compared."""
    runs = {m.label: f for m in comparison.methods if (f := finished(m.runs[0])) is not None}
    if len(runs) < 2 or comparison.part != "test":
        return []
    content = cases(runs)
    total = len(comparison.ranked.user)
    caption = f"{len(content['user']):,} of {total:,} cases, at even distances" if len(content["user"]) < total else ""
    caption = caption or f"All {total:,} cases"
    return [
        '<h2 id="side">Two methods side by side</h2>',
        f'<p class="soft">{caption}; seen items left out of the lists; the first seed of each method.</p>',
        FORM,
        packed("cases-data", json.dumps(content, ensure_ascii=False)),
    ]


def finished(run: Run) -> Finished | None:
    """The run with its artefacts; None where they are not at hand, or there were no lists of ten."""
    if not (run.path / RUN_KEYS).is_file():
        return None
    try:
        stored = Stored(run.path)
        done = Finished(run, {stage: stored.path(stage) for stage in ("interactions", "split", "metrics")})
    except InputError:
        return None
    return done if (done.artefact["metrics"] / "lists.npy").is_file() and done.lists.any() else None


def cases(runs: dict[str, Finished]) -> dict[str, Any]:
    """Titles once; per case the user's id, the last items of the history, the target; per method ranks and lists."""
    first = next(iter(runs.values()))
    data, (begin, end) = first.interactions, first.history
    each = 60 * len(runs) + 6 * HISTORY + 30
    rows = np.unique(np.linspace(0, len(end) - 1, max(1, min(len(end), LIMIT // each))).astype(int))
    return {
        "title": [title or name for title, name in zip(data.items.title, data.items.item_id, strict=True)],
        "user": [data.user_id[data.user[row]] for row in end[rows]],
        "history": [data.item[max(b, e - HISTORY) : e].tolist() for b, e in zip(begin[rows], end[rows], strict=True)],
        "target": data.item[end[rows]].tolist(),
        "methods": [
            {
                "label": label,
                "rank": [None if r == MISS else int(r) + 1 for r in done.ranked.rank["masked"][rows]],
                "list": [[int(item) for item in row if item] for row in done.lists[rows]],
            }
            for label, done in runs.items()
        ],
    }
