"""The numbers of a comparison against arithmetic that fits on paper: eight users, Hit@10."""

import numpy as np
import pytest
from helper.report import part_of, write_run

from pte.metric.significance import Interval
from pte.report import runs
from pte.report.compare import methods
from pte.report.compare.comparison import Column, Comparison, Difference, per_user
from pte.report.compare.grid import value_grid
from pte.schema import InputError

NONE = [10] * 8  # 0-based: rank 10 misses the first ten
HALF = [0] * 4 + [10] * 4
ALL = [9] * 8
HIT = Column("masked", "Hit@10", "all")
ALPHAFUSE = {"representation": "alphafuse.AlphaFuse", "text": True}
TEXT_ONLY = {"representation": "llm_only.LlmOnly", "text": True}


def compared(folder, *rows, metrics=("Hit@10",), **options):
    found = [runs.read(write_run(folder / str(i), **row)) for i, row in enumerate(rows)]
    return Comparison(methods.group(found)[0], metrics=metrics, **options)


def three(folder, **options):
    return compared(folder, {"test": NONE}, {"test": HALF, **ALPHAFUSE}, {"test": ALL, **TEXT_ONLY}, **options)


def test_units_of_users_with_several_cases():
    """User 0 has cases 1 and 0, user 1 has 1: mean 2/3; v_0 = 2/3 + (1 - 4/3) 2/3, v_1 = 2/3 + (1 - 2/3) 2/3."""
    v, s = per_user(np.array([1.0, 1.0, 0.0]), np.array([7, 3, 7]))
    assert v == pytest.approx([8 / 9, 4 / 9])  # users in order of their number: 3, then 7
    assert s == pytest.approx([2 / 3, 2 / 3])
    assert v.mean() == pytest.approx(2 / 3)


def test_one_case_per_user_is_its_own_unit():
    value = np.random.default_rng(0).random(20)
    v, s = per_user(value, np.arange(20))
    assert v == pytest.approx(value, abs=1e-11)
    assert s == pytest.approx(value, abs=1e-11)


def test_linearised_units_have_the_ratios_spread():
    """Users of 1 to 10 cases, a user-level effect: the sd of v / sqrt(U) is that of a mean over resampled users."""
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(300), rng.integers(1, 11, 300))
    value = rng.random(300)[user] + 0.1 * rng.random(len(user))
    v, _ = per_user(value, user)
    total, count = np.bincount(user, weights=value), np.bincount(user)
    drawn = rng.integers(0, 300, (4000, 300))
    spread = (total[drawn].sum(1) / count[drawn].sum(1)).std()
    # 4,000 draws know a standard deviation to 1.1 %, and the linearisation errs by O(1/U)
    assert v.std() / 300**0.5 == pytest.approx(spread, rel=0.06)


def test_means_and_seeds(tmp_path):
    found = compared(tmp_path, {"test": HALF}, {"test": ALL, "seed": 1}, {"test": ALL, **ALPHAFUSE})
    cell = found.row(HIT)["sasrec · id"]
    assert (cell.mean, cell.by_seed, cell.cases, cell.users) == (0.75, (0.5, 1.0), 8, 8)
    assert cell.sd == pytest.approx(0.125**0.5)
    one = found.row(HIT)["sasrec · alphafuse"]
    assert (one.mean, one.sd) == (1, None)
    assert found.row(Column("masked", "Hit@10", "tail_items"))["sasrec · id"].mean == 0.5
    assert found.differences(HIT)["sasrec · alphafuse"].seed_error is None


def test_differences_by_hand(tmp_path):
    """Four of eight users gain 1: mean 1/2; of Binomial(8, 1/2), .4 % is 0 and 3.5 % at most 1, so the 2.5 % quantile
    is 1/8; under random signs 2 of 16 give a sum as large. All eight gain: 2 of 256."""
    found = three(tmp_path, draws=20_000).differences(HIT)
    half, full = found["sasrec · alphafuse"], found["sasrec · llm_only"]
    assert (half.interval.mean, half.interval.low, half.interval.high) == (0.5, 1 / 8, 7 / 8)
    assert (full.interval.mean, full.interval.low, full.interval.high) == (1, 1, 1)
    assert half.p == pytest.approx(2 / 16, abs=5 * (0.125 * 0.875 / 20_000) ** 0.5)
    assert full.p == pytest.approx(2 / 256, abs=5 * (0.0078 / 20_000) ** 0.5)
    assert full.p_holm == 2 * full.p  # the smaller of two
    assert half.p_holm == half.p
    assert (half.verdict, full.verdict) == ("not significant", "better")
    # Holm's first step of two tests is at .025, two-sided
    assert half.detectable == pytest.approx((2.241403 + 0.841621) * (2 / 7) ** 0.5 / 8**0.5, rel=1e-5)
    assert half.against == "sasrec · id"


