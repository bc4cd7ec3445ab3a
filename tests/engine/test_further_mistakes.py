"""More of what people mistype, of every group and command: exit status 2 and one sentence with the knob's full name."""

from __future__ import annotations

import json

import pytest
from helper.command import sentence

from pte import run
from pte.engine.config import composition
from pte.schema import InputError

PLAIN = ["representation=id"]
ID = ["backbone=sasrec", *PLAIN]
TEXT = ["backbone=sasrec", "profiler=template", "representation=llm_only"]
GRPO = [*TEXT, "selector=grpo"]
SERVED = [*TEXT, "profiler=openai", "profiler.model=m"]
CAUSAL = [*TEXT, "profiler=transformers"]
FUSED = ["profiler=template"]
VECTORS = [*TEXT, "profiler=none", "encoder=imported"]
COLD, TEMPORAL = (["protocol=" + name, *ID] for name in ("cold_start", "global_temporal"))
MOREC, UNISREC, GEN, CON, ESR, ALPHAFUSE, WHITENREC, CONCAT = (
    ["backbone=sasrec", "profiler=template", f"representation={name}"]
    for name in ("morec", "unisrec", "rlmrec_gen", "rlmrec_con", "llm_esr", "alphafuse", "whitenrec", "concat")
)
BERT4REC, GRU4REC, ITEM_KNN, BSAREC, DREAMREC = (
    [f"backbone={name}", *PLAIN] for name in ("bert4rec", "gru4rec", "item_knn", "bsarec", "dreamrec")
)
PLANNED = [  # the mistake, last, and what goes before it
    # data and protocol
    (ID, "dataset.timestamp=null"), (ID, "dataset.time_format=epoch"), (ID, "dataset.quoting=backtick"),
    (ID, "dataset.separator=''"), (ID, "dataset.min_rating=4"), ([*ID, "dataset.rating=n"], "dataset.min_rating=five"),
    (ID, "dataset.rules.malformed=skip"), (ID, "dataset.rules.max_items=-3"), (ID, "dataset/rules=six_core"),
    (ID, "dataset.interactions=dir"), (COLD, "protocol.shares=[8,0,1]"), (COLD, "protocol.scoring=first"),
    (COLD, "protocol.file=nowhere.csv"), (COLD, "protocol.unknown_share=2"),
    (TEMPORAL, "protocol.valid_from=2014-01-01"),
    (TEMPORAL, "protocol.shares=[1,1,1,1]"), (ID, "protocol.min_visible=-2"), (ID, "protocol.seed=-1"),
    (ID, "dataset.user_id=null"), (ID, "dataset.item_key=[a]"), (ID, "dataset.title={a:1}"), (ID, "dataset.text={a:1}"),
    (ID, "dataset.text=[null]"), (TEMPORAL, "protocol.shares=[0.8,0.1,0.1]"), (COLD, "protocol.shares=811"),
    (ID, "protocol.min_visible=99999999999999999999"), (COLD, "protocol.max_interactions=99999999999999999999"),
    (ID, "dataset.rules.k_core=99999999999999999999"), (ID, "+dataset.expect={users:5}"),
    # profiles
    (SERVED, "profiler.evidence.pool=1000000000000"), (SERVED, "profiler.evidence.history=1000000000"),
    (SERVED, "profiler.decoding.temperatures=[100]"), (SERVED, "profiler.decoding.temperatures=[inf]"),
    (CAUSAL, "profiler.decoding.temperatures=0.7"), (SERVED, "profiler.decoding.max_new_tokens=1000000000000"),
    (CAUSAL, "profiler.decoding.max_new_tokens=100000000"), (SERVED, "profiler.server.parallel=1000000000"),
    (SERVED, "profiler.tariff.price=[nan,1]"), (SERVED, "profiler.tariff.price=5"),
    (SERVED, "profiler.item_forms=what"),
    (CAUSAL, "profiler.model=nosuch"), (CAUSAL, "profiler.sha256=abc"), (CAUSAL, "profiler.device=cpu:5"),
    ([*TEXT, "profiler=batch", "profiler.model=m"], "profiler.folder=inter.csv"), (TEXT, "profiler.item_forms={a:1}"),
    (TEXT, "profiler.num_candidates=1000000"), (TEXT, "profiler.titles=0"),
    (SERVED, "profiler.base_url=localhost:8000"),
    (SERVED, "profiler.decoding.temperatures=[-1]"), (SERVED, "profiler.decoding.top_p=1.5"),
    (SERVED, "profiler.server.timeout_seconds=-5"), (SERVED, "profiler.server.failure_share=2"),
    (SERVED, "profiler.item_forms=[what,nope]"), (SERVED, "profiler.style=poetic"), (SERVED, "profiler.sides=[items]"),
    (SERVED, "profiler.evidence.keep=0"), (SERVED, "profiler.evidence.history=-1"), (SERVED, "profiler.rounds=0"),
    (CAUSAL, "profiler.device=tpu"), (CAUSAL, "profiler.decoding.top_k=-1"), (CAUSAL, "profiler.dtype=int8"),
    ([*TEXT, "profiler=imported"], "profiler.file=nowhere.csv"), ([*TEXT, "profiler=batch", "profiler.model=m"],
     "profiler.folder=null"),
    # vectors and selection
    ([*TEXT, "encoder=hybrid", "encoder@encoder.dense=hf"], "encoder.dense.model=nosuch/folder/x"),
    ([*TEXT, "encoder=hybrid"], "encoder.lexical.min_df=0"), ([*TEXT, "encoder=hybrid"], "encoder.lexical_weight=0"),
    ([*TEXT, "encoder=tfidf"], "encoder.ngram=9"), (TEXT, "encoder.device=cuda:99"),
    (TEXT, "encoder.max_tokens=1"), ([*TEXT, "encoder=hf"], "encoder.model=dir"),
    (VECTORS, "encoder.file=v.npy"), (TEXT, "encoded=[users]"), (GRPO, "reward.raw=[nope]"),
    (GRPO, "reward.weights.nope=1"), (GRPO, "reward.parts.distinct.negatives=0"), (GRPO, "selector.epochs=0"),
    (GRPO, "selector.objective.entropy=nan"), (GRPO, "selector.withheld_share=2"),
    # models
    (UNISREC, "representation.experts=0"), (GEN, "representation.mask=1.5"), (CON, "representation.sample=-1"),
    (ESR, "representation.pool=0"), (ALPHAFUSE, "representation.null_space.placement=middle"),
    (WHITENREC, "representation.activation=swish"), (CONCAT, "representation.components=0"),
    (MOREC, "representation.width=0"), (BERT4REC, "backbone.mask=0"), (GRU4REC, "backbone.layers=0"),
    (ITEM_KNN, "backbone.fallback=-1"), (BSAREC, "backbone.cutoff=0"), (DREAMREC, "backbone.diffusion.steps=1.5"),
    (FUSED, "backbone.experts=null"), (FUSED, "backbone.experts=[reader,oracle]"), (FUSED, "backbone.memory=null"),
    (COLD, "protocol.shares=null"), (FUSED, "backbone.candidates=0"), (FUSED, "backbone.reader.heads=3"),
    ([*ID, "backbone/loss=infonce"], "backbone.loss.temperature=0"),
    # more than any machine holds or any run ends with
    ([*ID, "backbone/loss=sampled_softmax"], "backbone.loss.negatives=1000000000"),
    (SERVED, "profiler.rounds=1000000000"), (TEXT, "representation.hidden=1000000000"),
    (GRPO, "selector.group_size=1000000000"), (DREAMREC, "backbone.diffusion.steps=1000000000"),
    (ID, "representation.width=100000000"), (TEXT, "encoder.max_tokens=1000000000"),
    # training, places, names
    (ID, "trainer.max_epochs=2.5"), (ID, "trainer.monitor=loss"), (ID, "trainer.compile=1"),
    (ID, "trainer.precision=64"), (ID, "backbone.loss.kernel=liger"), (TEXT, "encoder.sha256=0123abcd"),
    (ID, "optimizer.betas=[1.5,0.9]"), (ID, "+optimizer.momentum=0.9"), (ID, "optimizer._target_=torch.optim.Nope"),
    (ID, "logger=wandbb"), (ID, "paths.store=/dev/null/x"), (ID, "hydra.run.dir=/dev/null/y"), (ID, "until=profile"),
    # ~ of nobody, values that others do not give, parts in place of values and the reverse
    (ID, 'paths.outputs="~nosuchuser/x"'), (ID, "paths.store=~nosuchuser/x"), (ID, 'hydra.run.dir="~nosuchuser/x"'),
    (ID, 'dataset.items="~nosuchuser/x"'), (TEXT, 'encoder.model="~nosuchuser/x"'),
    (VECTORS, 'encoder.file="~nosuchuser/x"'), (CAUSAL, 'profiler.model="~nosuchuser/x"'),
    (SERVED, 'profiler.templates="~nosuchuser/x"'), (COLD, 'protocol.file="~nosuchuser/x"'),
    ([*TEXT, "profiler=imported"], 'profiler.file="~nosuchuser/x"'),
    ([*TEXT, "profiler=batch", "profiler.model=m"], 'profiler.folder="~nosuchuser/x"'),
    (ID, "seed=${oc.env:PTE_NO_SUCH}"), (ID, "seed=${seed}"), (ID, "seed=${nope:1}"), (ID, "seed=???"),
    (ID, "optimizer.lr=${backbone.nope}"), (ID, "ranking=${backbone}"), (ID, "paths.outputs=${paths.nope}"),
    (ID, "paths.store=${paths.store}"), (ID, "paths.outputs=${hydra:job.num}"), (ID, "paths.store=${hydra:job.num}"),
    (ID, "paths.outputs=null"), (ID, "paths.outputs=???"), (ID, "backbone.fit=null"), (ID, "backbone.fit=5"),
    (ID, "llm_esr_groups=null"), (ID, "dataset.rules=[]"), (ID, "backbone=null"), (ID, "optimizer=5"),
    (ID, "logger=true"), (ID, "backbone/fit=null"), (ID, "dataset/rules={a:1}"), (ID, "experiment=null"),
    (GRPO, "reward.weights={}"), (ID, "backbone.fit={}"), (ID, "llm_esr_groups={}"), (ID, "+seed=1"), (ID, "~seed"),
    (ID, "~backbone"), (ID, "~paths.store"), (ID, "~trainer.devices"), (ID, "~dataset.text"), (ID, "~dataset.nope"),
    (ID, "backbone=[a]"), (ID, "backbone=[sasrec,markov]"), (ID, "logger=[csv,nosuch]"), (ID, "encoder=[]"),
    (ID, "dataset/rules=[]"), (ID, "hydra=null"), (ID, "hydra.run=null"), (ID, "trust={a:1}"),
    (ID, "llm_esr_groups=[]"),
    (ID, "stage=[report]"), (ID, "backbone._target_=null"), (ID, "experiment=[search_id,nosuch]"),
    (ID, "representation.std=1e30"), (GRPO, "reward.weights.collaborative=1e308"), (DREAMREC, "backbone.std=1e-320"),
    (ITEM_KNN, "backbone.shrink=1e300"), (GRU4REC, "backbone.hidden=100000000000"),
    (ALPHAFUSE, "representation.null_space.threshold=-1"), (["backbone=markov", *PLAIN], "backbone.distance_power=-1"),
    (ALPHAFUSE, "representation.null_space.share=0"), ([*TEXT, "encoder=tfidf"], "encoder.width=1000000000000"),
    (GRPO, "selector.epochs=1000000000"), (GRPO, "selector.inner_epochs=1000000000"),
    (GRPO, "selector.batch_size=1000000000000"), (GRPO, "selector.objective.kl=1000000000"),
    (GRPO, "selector.objective.entropy=1e300"), ([*ID, "logger=wandb"], "logger.wandb.mode=onlin"),
    ([*VECTORS, "encoder.file=v.npy", "backbone=fused"], "backbone.experts=[likeness,memory,profile]"),
    (ID, "+optimizer.eps=-1"), (ID, "hydra.job.chdir=true"), (ID, "hydra.sweep.subdir=/etc/x"),
    (ID, "hydra.output_subdir=../x"),
    # what nothing reads, what no run does without, what would be on no record
    (ID, "+x=1"), (ID, "++x.y=1"), (ID, "+paths.cache=x"), (ID, "+llm_esr_groups.nosuch=1"), (ID, "+trainer.nosuch=1"),
    (ID, "+backbone.fit.nosuch=1"), (SERVED, "+profiler.nosuch=1"), (SERVED, "+profiler.server.nosuch=1"),
    (DREAMREC, "+backbone.encoder.nosuch=1"), (ID, "+dataset.rules.nosuch=1"), (ID, "+backbone@x=markov"),
    (ID, "hydra.mode=MULTIRUN"), (ID, "hydra/launcher=null"), (ID, "hydra.sweeper=null"), (ID, "hydra=joblib"),
    (ID, "hydra.searchpath=[file:///etc]"), (ID, "prune=null"), (ID, "plan=null"), (ID, "refit=null"),
    (ID, "trust=null"), (ID, "plan={}"), (ID, "plan=[]"), (ID, "seed={}"), (ID, "trainer.monitor={}"),
    (ID, "trainer.max_epochs={}"), (ID, "optimizer.betas={}"),
    (ID, "~optimizer.lr"), (ID, "~optimizer.weight_decay"), (ID, "~backbone.loss"), (ID, "~backbone.dropout"),
    (TEXT, "~encoder.device"), (GRPO, "~reward.eps"), (SERVED, "~profiler.tariff"), (ID, "~dataset.rules.k_core"),
    (ID, "~hydra.job.name"), (FUSED, "protocol.holdout=0"),
    (ID, "plan=yes please"), (ID, "seed=1.5"), (ID, "trust=mypackage"), (ID, "llm_esr_groups.users=0"),
]  # fmt: skip
RUN = [  # told by the first stages
    (ID, "dataset.user_id=uid"), (ID, "dataset.text=[colour]"), (ID, "dataset.rules.k_core=99"),
    (ID, "dataset.interactions=bad.parquet"), (ID, "dataset.items=inter.csv"), (ID, "dataset.position=rank"),
    (COLD, "protocol.file=part.csv"), (ID, "protocol.min_length=99"), ([*TEXT, "profiler=imported"],
     "profiler.file=texts.csv"), (["backbone=fused"], "dataset.title=name"),
]  # fmt: skip
COMMANDS = [
    (["compare"], "run"), (["compare", "nowhere"], "nowhere"), (["compare", "dir"], "dir"),
    (["show", "dir", "item", "x"], "dir"), (["show", "dir", "film", "x"], "film"),
    (["export", "profiles", "dir"], "dir"),
    (["export", "texts", "dir"], "texts"), (["recommend", "dir", "--user", "u1"], "dir"),
    (["recommend", "dir"], "--user"),
    (["serve", "dir", "--port", "x"], "port"), (["leaderboard", "nowhere"], "nowhere"),
    (["comprae", "x"], "did you mean pte compare?"), (["qqq"], "pte --help"),
    (["list", "nowhere"], "nowhere"), (["clean", "nowhere"], "nowhere"),
]  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """Files that are not what they are said to be."""
    (tmp_path / "dir").mkdir()
    for name, content in {
        "bad.parquet": "PAR1xxxx", "texts.csv": "id,text\n1,hello\n", "v.npy": "nope", "v.ids.json": "[]",
        "part.csv": "user_id,part\nnobody,train\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(content)
    return set(tmp_path.rglob("*"))


@pytest.mark.parametrize(("before", "mistake"), PLANNED, ids=[mistake for _, mistake in PLANNED])
def test_a_mistake_is_reported_before_anything_is_made(before, mistake, pte, files, tmp_path):
    code, streams = pte(*before, mistake, *([] if mistake.startswith("plan=") else ["plan=true"]))
    assert mistake.lstrip("+~").partition("=")[0] in sentence(streams.err)
    assert code == 2
    new = {path.relative_to(tmp_path).parts[:2] for path in {*tmp_path.rglob("*")} - files if path.is_file()}
    assert new <= {("inter.csv",), ("items.csv",), ("outputs", "run")}


@pytest.mark.parametrize(
    ("mistake", "message"),
    [("backbone.fit=null", "backbone.fit=null: it holds knobs"), ("llm_esr_groups=5", "llm_esr_groups.items=null"),
     ("trainer.compile=null", "trainer.compile=null: give true or false"), ("backbone=null", "choose one of bert4rec"),
     ("trainer.max_epochs=true", "trainer.max_epochs=true: give"),
     ("seed=${oc.env:PTE_NO_SUCH}", "seed=${oc.env:PTE_NO_SUCH}: Environment variable 'PTE_NO_SUCH' not found")],
)  # fmt: skip
def test_values_are_reported_as_they_are_typed(mistake, message, pte):
    assert message in sentence(pte(*ID, mistake, "plan=true")[1].err)


@pytest.mark.parametrize(
    ("word", "message"),
    [("backbone=SASRec", "did you mean backbone=sasrec?"), ("dataset=movielensmini", "mean dataset=MovieLensMini?"),
     ("+trainer.max_epoch=3", "trainer.max_epoch: there is no such knob; there are max_epochs, "),
     ("+optimiser.lr=1", "did you mean optimizer.lr?"), ("hydra.searchpath=[/x]", "type --config-dir FOLDER"),
     ("optimizer.lr=1e\u22123", "it holds \u2212, MINUS SIGN"), ("b\u0430ckbone=x", "CYRILLIC SMALL LETTER A"),
     ("\u2013m", "EN DASH"), ("seed", "seed: there is no = in it"), ("a..b=1", "a..b is no name: type words joined"),
     ("seed==1", "double quotes inside single ones"), ("/dataset=x", "/dataset is no name"),
     ("seed=range(0,3)", "add -m to run each"),
     ("+own.x._target_=y", "no knob or group own.x._target_"), ("~optimizer.lr", "type optimizer.lr=VALUE"),
     ("+backbone=markov", "+backbone=markov: it is there already"), ("++backbone=markov", "type it without +"),
     ("+dataset=Toys", "+dataset=Toys: it is there already"),
     ("backbone=[a]", "backbone=[a]: there is no such option; backbone has bert4rec"),
     ("hydra=null", "hydra=null: every run needs it"), ("hydra.run=null", "hydra.run=null: every run needs it"),
     ("trust={a:1}", "trust={a:1}: give a value of the kind"), ("stage=[report]", "stage=[report]: there is no such"),
     ("backbone._target_=null", "give the name of a class")],
)  # fmt: skip
def test_a_group_named_in_another_way_is_answered_with_what_to_type(word, message, pte):
    code, streams = pte(*PLAIN, word, "plan=true")
    assert code == 2
    assert message in sentence(streams.err)


@pytest.mark.parametrize("word", ["backbone=[markov]", "logger=[csv,none]", "logger=[]", "trainer=[cpu]"])
def test_options_may_be_given_as_a_list(word, pte):
    assert pte(*PLAIN, word, "plan=true")[0] == 0


@pytest.mark.parametrize(
    "words",
    [["+trust=[json]"], ["++backbone.layers=1"], ["++seed=1"], ["+hydra.job.env_set.A=1"], ["++hydra.job.name=x"],
     ["+x=1", "backbone.layers=${x}"], ["~representation.fit.lr"],
     ["representation=id", "+representation.fit.dropout=0.3"],
     ["+logger.own._target_=own.Logger", "+logger.own.project=x"], ["+reward.weights.own=1"],
     ["+logger.own={_target_:own.Logger}"], ["+dataset.own=1"],
     ["+backbone@backbone.own=markov"]],
    ids=" ".join,
)  # fmt: skip
def test_what_a_class_or_a_value_reads_may_be_added_and_left_out(words):
    composition.check(["backbone=sasrec", "representation=llm_only", "logger=none", *words])


def test_a_folder_of_ones_own_may_add_a_group_that_its_options_read(tmp_path):
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "own.yaml").write_text("defaults: [sasrec, _self_]\nlayers: ${depth}\n")
    composition.check(["--config-dir", str(tmp_path), "backbone=own", "+depth=3", "+backbone.added=1"])
    with pytest.raises(InputError, match="no knob or group deep"):
        composition.check(["--config-dir", str(tmp_path), "backbone=own", "+depth=3", "+deep=3"])


