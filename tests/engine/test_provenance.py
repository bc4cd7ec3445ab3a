"""What a manifest says of the machine."""

import sys
from types import SimpleNamespace

import pytest

from pte.engine import provenance


@pytest.mark.parametrize(
    ("there", "used", "elsewhere", "name"),
    [
        (False, False, True, None),
        (True, False, False, None),  # a GPU that did nothing
        (True, True, False, "H200"),
        (True, False, True, "H200"),  # the processes of distributed training used it
    ],
)
def test_the_gpu_that_was_used(monkeypatch, there, used, elsewhere, name):
    cuda = SimpleNamespace(is_available=lambda: there, is_initialized=lambda: used, get_device_name=lambda: "H200")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert provenance.gpu(elsewhere) == name


def test_a_stage_without_torch_does_not_import_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert provenance.gpu(True) is None
    assert "torch" not in sys.modules
