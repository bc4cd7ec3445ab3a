"""Where a run is started among others, it says so rather than wait for them."""

import pytest

from pte.engine.process.device import process_count
from pte.schema import InputError


def test_a_process_of_somebody_elses_group_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"one of 2 processes .* python -m pte\.run trainer\.devices=2"):
        process_count({"devices": 1, "accelerator": "cpu", "oversubscribe": False})
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert process_count({"devices": 1, "accelerator": "cpu", "oversubscribe": False}) == 1
