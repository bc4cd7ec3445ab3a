"""Which runs are one method, and which may not meet in a table."""

import pytest
from helper.report import part_of, write_run

from pte.report import runs
from pte.report.compare import methods
from pte.schema import InputError

EIGHT = [0, 1, 2, 3, 9, 10, 60, 4]
OTHER = [1, 1, 2, 3, 9, 10, 60, 4]


def read(folder, *rows):
    return [runs.read(write_run(folder / str(i), **{"test": EIGHT, **row})) for i, row in enumerate(rows)]


def labels(found):
    return [method.label for method in methods.group(found)[0]]


def test_seeds_are_replicates(tmp_path):
    knobs = {"runtime": {"trainer": {"devices": 2}}}
    found, notes = methods.group(read(tmp_path, {"seed": 2}, {"seed": 0}, {"seed": 1, "test": OTHER, "knobs": knobs}))
    assert [method.label for method in found] == ["sasrec · id"]
    assert found[0].seeds == [0, 1, 2]
    assert found[0].seconds() == 26
    assert notes == []


def test_knobs_make_methods_of_their_own(tmp_path):
    knobs = [{"representation": {"width": width, "null_dim": 64}} for width in (32, 64)]
    assert labels(read(tmp_path, *({"knobs": k} for k in knobs))) == [
        "sasrec · id (width=32)",
        "sasrec · id (width=64)",
    ]


def test_a_value_taken_by_several_knobs_is_reported_once_and_a_class_by_its_group(tmp_path):
    adam = {"optimizer": {"_target_": "torch.optim.Adam"}}
    decayed = {"optimizer": {"_target_": "torch.optim.AdamW", "weight_decay": 0.3}, "trainer": {"weight_decay": 0.3}}
    assert labels(read(tmp_path / "a", {"knobs": adam}, {"knobs": decayed})) == [
        "sasrec · id (optimizer=Adam)",
        "sasrec · id (optimizer=AdamW, weight_decay=0.3)",
    ]
    apart = [{"optimizer": {"rate": a}, "trainer": {"rate": b}} for a, b in ((1, 1), (2, 3))]
    assert labels(read(tmp_path / "b", *({"knobs": k} for k in apart)))[1] == (
        "sasrec · id (optimizer.rate=2, trainer.rate=3)"
    )


def test_the_parts_that_differ_are_named(tmp_path):
    text = {"representation": "alphafuse.AlphaFuse", "text": True}
    plain = {"profiler": {"_target_": "pte.profiler.none.Plain"}}
    found = read(tmp_path, {"representation": "id.Id"}, text, {**text, "knobs": plain})
    assert labels(found[:2]) == ["sasrec · id", "sasrec · alphafuse"]
    assert labels(found) == ["sasrec · id", "sasrec · alphafuse · template", "sasrec · alphafuse · none"]


def test_text_knobs_do_not_split_what_reads_no_text(tmp_path):
    found, _ = methods.group(read(tmp_path, {"seed": 0}, {"seed": 1, "knobs": {"profiler": {"k": 8}}}))
    assert len(found) == 1


def test_knobs_are_named_as_they_are_typed(tmp_path):
    rows = [{"knobs": {"backbone": {"experts": e, "cosine": c}}} for e, c in ((["a", "b"], False), (["a"], None))]
    assert labels(read(tmp_path, *rows)) == [
        "sasrec · id (cosine=false, experts=[a,b])",
        "sasrec · id (cosine=null, experts=[a])",
    ]


def test_counting_has_no_representation(tmp_path):
    rows = [{"backbone": "markov.Markov", "seed": s, "representation": r} for s, r in enumerate(("id.Id", "text.Text"))]
    assert labels(read(tmp_path, *rows)) == ["markov"]


def test_the_same_run_twice_counts_once(tmp_path):
    found, notes = methods.group(read(tmp_path, {}, {}))
    assert found[0].seeds == [0]
    assert "counted once" in notes[0]


def test_two_answers_of_one_seed_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"seed 0 and different ranks:\n  .*/0\n  .*/1"):
        methods.group(read(tmp_path, {}, {"test": OTHER}))


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"dataset": "Sports"}, r"data set:\n  .*/0: Eight .*\n  .*/1: Sports "),
        ({"protocol": "cold_start.ColdStart", "split_key": "6" * 64}, r"protocol:\n  .*leave_one_out\n  .*cold_start"),
        ({"split_key": "6" * 64}, r"split:\n.*555555\)\n.*666666\)"),
        ({"test": {**part_of(EIGHT), "sampled": part_of(EIGHT)["masked"]}}, r"rankings:\n.*\n.*sampled\|100neg"),
        ({"test": part_of([*EIGHT[:-1], 5], target=[1, 2, 3, 4, 5, 6, 7, 9])}, "different targets in their valid part"),
        ({"test": part_of(EIGHT, head_item=[True] * 7 + [False])}, "different group head_items"),
        ({"test": part_of(EIGHT[:4])}, "different cases"),
    ],
)
def test_what_must_not_share_a_table(tmp_path, row, word):
    with pytest.raises(InputError, match=word):
        methods.require_one_question(read(tmp_path, {}, row))
    methods.require_one_question(read(tmp_path / "same", {}, {"seed": 1}))


def test_choosing_runs(tmp_path):
    found = read(tmp_path, {"seed": 0}, {"seed": 1}, {"backbone": "markov.Markov"})
    assert len(methods.where(found, ["backbone=sasrec", "seed=0,1"])) == 2
    assert len(methods.where(found, ["protocol=leave_one_out"])) == 3
    with pytest.raises(InputError, match="backbone is one of markov, sasrec"):
        methods.where(found, ["backbone=gru"])
    with pytest.raises(InputError, match="FIELD=NAME with FIELD one of"):
        methods.where(found, ["speed=1"])


def test_what_texts_may_know_of_training_rows_tells_methods_apart_and_not_questions(tmp_path):
    """A selector with a reward withholds rows from prompts, the mean does not: one table, two methods."""
    rows = [
        {
            "representation": "llm_only.LlmOnly",
            "text": True,
            "knobs": {"protocol": {"withhold": n}},
            "split_key": f"{n}" * 64,
        }
        for n in (0, 2)
    ]
    found = read(tmp_path, *rows)
    methods.require_one_question(found)
    assert labels(found) == ["sasrec · llm_only (withhold=0)", "sasrec · llm_only (withhold=2)"]
    without_text = read(
        tmp_path / "id", *({k: v for k, v in row.items() if k in ("knobs", "split_key")} for row in rows)
    )
    assert labels(without_text) == ["sasrec · id"]


def test_models_of_one_name_and_other_content_are_two_methods(tmp_path):
    found = read(tmp_path, {"text": True}, {"text": True, "seed": 1}, {"text": True, "seed": 2})
    for run, content in zip(found, ("aaaa", "aaaa", "bbbb"), strict=True):
        run.report["content"] = {"profiler": content}
    made, _ = methods.group(found)
    assert [method.seeds for method in made] == [[0, 1], [2]]
    assert "content=aaaa" in made[0].label
