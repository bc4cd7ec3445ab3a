"""The table of late ensembles is what the ranks beside it say, and an average of runs is one of probabilities."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pte.nn.batch import History

FILE = Path(__file__).parents[2] / "experiments" / "toys_ensembles" / "ensembles.py"


@pytest.fixture(scope="module")
def ensembles():
    spec = importlib.util.spec_from_file_location("ensembles", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_follows_from_the_ranks(ensembles):
    assert ensembles.table() == (FILE.parent / "table.md").read_text(encoding="utf-8")


def test_scores_are_the_log_of_the_mean_probability(ensembles):
    """Of (1/5, 4/5) and (1/2, 1/2), whatever is added to a model's scores."""
    space = torch.empty(1, 2)

    def model(scores):
        return SimpleNamespace(score_parts=lambda history: (space.copy_(row[None]) for row in scores))

    flat, steep = torch.zeros(2, 2) + 7, torch.tensor([[0.0, 3.0], [3.0, 0.0]]).log1p()
    history = History(torch.ones(2, 1, dtype=torch.long), torch.ones(2, dtype=torch.long))
    scores = ensembles.log_mean_probability([model(flat), model(steep)], history)
    torch.testing.assert_close(scores.exp() / 2, torch.tensor([[0.35, 0.65], [0.65, 0.35]]))
