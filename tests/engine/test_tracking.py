"""Tables that a run's loggers are given, and loggers whose library is missing."""

import numpy as np
import pytest

from pte.engine import tracking
from pte.metric.summary import MISS
from pte.schema import InputError


@pytest.fixture
def done(tmp_path, twelve, twelve_split):
    for stage, value in (("interactions", twelve), ("split", twelve_split)):
        (tmp_path / stage).mkdir()
        value.save(tmp_path / stage)
    (tmp_path / "metrics").mkdir()
    np.savez(tmp_path / "metrics" / "ranks.npz", test_masked=[0, MISS], test_unmasked=[4, 1000])
    np.save(tmp_path / "metrics" / "lists.npy", np.array([[5, 6], [4, 0]]))
    return {stage: tmp_path / stage for stage in ("interactions", "split", "metrics")}


def test_ranks_are_counted_by_edges(done):
    columns, rows = tracking.rank_table(done["metrics"])
    assert columns == ["rank", "masked", "unmasked"]
    assert [row for row in rows if any(row[1:])] == [
        ["1-1", 1, 0],
        ["4-5", 0, 1],
        ["beyond 1000", 0, 1],
        ["miss", 1, 0],
    ]
    assert [sum(row[i] for row in rows) for i in (1, 2)] == [2, 2]


def test_recommendations_come_with_history_and_target(done):
    columns, rows = tracking.recommendation_table(done)
    assert [dict(zip(columns, row, strict=True)) for row in rows] == [
        {"user": "ann", "history": "Toy Story → GoldenEye → Heat → Alien", "held out": "Aliens", "rank": 1,
         "recommended": "Aliens | Fargo"},
        {"user": "bob", "history": "GoldenEye → Heat → Toy Story", "held out": "Fargo", "rank": None,
         "recommended": "Alien"},
    ]  # fmt: skip
    (done["metrics"] / "lists.npy").unlink()
    assert tracking.recommendation_table(done)[1] == []


def test_a_logger_whose_library_is_missing_is_told(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise ModuleNotFoundError("no", name="tensorboard.compat")

    monkeypatch.setattr(tracking, "construct", missing)
    identity = tracking.Identity({}, [], None)
    with pytest.raises(InputError, match=r"logger=board: tensorboard is not installed\. Type: pip install tensorboard"):
        tracking.open_loggers({"logger": {"board": {"_target_": "x"}}, "trust": []}, tmp_path, identity, {})


def test_a_logger_that_lightning_cannot_build_is_told_in_its_words(tmp_path, monkeypatch):
    """Lightning raises without the module's name."""

    def missing(*_, **__):
        raise ModuleNotFoundError("Requirement 'mlflow>=1.0.0' not met.\n Try `pip install mlflow`")

    monkeypatch.setattr(tracking, "construct", missing)
    with pytest.raises(
        InputError, match=r"logger=mine: Requirement 'mlflow>=1\.0\.0' not met\. Try `pip install mlflow`"
    ):
        tracking.open_loggers(
            {"logger": {"mine": {"_target_": "x"}}, "trust": []}, tmp_path, tracking.Identity({}, [], None), {}
        )


def test_tensorboard_reads_back_what_was_logged(tmp_path):
    event = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    knobs = {"_target_": "lightning.pytorch.loggers.TensorBoardLogger", "name": "", "version": "tensorboard"}
    identity = tracking.Identity({"dataset": "Toys"}, [], None)
    config = {"logger": {"tensorboard": knobs}, "trust": [], "seed": 3, "encoded": ["item"]}
    (logger,) = loggers = tracking.open_loggers(config, tmp_path, identity, {"split": "k"})
    logger.log_metrics({"valid/masked/all/NDCG@10": 0.25}, step=7)
    tracking.finish(loggers, succeeded=True)
    found = event.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (scalar,) = found.Scalars("valid/masked/all/NDCG@10")
    assert (scalar.step, scalar.value) == (7, 0.25)
