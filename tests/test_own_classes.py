"""Classes of a user's own: built once trusted, refused with the way out else, and known in the keys by their source."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pte.asset.code import sources, targets
from pte.engine.build import construct, flag
from pte.engine.config.contract import OFFERS
from pte.engine.trust import locate, trusted
from pte.schema import InputError

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "docs" / "example"
SHIPPED = {"_target_": "pte.protocol.leave_one_out.LeaveOneOut"}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module to import from; its name is new in every test, since imports are remembered."""
    name = f"own_{tmp_path.name}"
    monkeypatch.syspath_prepend(tmp_path)

    def write(text="class A:\n    uses_text = False\n    def __init__(self, *, k=1): self.k = k\n", place=f"{name}.py"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
        return name

    return write


def test_a_trusted_class_is_built_and_no_other(module):
    name = module()
    values = {"_target_": f"{name}.A", "k": 3}
    assert construct(values, "conf/optimizer", trusted({"trust": [name]})).k == 3
    for config in ({}, {"trust": []}, {"trust": [name[:-1]]}, {"trust": [f"{name}.B"]}):
        with pytest.raises(InputError, match=rf"trust=\[{name}\].*--config-dir.*pte\.plugins"):
            construct(values, "conf/optimizer", trusted(config))


def test_a_class_deep_in_a_config_needs_trust_too(module):
    name = module()
    for part in ({"x": {"y": {"_target_": f"{name}.A"}}}, {"x": [{"_target_": f"{name}.A"}]}):
        assert list(targets(part)) == [f"{name}.A"]
        with pytest.raises(InputError, match=name):
            construct({**SHIPPED, **part}, "conf/protocol")


@pytest.mark.parametrize("given", ["mine", {"mine": True}, [1], [""], ["a-b"], ["mine."]])
def test_what_is_no_list_of_modules_is_refused(given):
    with pytest.raises(InputError, match=r"trust=.*trust=\[mypackage\]"):
        trusted({"trust": given})


def test_an_installed_package_may_list_its_module(module, tmp_path):
    name = module()
    info = tmp_path / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pte.plugins]\nanything = {name}\n")
    assert construct({"_target_": f"{name}.A"}, "conf/optimizer", trusted({})).k == 1


@pytest.mark.parametrize(
    "name",
    ["torch.os.system", "torch.builtins.eval", "pte.run.sys.exit", "torch.os", "lightning.pytorch", "torch.sys.path"],
)
def test_what_a_library_merely_imports_is_not_its_own(name):
    with pytest.raises(InputError, match="name a class"):
        locate(name, "conf/logger", ())


@pytest.mark.parametrize(
    "name", ["torch.optim.AdamW", "lightning.pytorch.loggers.CSVLogger", "pte.protocol.leave_one_out.LeaveOneOut"]
)
def test_what_is_shipped_needs_no_trust(name):
    assert locate(name, "conf/optimizer", ()).__name__ == name.rpartition(".")[2]
    assert sources({"optimizer": {"_target_": name}}) == {}


@pytest.mark.parametrize("text", ["def f(:\n", "import no_such_module_here\n", "1 / 0\n", "class B: pass\n"])
def test_a_class_that_cannot_be_imported(module, text):
    name = module(text)
    with pytest.raises(InputError, match=rf"_target_={name}.A cannot be imported.*PYTHONPATH"):
        locate(f"{name}.A", "conf/backbone", (name,))


def test_a_class_that_does_not_say_what_it_reads(module):
    name = module("class A: pass\n")
    sentence = r"A: the class has no uses_text;.*nn\.contract\.Backbone.*docs/own_classes\.md"
    with pytest.raises(InputError, match=sentence):
        flag({"trust": [name], "backbone": {"_target_": f"{name}.A"}}, "backbone", "uses_text")