def test_seeds_are_averaged_before_users_are_drawn(tmp_path):
    """Seed 0 gains users 0-3, seed 1 users 4-7: every user gains 1/2, so resampling users changes nothing."""
    turned = HALF[::-1]
    found = compared(
        tmp_path, {"test": NONE}, {"test": HALF, **ALPHAFUSE}, {"test": turned, "seed": 1, **ALPHAFUSE}
    ).differences(HIT)["sasrec · alphafuse"]
    assert (found.interval.low, found.interval.high) == (0.5, 0.5)


def test_seed_error_and_noise(tmp_path):
    """Seeds of .5 and 1 against 0 and .5: sd sqrt(1/8) each, so sqrt(1/8 / 2 + 1/8 / 2) = sqrt(1/8)."""
    found = compared(
        tmp_path,
        {"test": NONE}, {"test": HALF, "seed": 1},
        {"test": HALF, **ALPHAFUSE}, {"test": ALL, "seed": 1, **ALPHAFUSE},
    ).differences(HIT)["sasrec · alphafuse"]  # fmt: skip
    assert found.seed_error == pytest.approx(0.125**0.5)
    assert found.seed_bound == pytest.approx(0.125**0.5 * 4.302653)  # t of two degrees
    assert found.within_seed_noise  # .5 < 1.52
    better, worse = Interval(0.1, 0.05, 0.2), Interval(-0.1, -0.2, -0.05)
    assert Difference("x", better, 0.001, 0.002, 0.1, 0.03, 0.12).verdict == "better, but within seed noise"
    assert Difference("x", worse, 0.001, 0.002, 0.1, 0.03, 0.09).verdict == "worse"


def test_bold_only_where_every_other_is_beaten(tmp_path):
    assert not any(cell.best for cell in three(tmp_path / "a").row(HIT).values())  # ALL against HALF: p = .125
    clear = compared(tmp_path / "b", {"test": NONE}, {"test": NONE, **ALPHAFUSE}, {"test": ALL, **TEXT_ONLY}).row(HIT)
    assert [label for label, cell in clear.items() if cell.best] == ["sasrec · llm_only"]
    alone = compared(tmp_path / "c", {"test": ALL})
    assert not alone.row(HIT)["sasrec · id"].best
    assert alone.differences(HIT) == {}


def test_zero_is_one_knob_however_it_is_typed(tmp_path):
    """0 and 0.0 of one seed are one run over again, and of different figures no pair of rows with one name."""
    rows = [{"test": HALF, "knobs": {"optimizer": {"weight_decay": value}}} for value in (0, 0.0)]
    assert len(compared(tmp_path / "a", *rows).methods) == 1
    rows[1]["test"] = ALL
    with pytest.raises(InputError, match="different ranks"):
        compared(tmp_path / "b", *rows)


def test_runs_that_mask_by_different_rules_are_no_pair(tmp_path):
    found = [runs.read(write_run(tmp_path / name, test=ranks, **more)) for name, ranks, more in (
        ("a", [2**31 - 1, *NONE[1:]], {}), ("b", NONE, ALPHAFUSE),
    )]  # fmt: skip
    with pytest.raises(InputError, match="different masked repeats"):
        methods.require_one_question(found)


def test_no_bold_within_seed_noise(tmp_path):
    """Twelve users, Hit@10 of 1 and 0 over seeds against 0: users agree (p small), seeds do not."""
    none, every = [10] * 12, [0] * 12
    rows = [{"test": none}, {"test": none, "seed": 1}]
    steady = [{"test": every, **ALPHAFUSE}, {"test": every, "seed": 1, **ALPHAFUSE}]
    torn = [{"test": every, **ALPHAFUSE}, {"test": [0] + [10] * 11, "seed": 1, **ALPHAFUSE}]
    assert compared(tmp_path / "a", *rows, *steady).row(HIT)["sasrec · alphafuse"].best
    found = compared(tmp_path / "b", *rows, *torn)
    assert found.p_value("sasrec · alphafuse", "sasrec · id", HIT) < 0.05
    assert not found.row(HIT)["sasrec · alphafuse"].best


