"""What the source says of classes that are not ours: the sha256 of the files that decide what they do.

What such a class computes is described by no version of ours, so its module, the packages above it, and what these
import from the same package or the folder beside it go into keys. Nothing is run to find them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pte.artifact import file_sha256
from pte.schema.error import InputError

SHIPPED = ("pte", "torch", "lightning", "transformers")


def targets(value: Any) -> Iterator[str]:
    """Every `_target_` in a config, however deep."""
    if isinstance(value, Mapping):
        yield from (str(v) for k, v in value.items() if k == "_target_")
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from targets(part)


def sources(knobs: Mapping[str, Any]) -> dict[str, str]:
    """Module -> sha256 of every file that decides what the classes named in `knobs` do, without those SHIPPED."""
    hashes: dict[str, str] = {}
    for target in targets(knobs):
        if not within(target, SHIPPED):
            _collect(target, target.partition(".")[0], hashes)
    return hashes


def within(name: str, modules: Iterable[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


@dataclass(frozen=True)
class _Module:
    """Where a module's code lies, found without running any."""

    file: Path | None  # None: a package without __init__.py
    folders: tuple[Path, ...]  # where its submodules lie; () where it is no package

    @property
    def holder(self) -> Path | None:
        """The folder that a top-level module was found in."""
        place = self.folders[0] if self.folders else self.file
        return None if place is None else place.resolve().parent


def _module(name: str) -> _Module | None:
    """By its dotted name; None where there is no such module (the name of a class, for one)."""
    above, _, last = name.rpartition(".")
    if not above:
        try:
            spec = find_spec(name)
        except ValueError:  # __main__
            return None
        if spec is None or not (spec.has_location or spec.submodule_search_locations):
            return None
        file = Path(spec.origin) if spec.has_location and spec.origin else None
        return _Module(file, tuple(map(Path, spec.submodule_search_locations or ())))
    parent = _module(above)
    for folder in () if parent is None else parent.folders:
        inner, files = folder / last, [folder / f"{last}.py", *folder.glob(f"{last}.*.so"), folder / f"{last}.pyd"]
        if (inner / "__init__.py").is_file():
            return _Module(inner / "__init__.py", (inner,))
        if file := next((file for file in files if file.is_file()), None):
            return _Module(file, ())
        if inner.is_dir():
            return _Module(None, (inner,))
    return None


def _collect(name: str, top: str, hashes: dict[str, str]) -> None:
    """Add the modules that make up a dotted name, packages first, and what they import from the same folder."""
    parts = name.split(".")
    if not _beside(parts[0], top):
        return
    for name in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
        module = _module(name)
        if module is None:
            return
        if name in hashes or module.file is None:
            continue
        hashes[name] = file_sha256(module.file)
        if module.file.suffix == ".py":
            package = name if module.folders else name.rpartition(".")[0]
            for imported in _imports(module.file, package):
                _collect(imported, top, hashes)


def _beside(first: str, top: str) -> bool:
    """Whether a top-level module is `top`, or lies in the folder that holds it (but not among installed packages)."""
    if first == top:
        return True
    if first in SHIPPED or first in sys.stdlib_module_names:
        return False
    one, other = _module(top), _module(first)
    if one is None or other is None or one.holder is None or one.holder != other.holder:
        return False
    return not {"site-packages", "dist-packages"} & set(one.holder.parts)


def _imports(file: Path, package: str) -> Iterator[str]:
    """Dotted names of everything a file imports, in functions too; `from a import b` gives a.b."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise InputError(f"{file}:{error.lineno}: {error.msg}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
