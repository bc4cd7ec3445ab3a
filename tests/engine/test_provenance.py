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


def test_energy_is_what_the_packages_counters_have_moved(monkeypatch, tmp_path):
    def set_counters(*microjoules):
        for name, value in zip(("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"), microjoules, strict=True):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "energy_uj").write_text(f"{value}\n")
            (tmp_path / name / "max_energy_range_uj").write_text("9999999\n")

    monkeypatch.setattr(provenance, "RAPL", tmp_path)
    assert provenance.energy_joules(provenance.energy()) is None
    set_counters(1_000_000, 9_000_000, 0)
    began = provenance.energy()
    set_counters(3_500_000, 1_000_000, 5)  # the second one began anew; the third is a part of the first
    assert provenance.energy_joules(began) == 2.5 + 2.0
