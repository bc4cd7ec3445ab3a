"""Names are nouns of the field (docs/glossary.md); a bare participle says that something happened, not what it is."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "pte"
ROOMS = sorted(p.name for p in ROOT.iterdir() if (p.is_dir() and not p.name.startswith("_")) or p.suffix == ".py")
BANNED = frozenset([
    "asked", "begun", "brought", "chosen", "counted", "found", "gone", "handed", "heard", "held",
    "kept", "made", "met", "mine", "ours", "placed", "said", "say", "seen", "sent", "shown", "spent", "spoken",
    "strange", "strangers", "such", "taken", "theirs", "things", "told", "wanted", "what", "whose",
])  # fmt: skip
ALLOWED = frozenset({"held_out"})


def bound(tree: ast.AST) -> set[tuple[str, int]]:
    """(name, line) of what a module defines: classes, functions, parameters, variables, attributes, aliases."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                names.add((name, node.lineno))
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.add((name, node.lineno))
            case ast.alias(asname=str(name)):
                names.add((name, node.lineno))
    return names


def violations(path: Path) -> list[str]:
    names = sorted(bound(ast.parse(path.read_text(encoding="utf-8"))), key=lambda pair: pair[1])
    return [
        f"{path.name}:{line}: {name}"
        for name, line in names
        if name not in ALLOWED and BANNED.intersection(name.lower().strip("_").split("_"))
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_no_participle_is_a_name(room):
    files = sorted((ROOT / room).rglob("*.py")) or [ROOT / room]
    assert files
    assert not [violation for path in files for violation in violations(path)], "name what it is: docs/glossary.md"


def test_a_participle_is_noticed(tmp_path):
    path = tmp_path / "planted.py"
    path.write_text("class Told: ...\ndef f(items_asked): held_out = kept = 1\nimport numpy as found\n")
    assert {v.rpartition(" ")[2] for v in violations(path)} == {"Told", "items_asked", "kept", "found"}
