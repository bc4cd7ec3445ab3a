"""Every command the README shows is run: as printed where it takes seconds, else up to its plan (plan=true)."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def commands():
    """Lines of ```bash blocks and `python -m pte.run ...` in tables, without comments, each once."""
    blocks = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`(python -m pte\.run [^`]+)`", TEXT)
    return list(dict.fromkeys(line.split(" # ")[0].strip() for line in lines if line))


def planned(words):
    """The same command, planned: its whole configuration is composed and its keys are worked out."""
    return [*words, *(["plan=true"] if "plan=true" not in words else [])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with the tables that the README calls my/..."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "my").mkdir()
    rows = [f"u{u},i{(u + k) % 9},{k}" for u in range(6) for k in range(5)]
    (folder / "my" / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    (folder / "my" / "items.csv").write_text(
        "\n".join(["item_id,title", *(f"i{i},Title {i}" for i in range(9))]) + "\n"
    )
    return folder


def test_the_readme_starts_with_its_two_commands():
    assert commands()[:2] == ["make run", "make test"]


@pytest.mark.assets
@pytest.mark.parametrize("command", [c for c in commands() if "pte.run" in c])
def test_command_of_the_readme_plans(command, folder):
    words = shlex.split(command)
    of_toys = "dataset=Toys" in words or any(word.startswith("experiment=table_") for word in words)
    if of_toys and not os.environ.get("PTE_DATA"):
        pytest.skip("PTE_DATA is not set: no Toys table")
    if "stage=audit" in words:
        words = [w.replace("stage=", "until=") for w in words]  # its parents are not made in this folder
    done = subprocess.run(
        [sys.executable, *planned(words)[1:]],
        cwd=folder, capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    assert "  miss" in done.stdout or "  hit" in done.stdout


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make ")])
def test_make_command_of_the_readme_expands_to_the_program(command):
    done = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("-m pte.run" in done.stdout) or ("-m pytest" in done.stdout)
    arguments = re.search(r'ARGS="([^"]+)"', command)
    assert arguments is None or arguments[1] in done.stdout


def test_floor_plan_of_the_readme_is_the_real_one():
    rooms = {p.name.removesuffix(".py") for p in (ROOT / "pte").iterdir() if p.is_dir() or p.suffix == ".py"}
    rooms -= {"__init__", "__pycache__"}
    table = TEXT[TEXT.index("| floor |") : TEXT.index("**A backbone**")]
    assert (
        set(re.findall(r"`(\w+)`", "\n".join(row.split("|")[2] for row in table.splitlines()[2:] if "|" in row)))
        == rooms
    )


def test_the_results_are_those_of_the_ranks():
    done = subprocess.run(
        [sys.executable, ROOT / "experiments" / "headline.py"],
        capture_output=True, text=True, timeout=280, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"<!-- python experiments/headline.py -->\n{done.stdout}<!-- end -->" in TEXT, "run it, and put it there"
