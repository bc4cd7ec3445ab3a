"""Tables that a run's loggers are given, and loggers whose library is missing."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf

from pte.engine import tracking
from pte.metric.summary import MISS
from pte.paths import CONF_DIR
from pte.schema import InputError
from pte.train.curve import log_row
from pte.train.logger import log_figures


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


def test_a_logger_whose_library_is_missing_is_reported(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise ModuleNotFoundError("no", name="tensorboard.compat")

    monkeypatch.setattr(tracking, "construct", missing)
    identity = tracking.Identity({}, [], None)
    with pytest.raises(InputError, match=r"logger=board: tensorboard is not installed\. Type: pip install tensorboard"):
        tracking.open_loggers({"logger": {"board": {"_target_": "x"}}, "trust": []}, tmp_path, identity, {})


def test_a_logger_that_lightning_cannot_build_is_reported_in_its_words(tmp_path, monkeypatch):
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


def test_mlflow_reads_back_what_was_logged(tmp_path):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    knobs = OmegaConf.load(CONF_DIR / "logger" / "mlflow.yaml").mlflow
    knobs.tracking_uri = f"sqlite:///{tmp_path}/mlflow.db"
    config = {"logger": {"mlflow": dict(knobs)}, "trust": [], "seed": 3}
    (logger,) = loggers = tracking.open_loggers(config, tmp_path, tracking.Identity({"dataset": "Toys"}, [], None), {})
    logger.log_metrics({"valid/masked/all/NDCG@10": 0.25}, step=7)
    tracking.finish(loggers, succeeded=False)
    run = logger.experiment.get_run(logger.run_id)
    assert (run.data.params["dataset"], run.data.params["seed"], run.info.status) == ("Toys", "3", "FAILED")
    assert run.data.metrics == {"valid/masked/all/NDCG10": 0.25}  # MLflow knows no @


class Own(Logger):
    """A logger as docs/own_classes.md tells to write one."""

    name, version = "own", 0

    def __init__(self, save_dir, greeting):
        super().__init__()
        self.calls = [(save_dir, greeting)]

    def log_hyperparams(self, params):
        self.calls.append(params["dataset"])

    def log_metrics(self, metrics, step=None):
        self.calls.append((metrics, step))

    def finalize(self, status):
        self.calls.append(status)


def test_a_lightning_logger_of_ones_own_is_given_everything(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(Own=Own))
    config = {"logger": {"own": {"_target_": "mine.Own", "greeting": "hello"}}, "trust": ["mine"]}
    (logger,) = loggers = tracking.open_loggers(config, tmp_path, tracking.Identity({"dataset": "Toys"}, [], None), {})
    log_row(loggers, "training", {"epoch": 0, "step": 4, "train/loss": 0.5})
    log_figures(loggers, {"test/masked/all/NDCG@10": 0.25}, "masked/all/NDCG@10", step=4)
    tracking.finish(loggers, succeeded=True)
    row = {"training/epoch": 0, "training/step": 4, "train/loss": 0.5}
    figures = {"test/masked/all/NDCG@10": 0.25}
    assert logger.calls == [(str(tmp_path), "hello"), "Toys", (row, 4), (figures, 4), "success"]
