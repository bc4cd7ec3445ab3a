"""Fixtures of tests of stages."""

from __future__ import annotations

from pathlib import Path

import pytest
from helper.training import walks


@pytest.fixture(scope="module")
def parents(tmp_path_factory) -> dict[str, Path]:
    """Folders of the artefacts that training reads, from `walks`."""
    interactions, split = walks()
    folders = {name: tmp_path_factory.mktemp(name) for name in ("interactions", "split")}
    interactions.save(folders["interactions"])
    split.save(folders["split"])
    return folders
