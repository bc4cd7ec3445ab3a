"""No public class of pte is built from more than a dozen arguments: what is more is a part of its own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "pte"
MOST = 12
ROWS = {"Generation"}  # of a stored table, whose columns are its fields


def arguments(kind: ast.ClassDef) -> int:
    """Of `__init__` but self, or of a data class's fields."""
    for node in kind.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            given = node.args
            return len(given.posonlyargs + given.args + given.kwonlyargs) - 1
    if not any("dataclass" in ast.unparse(decorator) for decorator in kind.decorator_list):
        return 0
    fields = [node for node in kind.body if isinstance(node, ast.AnnAssign)]
    return sum("ClassVar" not in ast.unparse(field.annotation) for field in fields)


def long_ones(source: str) -> list[str]:
    kinds = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    long = [kind.name for kind in kinds if not kind.name.startswith("_") and arguments(kind) > MOST]
    return [name for name in long if name not in ROWS]


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_constructor_takes_more_than_a_dozen_arguments(file):
    assert long_ones(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("count", [MOST, MOST + 1])
def test_the_count_is_of_arguments_and_fields(count):
    names = [f"a{n}" for n in range(count)]
    written = f"class A:\n    def __init__(self, *, {', '.join(names)}): ..."
    fields = "\n".join(["@dataclass(frozen=True)", "class A:", *(f"    {name}: int" for name in names)])
    for source in (written, fields):
        assert long_ones(source) == ["A"] * (count > MOST)
