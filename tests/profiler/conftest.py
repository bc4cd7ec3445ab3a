"""Fixtures of tests of profilers."""

from __future__ import annotations

from pathlib import Path

import pytest
from helper.transformers_profiler import save_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A model folder as `save_pretrained` writes it."""
    path = tmp_path_factory.mktemp("tiny")
    save_model(path)
    return path