def written(group, lacking=None):
    """The text of a class that offers what its group asks for, but for one name."""
    contract, names = OFFERS[group]
    home, _, kind = contract.rpartition(".")
    names = [*names, *["loss"] * (group == "backbone")]
    body = [f"    def {name}(self): ..." for name in names if name != lacking]
    base = "" if group == "protocol" else f"({kind})"
    return "\n".join([f"from {home} import {kind}", f"class A{base}:", "    reads_ids = False", *body, ""])


@pytest.mark.parametrize("group", OFFERS)
def test_a_class_is_asked_for_what_its_group_uses_while_planning(module, tmp_path, group):
    def build(number, lacking):
        name = module(written(group, lacking), f"{tmp_path.name}_{number}.py") and f"{tmp_path.name}_{number}"
        return construct({"_target_": f"{name}.A"}, f"conf/{group}", (name,))

    assert build(0, None)
    for number, lacking in enumerate([*OFFERS[group][1], *["loss"] * (group == "backbone")], 1):
        with pytest.raises(InputError, match=rf"^{group}\._target_=.*: the class has no {lacking};.*own_classes\.md"):
            build(number, lacking)


def test_a_backbone_that_inherits_nothing_and_a_part_without_a_score(module):
    name = module()
    with pytest.raises(InputError, match=rf"^backbone\._target_={name}\.A.*let it inherit pte\.nn\.contract\.Backbone"):
        construct({"_target_": f"{name}.A"}, "conf/backbone", (name,))
    part = {"_target_": f"{name}.A"}
    reward = {"_target_": "pte.reward.mixture.Mixture", "parts": {"long": part}, "weights": {"long": 1}}
    with pytest.raises(InputError, match=rf"^reward\.parts\.long\._target_={name}\.A: the class has no score;"):
        construct(reward, "conf/reward", (name,))


def package(module):
    """A package whose backbone reads layers (relatively), inner.deep and a module beside the package."""
    files = {
        "pack/__init__.py": "", "pack/layers.py": "import torch\n", "pack/inner/deep.py": "", "pack/other.py": "",
        "pack/backbone.py": "from .layers import torch\nimport beside\ndef g():\n    import pack.inner.deep\n",
        "beside.py": "import os\n",
    }  # fmt: skip
    for place, text in files.items():
        module(text, place)
    return {"group": {"part": [{"_target_": "pack.backbone.A"}]}}


@pytest.mark.parametrize(
    ("edited", "counts"),
    [("pack/backbone.py", True), ("pack/layers.py", True), ("pack/inner/deep.py", True), ("pack/__init__.py", True),
     ("beside.py", True), ("pack/other.py", False)],
)  # fmt: skip
def test_an_edited_file_that_a_class_reads_changes_its_source(module, tmp_path, edited, counts):
    knobs = package(module)
    before = sources(knobs)
    assert set(before) == {"pack", "pack.backbone", "pack.layers", "pack.inner.deep", "beside"}
    (tmp_path / edited).write_text("edited = 1\n" + (tmp_path / edited).read_text())
    assert (sources(knobs) != before) == counts


def test_a_file_that_is_no_python_is_named(module):
    name = module("def f(:\n")
    with pytest.raises(InputError, match=rf"{name}\.py:1"):
        sources({"backbone": {"_target_": f"{name}.A"}})


def pte(folder, *words):
    command = [sys.executable, "-m", "pte.run", "--config-dir", "conf", "experiment=mine", *words]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PTE_DATA": ""}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_the_example_runs_and_an_edited_class_is_not_served_old_results(tmp_path):
    """docs/example: five classes that pte knows nothing of, to a table; then a line of one of them is changed."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("outputs", "__pycache__"))
    assert "backbone=moving_average" in pte(folder)
    known = pte(folder, "plan=true")
    assert "miss" not in known
    file = folder / "mine" / "backbone.py"
    file.write_text(file.read_text().replace("self.decay * state", "self.decay**2 * state"))
    plan = {words[0]: words[2] for line in pte(folder, "plan=true").splitlines() if len(words := line.split()) >= 3}
    assert {stage for stage, found in plan.items() if found == "miss"} == {"training", "metrics"}
