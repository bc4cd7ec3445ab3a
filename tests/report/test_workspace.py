"""`pte workspace`: every name in the view is one that runs log, and the library takes the view."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helper.report import groups_of, part_of
from helper.training import changed, context, walks
from lightning.pytorch.loggers import WandbLogger

from pte.engine import tracking
from pte.metric.summary import summarise
from pte.paths import CONF_DIR
from pte.report import workspace
from pte.run import READERS
from pte.schema import InputError
from pte.selector.base import Candidates
from pte.selector.grpo import GRPO
from pte.stage import training
from pte.train.logger import AXES
from pte.train.policy import GRPOModule, train


class Library:
    """What stands in for wandb_workspaces: a call gives its arguments back."""

    def __getattr__(self, kind):
        return lambda *places, **names: SimpleNamespace(kind=kind, places=places, **names)


class Rows:
    """A logger that knows the names of what it was given."""

    def __init__(self):
        self.names = set()

    def log_metrics(self, metrics, step):
        self.names |= set(metrics)


class Summary(WandbLogger):
    """What `log_figures` leaves in W&B's summary and tables."""

    def __init__(self):
        self.summary, self.tables = {}, set()

    @property
    def experiment(self):
        return self

    def log_table(self, key, **_):
        self.tables.add(key)


@pytest.fixture(scope="module")
def panels():
    view = workspace.workspace(Library(), Library(), "pte", "team", "view", workspace.MONITOR)
    return [panel for section in view.sections for panel in section.panels]


def of_kind(panels, kind):
    some = [panel for panel in panels if panel.kind == kind]
    assert some
    return some


def lines(panels, axis):
    return {name for panel in of_kind(panels, "LinePlot") if panel.x == axis for name in getattr(panel, "y", [])}


def test_learning_curves_are_those_of_training(panels, tmp_path):
    interactions, split = walks(users=20)
    parents = {"interactions": tmp_path / "interactions", "split": tmp_path / "split"}
    for value, folder in zip((interactions, split), parents.values(), strict=True):
        folder.mkdir()
        value.save(folder)
    rows, config = Rows(), changed(trainer={"max_epochs": 1})
    made = context(tmp_path, parents, config)
    made.loggers.append(rows)
    training.run(made)
    assert lines(panels, "training/step") <= rows.names
    assert "training/step" in rows.names & set(AXES.values())


def test_curves_of_grpo_are_those_of_the_policy(panels):
    draw = torch.Generator().manual_seed(0)
    vector = torch.randn(40, 4, 8, generator=draw)
    reward = torch.randn(40, 4, generator=draw)
    candidates = Candidates(
        vector, vector.mean(1), reward, torch.ones(40, dtype=torch.bool), torch.arange(40) < 20,
        torch.full((40, 4), 30.0), torch.arange(4).expand(40, 4), torch.zeros(40, 4), 4,
    )  # fmt: skip
    rows = Rows()

    def fit(settings, policy, candidates, trained, held_out):
        parts = {"total": reward, "collaborative": reward}
        train(
            GRPOModule(
                policy=policy, candidates=candidates, settings=settings, trained=trained, held_out=held_out,
                parts=parts, trackers=[rows],
            )
        )  # fmt: skip

    GRPO(epochs=1, batch_size=16, held_out=0.2).select(candidates, fit=fit)
    assert lines(panels, "selection/step") <= rows.names
    assert "selection/step" in rows.names & set(AXES.values())
    expression = next(panel.metric_regex for panel in of_kind(panels, "LinePlot") if hasattr(panel, "metric_regex"))
    assert expression == workspace.REWARD_PARTS
    assert {"selection/reward_total", "selection/reward_collaborative"} == {
        name for name in rows.names if workspace.re.fullmatch(expression, name)
    }


def test_figures_and_tables_are_those_of_the_summary(panels, tmp_path, twelve, twelve_split):
    done = {name: tmp_path / name for name in ("interactions", "split", "selection", "training", "metrics")}
    for folder in done.values():
        folder.mkdir()
    twelve.save(done["interactions"])
    twelve_split.save(done["split"])
    (done["selection"] / "samples.json").write_text('[{"text": "a profile"}]')
    np.savez(done["metrics"] / "ranks.npz", test_masked=[0, 5], test_unmasked=[4, 9])
    part = part_of([0, 3, 7, 60])
    figures = summarise({kind: part[kind] for kind in ("masked", "unmasked")}, groups_of(part))
    both = {f"{name}/{key}": value for name in ("valid", "test") for key, value in figures.items()}
    tracking.deliver([logger := Summary()], both, workspace.MONITOR, done)
    bars = {name for panel in of_kind(panels, "BarPlot") for name in panel.metrics}
    (scatter,), (importance,) = of_kind(panels, "ScatterPlot"), of_kind(panels, "ParameterImportancePlot")
    assert bars | {scatter.x.places[0], scatter.y.places[0], importance.with_respect_to} <= set(logger.summary)
    groups = ("head_items", "tail_items", "head_users", "tail_users")
    assert {f"test/masked/{group}/NDCG@10" for group in groups} <= bars
    assert {panel.table_name for panel in of_kind(panels, "WeavePanelSummaryTable")} == logger.tables


def test_options_are_groups_of_the_configuration(panels):
    (plot,) = of_kind(panels, "ParallelCoordinatesPlot")
    metrics = [column.metric for column in plot.columns]
    options = {metric.places[0] for metric in metrics if metric.kind == "Config"}
    assert options >= {"dataset", "representation", "backbone", "seed"}
    assert all((CONF_DIR / option).is_dir() for option in options - {"seed"})
    assert [metric.places[0] for metric in metrics if metric.kind == "SummaryMetric"] == [
        f"valid/{workspace.MONITOR}", f"test/{workspace.MONITOR}",
    ]  # fmt: skip


def test_the_library_takes_the_view():
    pytest.importorskip("wandb_workspaces", reason="needs the extra workspace")
    workspaces, panels = workspace.library()
    view = workspace.workspace(workspaces, panels, "pte", "team", "view", "unmasked/all/Hit@10")
    section = view._spec["spec"]["section"]
    shown = [len(each["panels"]) for each in section["panelBankConfig"]["sections"]]
    assert len(shown) == 6
    assert all(shown)
    text = json.dumps(section)
    for word in ("config:backbone.value", "summary:valid/unmasked/all/Hit@10", "selection/kl", "training/step"):
        assert f'"{word}"' in text, word


def test_what_is_missing_gets_a_sentence(monkeypatch):
    assert READERS["workspace"] == workspace.__name__
    with pytest.raises(InputError, match=r"--monitor NDCG: write RANKING/all/NAME@K"):
        workspace.main(["--monitor", "NDCG"])
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(InputError, match=r"wandb-workspaces is not installed\. Type: pip install wandb-workspaces"):
        workspace.main([])


def test_what_wandb_refuses_gets_a_sentence(monkeypatch):
    class Api:
        def __init__(self):
            raise RuntimeError("No API key\nconfigured.")

    refusing = SimpleNamespace(interface=SimpleNamespace(wandb=SimpleNamespace(Api=Api)))
    monkeypatch.setattr(workspace, "library", lambda: (refusing, Library()))
    with pytest.raises(InputError, match=r"W&B did not take the view: No API key configured\."):
        workspace.main([])
