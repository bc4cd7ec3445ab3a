"""Imports point down only, and never sideways on floor 2; heavy or outward-facing libraries stay in their rooms."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "pte"
FLOOR = {
    "paths": 0, "artifact": 0, "schema": 0, "asset": 0,
    "dataset": 1, "protocol": 1, "metric": 1, "nn": 1, "rl": 1,
    "profiler": 2, "encoder": 2, "reward": 2, "selector": 2, "representation": 2, "backbone": 2,
    "train": 3, "stage": 4, "engine": 5, "report": 6, "run": 7, "api": 7, "__main__": 8,
}  # fmt: skip
REPORT_MAY = {"report", "metric", "paths", "artifact", "schema"}
FORBIDDEN = {  # library -> rooms that may import it
    "hydra": {"run", "api", "engine"},
    "omegaconf": {"run", "api", "engine"},
    "wandb": {"train/logger"},
    "wandb_workspaces": {"report/workspace"},
    "lightning": {"train", "engine/process/lean"},
}
FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def room(path: Path) -> str:
    """First part of a module's place below pte/: "nn" for pte/nn/attention.py, "run" for pte/run.py."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> list[str]:
    """Dotted names of everything a file imports, in functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def faults(path: Path) -> list[str]:
    here, found = room(path), []
    for name in imported(path):
        top, *rest = name.split(".")
        if top == "pte" and rest and rest[0] in FLOOR:
            there = rest[0]
            if FLOOR[there] > FLOOR[here]:
                found.append(f"{here} (floor {FLOOR[here]}) imports {there} (floor {FLOOR[there]})")
            if FLOOR[here] == 2 and FLOOR[there] == 2 and here != there:
                found.append(f"{here} imports its neighbour {there}")
            if here == "stage" and there == "stage":
                found.append(f"{path.name} imports another stage")
            if here == "report" and there not in REPORT_MAY:
                found.append(f"report imports {there}")
        place = path.relative_to(ROOT).as_posix().removesuffix(".py")
        if top in FORBIDDEN and not {here, place} & FORBIDDEN[top]:
            found.append(f"{place} imports {top}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_point_down(path):
    assert room(path) in FLOOR, f"{path} has no floor: give it one"
    assert not faults(path)


def test_no_import_circles():
    """Depth first over all module-level and inner imports of modules inside the package."""
    modules = {
        ".".join(("pte", *p.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): p for p in FILES
    }
    uses = {
        name: {used for used in imported(path) if used in modules and used != name} for name, path in modules.items()
    }
    for name, path in modules.items():  # `from pte.a import b` names pte.a too, unless b is a module of its own
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in modules and node.module != name:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                if not inner <= modules.keys():
                    uses[name].add(node.module)
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path, name))}"
        if name not in finished:
            for used in sorted(uses[name]):
                visit(used, (*path, name))
            finished.add(name)

    for name in modules:
        visit(name, ())


def test_an_import_upwards_is_seen(tmp_path):
    bad = ROOT / "nn" / "_planted.py"
    try:
        bad.write_text("import wandb\nfrom pte.engine import pipeline\n")
        assert len(faults(bad)) == 2
    finally:
        bad.unlink()


def test_configuration_groups_and_rooms_share_their_names():
    groups = {p.name for p in (ROOT.parent / "conf").iterdir() if p.is_dir()}
    assert groups - set(FLOOR) == {"optimizer", "trainer", "logger", "experiment"}


ACROSS = {  # group: what it takes from others (docs/architecture.md says why)
    "optimizer": {"backbone.fit.lr", "backbone.fit.weight_decay"},
    "representation": {"backbone.fit.head", "backbone.fit.std", "backbone.fit.width"},
    "backbone": {"representation.fit.dropout", "representation.fit.lr", "representation.fit.weight_decay"},
    "protocol": {"selector.fit.withhold"}, "dataset": {"paths.data"}, "logger": {"paths.outputs"},
}  # fmt: skip


def test_values_cross_groups_only_where_one_is_tuned_for_another():
    conf, across = ROOT.parent / "conf", {}
    for file in conf.glob("*/**/*.yaml"):
        group = file.relative_to(conf).parts[0]
        names = set(re.findall(r"\$\{(?:oc\.select:)?(\w+\.[\w.]+)", file.read_text(encoding="utf-8")))
        if group != "experiment" and (others := {name for name in names if not name.startswith(f"{group}.")}):
            across[group] = across.get(group, set()) | others
    assert across == ACROSS


@pytest.mark.parametrize("module", ["pte", "pte.schema", "pte.artifact", "pte.paths", "pte.run"])
def test_light_modules_import_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_keep_to_their_room():
    long = {p.relative_to(ROOT).as_posix(): n for p in FILES if (n := len(p.read_text().splitlines())) > 300}
    assert not long, "split these files"


def test_no_folder_is_crowded():
    """A dozen modules at one level; `__init__.py` says what the folder holds and is not counted."""
    rooms = Counter(p.parent.relative_to(ROOT).as_posix() for p in FILES if p.name != "__init__.py")
    assert not {folder: n for folder, n in rooms.items() if n > 12}, "split these folders by what they hold"


def test_tests_mirror_the_package():
    """A folder of tests is a folder of the package, no test imports another, and no folder is crowded."""
    home = Path(__file__).resolve().parent
    folders = Counter(p.parent.relative_to(home).as_posix() for p in home.rglob("test_*.py"))
    assert not [folder for folder in folders if not (ROOT / folder).is_dir()]
    assert not {folder: n for folder, n in folders.items() if n > 12}
    names = {name for p in home.rglob("*.py") for name in imported(p)}
    assert not [name for name in names if any(part.startswith("test_") for part in name.split(".")[:-1])]


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.parent.name == "kernel" and p.stem != "__init__"], ids=lambda p: p.stem
)
def test_a_fast_path_names_its_reference_and_the_test_that_compares_them(path):
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    assert re.search("Reference: |equals |as under ", text)
    named = re.findall(r"tests/[\w/]+\.py", text)
    assert named
    assert all((ROOT.parent / test).is_file() for test in named)


def test_the_tree_in_the_documentation_names_every_folder():
    tree = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = (
        {p.parent for p in FILES} | {p.parent for p in ROOT.rglob("*.toml")} | {p.parent for p in ROOT.rglob("*.js")}
    )
    assert not sorted(p.relative_to(ROOT).as_posix() for p in folders - {ROOT} if f"{p.name}/" not in tree)


OUTSIDE = sorted(p for name in ("tests", "docs", "experiments") for p in (ROOT.parent / name).rglob("*.py"))


def defined(module: str) -> set[str] | None:
    """Names at the top of a module of pte, and the modules of a package; None where there is no such module."""
    place = ROOT.parent.joinpath(*module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not file.is_file():
        return {p.stem for p in place.glob("*.py")} if place.is_dir() else None
    names = {p.stem for p in place.iterdir()} if place.is_dir() else set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Import() | ast.ImportFrom():
                names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return names


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda p: p.relative_to(ROOT.parent).as_posix())
def test_what_tests_examples_and_experiments_import_is_there(path):
    """Type checks see pte alone: a renamed function would break an example of the documentation unseen."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "pte":
            names = defined(str(node.module))
            assert names is not None, f"line {node.lineno}: there is no {node.module}"
            assert {alias.name for alias in node.names} <= names, f"line {node.lineno} of {path}"
