"""Hydra reads and merges the files of a choice of options once for all tests; each applies its own words to a copy.

Most of the time of a command that is refused goes into the same hundred files, three times over.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hydra._internal import config_loader_impl as loader
from hydra._internal.defaults_list import DefaultsList, Overrides

LISTS: dict[Any, DefaultsList] = {}
CONFIGS: dict[Any, Any] = {}


def places(repo: Any) -> tuple[Any, ...]:
    """The folders that are searched, with time and size of every file of theirs."""
    return tuple((source.provider, source.path, *_stamps(Path(source.path))) for source in repo.get_sources())


def _stamps(folder: Path) -> list[Any]:
    files = sorted(folder.rglob("*.yaml")) if folder.is_absolute() else []
    return [(str(file), stat.st_mtime_ns, stat.st_size) for file in files for stat in [file.stat()]]


def remember(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone: lists of defaults and what they compose to, by the options chosen and `places`."""
    listed, merge = loader.create_defaults_list, loader.ConfigLoaderImpl._compose_config_from_defaults_list

    def create_defaults_list(repo: Any, config_name: Any, overrides_list: Any, **others: Any) -> DefaultsList:
        own = Overrides(repo=repo, overrides_list=overrides_list).config_overrides
        options = tuple(str(each.input_line) for each in overrides_list if each not in own)
        key = (places(repo), config_name, options, *sorted(others.items()))
        if key not in LISTS:
            LISTS[key] = listed(repo=repo, config_name=config_name, overrides_list=overrides_list, **others)
        known = LISTS[key]
        return DefaultsList(known.defaults, known.defaults_tree, own, known.overrides)

    def compose(self: Any, defaults: Any, repo: Any) -> Any:
        key = (places(repo), repr(defaults))
        if key not in CONFIGS:
            CONFIGS[key] = merge(self, defaults, repo)
        return copy.deepcopy(CONFIGS[key])

    patch.setattr(loader, "create_defaults_list", create_defaults_list)
    patch.setattr(loader.ConfigLoaderImpl, "_compose_config_from_defaults_list", compose)
