"""Every method against every other one, so that a reader of the page chooses the baseline.

The page holds the uncorrected numbers of all pairs; script/against.js applies Holm's correction over the rows of the
method chosen, as `Comparison.differences` does.
"""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

from pte.report.compare.comparison import ALPHA, Column, Comparison
from pte.report.shell import packed

FORM = """
<p><label for="reference">Hold all against</label> <select id="reference"></select>
<label for="column">by</label> <select id="column"></select></p>
<div class="scroll"><table id="chosen"><thead><tr><th class="word">method</th><th>difference</th><th>95 % interval</th>
<th>p</th><th>p Holm</th><th class="word">verdict</th></tr></thead><tbody></tbody></table></div>
<p class="note">All cases. Interval by bootstrap over users, p by paired permutation, corrected over these rows.</p>
"""
MANY = 12  # methods above which only the first ranking has its pairs: a tenth of a second each


def elements(comparison: Comparison) -> list[str]:
    """The heading, the form and its numbers; [] where there is nothing to choose."""
    if len(comparison.methods) < 2:
        return []
    return ['<h2 id="against">Against a chosen row</h2>', FORM, packed("pairs", json.dumps(numbers(comparison)))]


def numbers(comparison: Comparison) -> dict[str, Any]:
    """For the first metric in every ranking [a, b, mean, low, high, p, bound] of method a minus method b, a < b; bound
    is what the seeds alone keep the difference below, null where either has one seed.
    """
    labels = [method.label for method in comparison.methods]
    metric = comparison.metrics[0]
    return {
        "methods": labels,
        "alpha": ALPHA,
        "columns": [
            {
                "title": comparison.title(ranking, metric),
                "pairs": [
                    [a, b, *comparison.pair(labels[a], labels[b], Column(ranking, metric, "all"))]
                    for a, b in combinations(range(len(labels)), 2)
                ],
            }
            for ranking in comparison.rankings[: None if len(labels) <= MANY else 1]
        ],
    }
