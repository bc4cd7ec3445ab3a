"""What people mistype: exit status 2 and one sentence with the knob's full name before anything is made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helper.command import sentence

import pte as pte_package
from pte import run

PLAIN = ["representation=id"]
ID = ["backbone=sasrec", *PLAIN]
TEXT = ["backbone=sasrec", "selector=grpo", "profiler=template", "representation=llm_only"]
LLM_ESR, ALPHAFUSE, WHITENREC, CONCAT, RLMREC = (
    ["backbone=sasrec", "profiler=template", f"representation={name}"]
    for name in ("llm_esr", "alphafuse", "whitenrec", "concat", "rlmrec_con")
)
DREAMREC = ["backbone=dreamrec", *PLAIN]
MARKOV = ["backbone=markov", *PLAIN]
MISTAKES = [  # the mistake, last, and what goes before it
    # names
    (PLAIN, "backbone=markof"), (ID, "datset=Toys"), (ID, "backbone.layerz=3"), (ID, "trainer.max_epoch=3"),
    (ID, "lr=0.1"),
    (ID, "until=embedings"), (ID, "until=reader"), (ID, "stage=metric"), (ID, "ranking=sampeld"), (ID, "optimizer=adm"),
    # sizes and shares of the model
    (ID, "representation.width=63"), (ID, "representation.width=0"), (ID, "representation.std=0"),
    (ID, "representation.sparse=true"), (ID, "backbone/loss=bpr"), (ID, "backbone.dropout=1.5"),
    (ID, "backbone.attention_dropout=-1"), (ID, "backbone.heads=3"), (ID, "backbone.layers=0"),
    (ID, "backbone.inner=1000000000000"), (ID, "backbone.length=0"), (ID, "backbone.loss.calibration=0.5"),
    ([*ID, "backbone/loss=bce"], "backbone.loss.negatives=-4"),
    ([*ID, "backbone/loss=gbce"], "backbone.loss.negatives=many"),
    ([*ID, "backbone/loss=sampled_softmax"], "backbone.loss.uniform=0"), (ID, "backbone.loss.kernel=fused"),
    (ID, "backbone.loss=5"), (PLAIN, "backbone=text_knn"), (["backbone=ease", *PLAIN], "backbone.ridge=-1"),
    (["backbone=bsarec", *PLAIN], "backbone.alpha=2"), (["backbone=gru4rec", *PLAIN], "backbone.hidden=0"),
    (MARKOV, "backbone.window=0"), (MARKOV, "backbone.recency=1.5"), (MARKOV, "backbone.shrink=-1"),
    (DREAMREC, "backbone.depth=2"), (DREAMREC, "backbone.diffusion.schedule=sigmoid"),
    (DREAMREC, "backbone.diffusion.guidance=-3"), (DREAMREC, "backbone.diffusion.uncondition=2"),
    (DREAMREC, "backbone.diffusion.steps=0"), (DREAMREC, "backbone.sampler=ddim"), (DREAMREC, "backbone.steps=9"),
    ([*DREAMREC, "backbone/sampler=ddim"], "backbone.sampler.stride=9999"), (DREAMREC, "backbone.stride=7"),
    (["backbone=fused", "profiler=template"], "backbone.likeness.recency=2"),
    (TEXT, "representation.components=100000"), (TEXT, "representation.head=foo"), (TEXT, "representation.eps=-1"),
    (ALPHAFUSE, "representation.null_space.dim=99"), (WHITENREC, "representation.groups=7"),
    (LLM_ESR, "representation.heads=3"),
    (CONCAT, "representation.id_share=1.5"), (RLMREC, "representation.temperature=0"),
    # training
    (ID, "optimizer.lr=-1"), (ID, "optimizer.lr=1e30"), (ID, "optimizer.betas=[0.9]"), (ID, "trainer.warmup=5"),
    (ID, "trainer.decay=linear"), (ID, "trainer.accelerator=quantum"), (ID, "trainer.devices=0"),
    (ID, "trainer.devices=4096"), (ID, "trainer.gradient_clip=-1"), (ID, "trainer.scores_mib=0"),
    (["trainer=cpu", *ID], "trainer.precision=16-mixed"), (["trainer=cpu", *ID], "trainer.strategy=fsdp"),
    (ID, "trainer.batch_size=0"), (ID, "seed=99999999999999999999999"), (ID, "llm_esr_groups.items=-4"),
    # profiles, embeddings, selection, protocol
    (TEXT, "encoder.dtype=float8"), (["encoder=hf", *TEXT], "encoder.model=null"), (TEXT, "profiler.num_candidates=0"),
    (TEXT, "selector.group_size=1"), (TEXT, "selector.held_out=1.0"), (TEXT, "selector.objective.clip=[0.2]"),
    (TEXT, "selector.learning_rate=1000"), (TEXT, "reward.weights={collaborative:0,distinct:0,format:0}"),
    (TEXT, "reward.weights.distinct=-1"), (TEXT, "reward.width=100000"), (TEXT, "reward.parts.format.min_words=99"),
    (ID, "protocol.withhold=-1"), (ID, "protocol.min_length=2"),
    # files and secrets
    (ID, "paths.outputs=/dev/null/x"), (ID, "dataset.items=nowhere.csv"),
    (ID, "dataset.licence=https://token:pw-hidden@host/x"), (TEXT, "+profiler.headers.Authorization=pw-hidden-value"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "mistake"), MISTAKES, ids=[mistake for _, mistake in MISTAKES])
def test_a_mistake_is_reported_before_anything_is_made(before, mistake, pte, tmp_path):
    code, streams = pte(*before, mistake, "plan=true")
    message = sentence(streams.err)
    assert code == 2
    assert mistake.lstrip("+").partition("=")[0] in message
    assert "Traceback" not in streams.err + streams.out
    assert "pw-hidden" not in streams.err + streams.out
    made = {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*") if path.is_file()}
    assert made <= {("inter.csv",), ("items.csv",), ("outputs", "run")}
    assert not any(b"pw-hidden" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("mistake", "meant"),
    [("backbone=markof", "backbone=markov"), ("dataset=Toyz", "dataset=Toys"), ("trainer.monitr=x", "trainer.monitor"),
     ("datset=Toys", "dataset"), ("lr=0.1", "optimizer.lr"), ("trainer.warm_up=0.1", "trainer.warmup"),
     ("representation=llmonly", "representation=llm_only"), ("trainer.batchsize=4", "trainer.batch_size")],
)  # fmt: skip
def test_a_mistyped_name_is_answered_with_what_was_meant(mistake, meant, pte):
    assert f"did you mean {meant}" in sentence(pte(mistake)[1].err) or f" or {meant}?" in sentence(pte(mistake)[1].err)


def test_a_knob_of_another_option_names_that_option(pte):
    assert "it is a knob of selector=grpo" in sentence(pte("selector=mean", "selector.group_size=4")[1].err)


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["backbone.loss=sampled"], "type backbone/loss=sampled_softmax"), (["backbone.loss=ce"], "=cross_entropy"),
     (["backbone.loss=gbce"], "type backbone/loss=gbce"), (["backbone.loss=bpr"], "one of bce, cross_entropy"),
     (["backbone.loss_knobs.negatives=8"], "and backbone.loss.negatives=8"),
     (["backbone.loss_knobs=8"], "and backbone.loss.KNOB="), (["+backbone.loss_knobs.x=8"], "loss.x"),
     (["+backbone.loss_knobs={shared:true}"], "and backbone.loss.shared=true"),
     (["backbone.fit=gru4rec"], "type backbone/fit=gru4rec"),
     (["backbone.fit.max_epochs=3"], "type trainer.max_epochs=3"),
     (["backbone=fused", "backbone.reader.fit.lr=0.1"], "type backbone.fit.lr=0.1"),
     (["representation.head=mlp"], "a knob of representation=concat or representation=llm_only"),
     (["+backbone.fit.warmup=0.1"], "a fit says trainer.warmup"),
     (["dataset.rules=five_core"], "type dataset/rules=five_core"), (["-m", "backbone.loss=ce,bce"], "cross_entropy"),
     (["backbone=fused", "profiler=template", "backbone.reader.loss=bce"], "backbone/loss@backbone.reader.loss=bce"),
     (["backbone=fused", "backbone.reader.loss_knobs.kernel=liger"], "backbone.reader.loss.kernel=liger"),
     (["backbone.loss.calibration=0.5"], "it is a knob of backbone/loss=gbce"), (["backbone/loss=bpr"], "has bce, "),
     (["backbone=dreamrec", "backbone.steps=9"], "did you mean backbone.diffusion.steps?"),
     (["backbone=dreamrec", "backbone.inner=9"], "did you mean backbone.encoder.inner?"),
     (["backbone=dreamrec", "backbone.sampler=ddim"], "type backbone/sampler=ddim"),
     (["backbone=dreamrec", "backbone.stride=9"], "it is backbone.sampler.stride, a knob of backbone/sampler=ddim"),
     (["representation.null_dim=9"], "type representation.null_space.dim=9"),
     (["selector=grpo", "selector.kl=0.1"], "did you mean selector.objective.kl?"),
     (["selector=mean", "selector.kl=0.1"], "it is selector.objective.kl, a knob of selector=grpo")],
)  # fmt: skip
def test_an_old_spelling_is_answered_with_what_to_type_now(words, meant, pte):
    before = PLAIN if any(word.startswith("backbone=") for word in words) else ID
    code, streams = pte(*before, *words, "plan=true")
    assert code == 2
    assert meant in sentence(streams.err)


@pytest.mark.parametrize("line", ["loss: bce", "loss_knobs: {negatives: 4}"])
def test_an_old_option_file_is_answered_with_what_to_write_now(line, pte, tmp_path):
    (tmp_path / "mine" / "backbone").mkdir(parents=True)
    (tmp_path / "mine" / "backbone" / "own.yaml").write_text(f"defaults: [sasrec, _self_]\n{line}\n")
    code, streams = pte("--config-dir", "mine", "backbone=own", "representation=id", "plan=true")
    assert code == 2
    assert "type backbone/loss=" in sentence(streams.err)


def test_a_sweep_names_the_wrong_value_and_runs_nothing(pte, tmp_path):
    code, streams = pte("-m", *PLAIN, "backbone=markov,nosuch")
    assert code == 2
    assert "backbone=nosuch" in sentence(streams.err)
    assert not list(tmp_path.glob("outputs/run/*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [([*TEXT, "encoder.max_tokens=64"], None), ([*TEXT, "encoder.max_tokens=1"], "encoder.max_tokens=1 must be >= 3"),
     ([*TEXT, "profiler=openai", "profiler.model=m", "profiler.server.budget_tokens=9"], None),
     ([*TEXT, "profiler=openai", "profiler.model=m", "profiler.decoding.max_new_tokens=0"], "give 1 to 1000000"),
     ([*TEXT, "encoder.tokens=a"], "would be recorded")],
)  # fmt: skip
def test_a_number_of_tokens_is_no_secret(words, message, pte):
    code, streams = pte(*words, "plan=true")
    assert code == (2 if message else 0)
    assert (message or "") in streams.err


SECRETS = [
    "base_url: http://user:pw-hidden@host/v1", "api_key: pw-hidden", "headers: {Authorization: Bearer pw-hidden-0123}",
    "headers: [x, 'Bearer pw-hidden-0123']", "url: https://host/x?access_token=pw-hidden", "password: pw-hidden",
    "note: hf_pw-hidden0123456789abc", "url: https://host/x?a=1&sig=pw-hidden", "cookie: pw-hidden",
    "private_key: pw-hidden",
]  # fmt: skip


@pytest.mark.parametrize("line", SECRETS)
def test_a_secret_in_an_option_file_of_ones_own_is_refused_and_not_repeated(line, pte, tmp_path):
    (tmp_path / "mine" / "profiler").mkdir(parents=True)
    (tmp_path / "mine" / "profiler" / "own.yaml").write_text(f"defaults: [template]\n{line}\n")
    code, streams = pte("--config-dir", "mine", "profiler=own", "plan=true")
    assert code == 2
    assert "profiler." in sentence(streams.err)
    assert "pw-hidden" not in streams.err + streams.out
    assert not (tmp_path / "outputs").exists()


def test_an_option_file_that_is_no_yaml_is_named_by_its_line(pte, tmp_path):
    (tmp_path / "mine" / "protocol").mkdir(parents=True)
    (tmp_path / "mine" / "protocol" / "own.yaml").write_text("defaults: [leave_one_out]\nseed: [1\n")
    code, streams = pte("--config-dir", "mine", "protocol=own")
    assert code == 2
    assert "own.yaml, line" in sentence(streams.err)


def test_a_word_that_cannot_be_read_says_how_to_quote_it(pte):
    code, streams = pte("dataset.items=mine/dät a.csv")
    assert code == 2
    assert """'dataset.items="..."'""" in sentence(streams.err)
    assert Path.cwd().exists()


def test_the_help_page_names_stages_commands_and_an_example(pte):
    code, streams = pte("--help")
    assert code == 0
    for word in ("embeddings selection training", "pte compare", "pte -m", "until=STAGE", "markov", os.sep):
        assert word in streams.out


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["pte", "--version"])
    with pytest.raises(SystemExit):
        run.main()
    assert capsys.readouterr().out == f"pte {pte_package.__version__}\n"


def test_what_the_data_decide_is_reported_before_training(pte, tmp_path):
    code, streams = pte(*ID, "ranking=sampled")
    assert code == 2
    assert "ranking=sampled" in sentence(streams.err)
    assert not list(tmp_path.glob("outputs/store/training/*"))


def test_a_failure_is_in_the_runs_log(pte, tmp_path):
    pte(*ID, "ranking=sampeld", "hydra.run.dir=outputs/run/one")
    assert "ERROR: ranking=sampeld" in (tmp_path / "outputs" / "run" / "one" / "run.log").read_text()