def test_bold_is_corrected_over_the_others(tmp_path):
    """Six of eight users better than each of three: p = 2/64 each, three times that after Holm."""
    six = {"test": [0] * 6 + [10] * 2, **TEXT_ONLY}
    others = [{"test": NONE, "knobs": {"representation": {"width": width}}} for width in (1, 2, 3)]
    found = compared(tmp_path, *others, six)
    assert found.p_value("sasrec · llm_only", "sasrec · id (width=1)", HIT) < 0.05
    assert not any(cell.best for cell in found.row(HIT).values())


def test_an_equal_method_is_never_bold(tmp_path):
    same = compared(tmp_path, {"test": ALL}, {"test": ALL, **ALPHAFUSE})
    assert not any(cell.best for cell in same.row(HIT).values())
    assert same.differences(HIT)["sasrec · alphafuse"].p == 1


def test_an_empty_group_has_no_column(tmp_path):
    found = compared(tmp_path, {"test": part_of(ALL, head_item=[True] * 8)})
    assert found.groups == ("all", "head_items", "head_users", "tail_users")


def test_references(tmp_path):
    dream = {"backbone": "dreamrec.DreamRec"}
    rows = [{**dream, **ALPHAFUSE}, dream, {"backbone": "markov.Markov"}, {"test": ALL}]
    found = compared(tmp_path / "a", *({"test": HALF, **row} for row in rows))
    assert [method.label for method in found.methods][:2] == ["markov", "dreamrec · alphafuse"]
    assert found.reference == {
        "markov": "sasrec · id",  # has no representation: the best id there is
        "dreamrec · alphafuse": "dreamrec · id",
        "dreamrec · id": "dreamrec · id",
        "sasrec · id": "sasrec · id",
    }
    assert set(found.differences(HIT)) == {"markov", "dreamrec · alphafuse"}
    given = Comparison(found.methods, metrics=["Hit@10"], against="markov")
    assert set(given.reference.values()) == {"markov"}
    assert set(Comparison(found.methods, metrics=["Hit@10"], against="sasrec/id").reference.values()) == {"sasrec · id"}
    with pytest.raises(InputError, match=r"fits 2 methods.*markov; dreamrec · alphafuse"):
        Comparison(found.methods, metrics=["Hit@10"], against="dreamrec")
    with pytest.raises(InputError, match="fits no method"):
        Comparison(found.methods, metrics=["Hit@10"], against="gru4rec")
    without = compared(tmp_path / "b", {"test": HALF, **ALPHAFUSE}, {"test": HALF, **TEXT_ONLY})
    assert set(without.reference.values()) == {"sasrec · alphafuse"}


def test_digits_do_not_depend_on_the_other_rows(tmp_path):
    whole = three(tmp_path)
    fewer = Comparison(whole.methods[:2], metrics=["Hit@10"])
    label = "sasrec · alphafuse"
    assert fewer.differences(HIT)[label].interval == whole.differences(HIT)[label].interval
    assert fewer.differences(HIT)[label].p == whole.differences(HIT)[label].p
    column = Column("masked", "Hit@10", "all")
    for other in ("sasrec · id", "sasrec · llm_only"):
        assert whole.p_value(other, label, column) == whole.p_value(label, other, column)


def test_parts_and_mistakes(tmp_path):
    assert three(tmp_path / "a", part="valid").row(HIT)["sasrec · llm_only"].mean == 1
    with pytest.raises(InputError, match=r"NAME@K with NAME one of Hit, Recall, NDCG, MRR"):
        three(tmp_path / "b", metrics=["HR@10"])
    with pytest.raises(InputError, match=r"--draws 50 cannot show significance for 3 methods.*--draws 2000"):
        three(tmp_path / "c", draws=50)


def test_seconds_of_several_machines_are_not_to_be_compared(tmp_path):
    note = {}
    for name, gpus in {"one": (None, None), "two": (None, "H200")}.items():
        rows = [{"test": ALL, "seed": seed, "gpu": gpu} for seed, gpu in enumerate(gpus)]
        note[name] = value_grid(compared(tmp_path / name, *rows), "masked", "Hit@10").note
    assert "spent on" not in note["one"]
    assert note["two"].endswith("They were spent on CPU and H200: not to be compared.")
