"""Mutated option files and override lines: each is a plan or one sentence with exit status 2, never a traceback."""

from __future__ import annotations

import random
import sys

import pytest
from helper.command import write_eight

from pte import run
from pte.paths import CONF_DIR

OPTIONS = [
    "backbone/sasrec", "backbone/fused", "backbone/dreamrec", "backbone/markov", "backbone/gru4rec", "dataset/custom",
    "dataset/rules/default", "encoder/minilm", "encoder/hf", "optimizer/adamw", "profiler/template", "profiler/auto",
    "profiler/openai", "profiler/transformers", "profiler/imported", "protocol/leave_one_out", "protocol/cold_start",
    "protocol/global_temporal", "representation/llm_only", "representation/alphafuse", "representation/llm_esr",
    "reward/pte", "selector/grpo", "selector/best_of_k", "trainer/default", "logger/csv", "backbone/fit/sasrec",
]  # fmt: skip
VALUES = [
    "null", "-1", "0", "1e400", "-.inf", ".nan", "word", "''", "[]", "{}", "[1,2,3]", "{a: 1}", "true", "${nope}",
    "${oc.env:NO_SUCH_VARIABLE}", "???", "'*'", "99999999999999999999", "0.5", "a: b", "!!python/name:os.system", "%Y",
    "${eval:1}", "x" * 300, "2020-01-01", "ünï", "${backbone}", "os.system", "pte.run.main", "[[[]]]", "!!binary aGk=",
]  # fmt: skip
PIECES = [
    b"\t",
    b"\n",
    b":",
    b"- ",
    b"  ",
    b"#",
    b"{",
    b"]",
    b"'",
    b'"',
    b"\xff",
    b"\x00",
    b"&a",
    b"*a",
    b"---\n",
    b"@",
]
HOW = ("", "", "", "", "+", "++", "~")


def mutated_file(text: str, draw: random.Random) -> bytes:
    """An option file with a value, a line or a few bytes changed."""
    lines = text.splitlines(keepends=True)
    for _ in range(draw.randint(1, 2)):
        at = draw.randrange(len(lines))
        name, colon, _ = lines[at].partition(":")
        match draw.randrange(5):
            case 0 | 1 if colon:
                lines[at] = f"{name}: {draw.choice(VALUES)}\n"
            case 2:
                lines[at] = lines[at] * draw.choice((0, 2))
            case 3 if colon:
                lines[at] = f"{name}{draw.choice('xs_')}{colon}{lines[at].partition(':')[2]}"
    raw = bytearray("".join(lines).encode())
    if draw.random() < 0.4 and raw:
        start = draw.randrange(len(raw))
        raw[start : start + draw.randint(0, 3)] = draw.choice(PIECES)
    return bytes(raw)


def mutated_word(names: list[str], draw: random.Random) -> str:
    """An override whose value, name or form is wrong, or happens to be right."""
    name = draw.choice(names)
    if draw.random() < 0.2:
        at = draw.randrange(len(name))
        name = name[:at] + draw.choice(("", "x", ".", "-", "/", "@", " ", "[")) + name[at + 1 :]
    value = draw.choice(VALUES)
    return draw.choice(HOW) + (f"{name}={value}" if draw.random() < 0.95 else draw.choice((name, f"{name}=", "=", "~")))


def names() -> list[str]:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from pte.schema.knob import leaves

    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", ["dataset=custom", "profiler=template"]), resolve=False)
    return sorted(
        {name for name, _ in leaves(config)} | {folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()}
    )


@pytest.fixture
def answer(tmp_path, monkeypatch, capfd):
    """`answer(*words)`: what the command does, held against the rule of this module."""
    own = write_eight(tmp_path)
    monkeypatch.chdir(tmp_path)

    def check(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["pte", *own, "logger=none", "profiler=template", *words])
        with pytest.raises(SystemExit) as left:
            run.main()
        streams = capfd.readouterr()
        shown = f"{words}: exit status {left.value.code}\n{streams.out}\n{streams.err}"
        assert left.value.code in (0, 2), shown
        assert "Traceback" not in streams.err + streams.out, shown
        assert (left.value.code == 2) == streams.err.lstrip().startswith("ERROR: "), shown
        return left.value.code

    return check


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_mutated_option_files(answer, tmp_path, seed):
    draw = random.Random(seed)
    for number in range(8):
        option = draw.choice(OPTIONS)
        group, _, name = option.rpartition("/")
        folder = tmp_path / f"mine{number}" / group
        folder.mkdir(parents=True)
        (folder / f"{name}.yaml").write_bytes(mutated_file((CONF_DIR / f"{option}.yaml").read_text(), draw))
        top = group.partition("/")[0]
        options = [f"{top}={name}"] if top == group and top not in ("dataset", "profiler") else []
        answer("--config-dir", str(tmp_path / f"mine{number}"), *options, "plan=true")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_mutated_override_lines(answer, seed):
    draw, known = random.Random(seed), names()
    for _ in range(8):
        answer(*(mutated_word(known, draw) for _ in range(draw.randint(1, 2))), "plan=true")


@pytest.mark.parametrize(
    "words",
    [["optimizer._partial_={a: 1}"], ["+="], ["backbone._target_=7"], ["llm_esr_groups.users=word"], ["+profiler=9"],
     ["~backbone@reader.fit.patience=1e400"], ["backbone=sasrec", "backbone.loss.kernel=''"],
     ["dataset.user_id={a: 1}"]],
)  # fmt: skip
def test_odd_words_are_reported_in_a_sentence(answer, words):
    assert answer(*words, "plan=true") == 2
