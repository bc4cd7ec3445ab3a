"""`pte workspace`: a view of a W&B project with panels for what runs log, so that its first visit shows figures.

Names are those of train/logger.py and train/curve.py. Needs the extra `workspace`, a key, and the network.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from pte.schema import InputError

MONITOR = "masked/all/NDCG@10"  # conf/trainer/default.yaml
GROUPS = ("all", "head_items", "tail_items", "head_users", "tail_users")
OPTIONS = ("dataset", "profiler", "encoder", "selector", "representation", "backbone", "optimizer", "seed")
TABLES = ("profiles", "recommendations", "ranks", "figures")
POLICY = {  # curves of GRPO: what one panel shows
    "Reward: policy and baselines, trained entities": [
        f"trained_{name}" for name in ("policy", "argmax", "first", "random", "best_of_k")
    ],
    "Reward: policy and baselines, unseen entities": [
        f"unseen_{name}" for name in ("policy", "argmax", "first", "random", "best_of_k")
    ],
    "Objective": ["objective"], "Divergence from the reference": ["kl"], "Entropy": ["entropy"],
    "Shares: clipped, equal rewards": ["clip_fraction", "frac_zero_std"],
    "Collapse: mean cosine of pairs": ["pairwise_cosine"], "Collapse: effective rank": ["effective_rank"],
}  # fmt: skip
REWARD_PARTS = r"selection/reward_.*"  # of the reward's own parts, whatever they are called


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="pte workspace",
        description="Add a view to a W&B project: headline figures, learning curves, GRPO and its reward parts, groups,"
        " options against figures, tables. Needs pip install wandb-workspaces and WANDB_API_KEY.",
    )
    root.add_argument("--project", default="pte", help="as in logger.wandb.project (default: pte)")
    root.add_argument("--entity", default="", help="user or team that owns the project (default: yours)")
    root.add_argument("--name", default="Profile-then-Embedding", help="of the view (default: %(default)s)")
    root.add_argument("--monitor", default=MONITOR, help="as in trainer.monitor (default: %(default)s)")
    return root


def main(arguments: Sequence[str]) -> None:
    """Save the view and print its address."""
    options = parser().parse_args(arguments)
    if not re.fullmatch(r"(masked|unmasked)/all/\w+@\d+", options.monitor):
        raise InputError(f"--monitor {options.monitor}: write RANKING/all/NAME@K, such as {MONITOR}")
    workspaces, panels = library()
    try:
        entity = options.entity or workspaces.interface.wandb.Api().default_entity
        view = workspace(workspaces, panels, options.project, entity, options.name, options.monitor)
        view.save()  # which prints the address
    except Exception as error:  # of many kinds: no key, no such project, no permission, no network
        raise InputError(f"W&B did not take the view: {' '.join(str(error).split())}") from None


def library() -> tuple[Any, Any]:
    """wandb_workspaces: views, and panels."""
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as workspaces
    except ModuleNotFoundError:
        raise InputError(
            "pte workspace: wandb-workspaces is not installed. Type: pip install wandb-workspaces"
        ) from None
    return workspaces, panels


def workspace(workspaces: Any, panels: Any, project: str, entity: str, name: str, monitor: str) -> Any:
    """The view: a section per question, those about the method's figures open."""
    valid, test = f"valid/{monitor}", f"test/{monitor}"
    sections = {
        "Headline: validation chooses, test is reported": headline(panels, valid, test),
        "Learning curves": curves(panels, monitor),
        "Groups of items and users": groups(panels, monitor),
        "Options and figures": [
            coordinates(panels, valid, test), panels.ParameterImportancePlot(with_respect_to=valid),
            panels.RunComparer(diff_only="split"),
        ],
        "Selection of profiles by GRPO": policy(panels),
        "Tables": [panels.WeavePanelSummaryTable(table_name=table) for table in TABLES],
    }  # fmt: skip
    return workspaces.Workspace(
        entity=entity, project=project, name=name,
        sections=[
            workspaces.Section(name=title, panels=members, is_open=place < 4)
            for place, (title, members) in enumerate(sections.items())
        ],
        runset_settings=workspaces.RunsetSettings(
            pinned_columns=[f"summary:{valid}", f"summary:{test}", *(f"config:{option}.value" for option in OPTIONS)],
            order=[workspaces.Ordering(workspaces.Summary(valid), ascending=False)],
        ),
    )  # fmt: skip


def headline(panels: Any, valid: str, test: str) -> list[Any]:
    return [
        panels.BarPlot(title=f"{valid} (best epoch)", metrics=[valid]),
        panels.BarPlot(title=f"{test} (of that epoch)", metrics=[test]),
        panels.ScatterPlot(
            title="Validation against test", x=panels.SummaryMetric(valid), y=panels.SummaryMetric(test)
        ),
    ]  # fmt: skip


def curves(panels: Any, monitor: str) -> list[Any]:
    """Loss and validation figures over the steps of training."""
    figures = dict.fromkeys([monitor, MONITOR, "masked/all/Hit@10", "unmasked/all/NDCG@10"])
    return [
        panels.LinePlot(title=name, x="training/step", y=[name])
        for name in ("train/loss", *(f"valid/{figure}" for figure in figures), "training/seconds")
    ]


def groups(panels: Any, monitor: str) -> list[Any]:
    """The monitored metric of every group, by part."""
    ranking, _, metric = monitor.split("/")
    return [
        panels.BarPlot(title=f"{part}, {metric} {group}", metrics=[f"{part}/{ranking}/{group}/{metric}"])
        for part in ("valid", "test")
        for group in GROUPS
    ]


def policy(panels: Any) -> list[Any]:
    """Curves of GRPO over its own steps."""
    rows = [
        panels.LinePlot(title=title, x="selection/step", y=[f"selection/{name}" for name in names])
        for title, names in POLICY.items()
    ]
    return [panels.LinePlot(title="Reward parts", x="selection/step", metric_regex=REWARD_PARTS), *rows]


def coordinates(panels: Any, valid: str, test: str) -> Any:
    """Options by name, then what came of them."""
    metrics = [*map(panels.Config, OPTIONS), panels.SummaryMetric(valid), panels.SummaryMetric(test)]
    names = [*OPTIONS, "validation", "test"]
    columns = [
        panels.ParallelCoordinatesPlotColumn(metric=metric, display_name=name)
        for metric, name in zip(metrics, names, strict=True)
    ]
    return panels.ParallelCoordinatesPlot(title="Options and figures", columns=columns)
