"""Every part that an option file spells out has what its class requires."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
import yaml

CONF = Path(__file__).resolve().parents[3] / "conf"
FACTS = {"width", "length", "views", "num_items"}  # what is learnt at run time, of parts with `_partial_: true`
FILES = sorted(p for p in CONF.rglob("*.yaml") if "_target_: pte." in p.read_text(encoding="utf-8"))


def parts(value, above=""):
    """Dotted name and knobs of every part inside an option, the option itself left out: its defaults may add knobs."""
    for name, inner in value.items() if isinstance(value, dict) else []:
        if isinstance(inner, dict):
            if str(inner.get("_target_", "")).startswith("pte."):
                yield f"{above}{name}", inner
            yield from parts(inner, f"{above}{name}.")


def missing(knobs):
    module, _, name = knobs["_target_"].rpartition(".")
    keywords = inspect.signature(getattr(import_module(module), name)).parameters.values()
    known = {*knobs, "save_dir", *(FACTS if knobs.get("_partial_") else ())}  # save_dir: of every logger
    return [p.name for p in keywords if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in known]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(CONF).as_posix())
def test_a_part_of_an_option_lacks_no_keyword(file):
    found = {name: names for name, knobs in parts(yaml.safe_load(file.read_text("utf-8"))) if (names := missing(knobs))}
    assert not found


def test_a_keyword_left_out_is_seen():
    knobs = {"_target_": "pte.backbone.expert.likeness.Likeness", "_partial_": True, "recency": 0.5, "eps": 1e-5}
    assert missing(knobs) == ["components"]