@pytest.mark.parametrize("word", ["paths.outputs=~/out", 'paths.outputs="~/out"', "hydra.run.dir=~/out"])
def test_home_is_no_folder_of_that_name(word, pte, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert pte(*ID, word, "plan=true")[0] == 0
    assert (tmp_path / "home" / "out").is_dir()
    assert not (tmp_path / "~").exists()


def test_jobs_of_a_sweep_may_have_stores_of_their_own(pte, tmp_path):
    code, streams = pte("-m", "backbone=markov", *PLAIN, "paths.store=store${hydra:job.num}", "seed=0,1", "until=split")
    assert (code, streams.err) == (0, "")
    assert all(list(tmp_path.glob(f"store{number}/split/*/manifest.json")) for number in (0, 1))


def test_words_from_the_environment_are_recorded_as_they_were_typed(pte, tmp_path, monkeypatch):
    monkeypatch.setenv("PTE_OWN_NAME", "hidden-name")
    assert pte("backbone=markov", *PLAIN, "dataset.name=${oc.env:PTE_OWN_NAME}")[0] == 0
    report = json.loads(next(tmp_path.glob("outputs/run/*/report.json")).read_text())
    assert "dataset.name=${oc.env:PTE_OWN_NAME}" in report["command"]


@pytest.mark.parametrize(("before", "mistake"), RUN, ids=[mistake for _, mistake in RUN])
def test_what_the_data_decide_is_reported_by_the_first_stages(before, mistake, pte, files, tmp_path):
    code, streams = pte(*before, mistake)
    assert mistake.partition("=")[0] in sentence(streams.err)
    assert code == 2
    read = {path.parts[len(tmp_path.parts) + 2] for path in tmp_path.glob("outputs/store/*/*/manifest.json")}
    assert read <= {"interactions", "split"}  # neither profiles nor what follows
    assert read or {path.name for path in (tmp_path / "outputs").iterdir()} == {"run"}


def test_rows_that_nothing_can_be_learnt_from_are_reported_before_profiles(pte, tmp_path):
    rows = [f"u{user},{1 + (user + row) % 8},{row}\n" for user in range(12) for row in range(3)]
    (tmp_path / "inter.csv").write_text("user_id,item_id,timestamp\n" + "".join(rows))
    for words, message in ((TEXT, "no user has two training"), (FUSED, "type protocol.holdout=3000")):
        code, streams = pte(*words, "dataset.time_format=seconds")
        assert code == 2
        assert message in sentence(streams.err)
    assert {path.parts[len(tmp_path.parts) + 2] for path in tmp_path.glob("outputs/store/*/*/manifest.json")} == {
        "interactions", "split"
    }  # fmt: skip


def test_what_cannot_be_compiled_is_reported_by_a_plan(pte, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: "g++" if name == "g++" else None)
    assert pte(*ID, "trainer.compile=true", "plan=true")[0] == 0
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "trainer.compile=true needs a compiler" in sentence(pte(*ID, "trainer.compile=true", "plan=true")[1].err)


def test_an_interrupted_reading_leaves_nothing_beyond_the_run_folder(pte, tmp_path, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pte.dataset.custom.Custom.read", stop)
    assert pte(*ID)[0] == 130
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {"run"}


@pytest.mark.parametrize(("words", "message"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_a_command_tells_what_it_cannot_use(words, message, files, monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pte", *words])
    with pytest.raises(SystemExit) as left:
        run.main()
    err = capfd.readouterr().err
    assert left.value.code == 2
    assert message in err
    assert "Traceback" not in err
    assert {*tmp_path.rglob("*")} == files
