"""The Python call gives what the command gives, by the user's own ids."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pte
from pte.schema import InputError

EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "example"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The example's data under a count model whose texts are encoded, so that every table is there."""
    folder = tmp_path_factory.mktemp("api") / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("outputs", "__pycache__"))
    words = ["experiment=mine", "backbone=text_knn", f"dataset.file={folder}/data/plays.jsonl"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield pte.run([*words, f"paths.outputs={folder}/outputs"], config_dir=folder / "conf")


def test_metrics_come_from_the_ranks(result):
    ranked = result.ranks["test"]
    assert len(ranked.rank["masked"]) == len(ranked.user) == 14
    assert result.metrics["test/masked/all/NDCG@10"] == pytest.approx(result.per_case("NDCG@10").mean())
    assert result.metrics["test/masked/all/Hit@5"] == pytest.approx((ranked.rank["masked"] < 5).mean())


def test_targets_have_the_datas_ids(result):
    """The last song that listener0 played, read off the file."""
    lines = (EXAMPLE / "data" / "plays.jsonl").read_text().splitlines()
    last = [line for line in lines if '"listener0"' in line][-1]
    user = result.ids("user").index("listener0")
    case = result.ranks["test"].user.tolist().index(user)
    assert f'"id": "{result.ids("item")[result.ranks["test"].target[case]]}"' in last


def test_profiles_and_vectors_are_tables_by_id(result):
    texts, vectors = result.profiles(), result.vectors("item")
    assert set(texts["side"]) == {"item", "user"}
    assert set(texts.filter(side="item")["id"]) == {f"s{i}" for i in range(18)} == set(vectors["id"])
    assert texts.filter(selected=True).group_by("side", "id").len()["len"].max() == 1
    np.testing.assert_allclose(np.linalg.norm(np.array(vectors["vector"].to_list()), axis=1), 1, atol=1e-5)
    with pytest.raises(InputError, match="no side 'items'"):
        result.vectors("items")


@pytest.mark.parametrize(
    ("given", "words"),
    [("dataset=Toys", r"pte\.run\(\['dataset=Toys'\]\)"), (["dataset=Nope"], "Nope"), (["seed=x"], "seed=x"),
     (["profiler.api_key=abc"], "api_key"), (["no.such=1"], "no"), (["experiment=table_leave_one_out"], "one config")],
)  # fmt: skip
def test_mistakes_are_sentences(given, words, tmp_path):
    with pytest.raises(InputError, match=words):
        pte.run(given if isinstance(given, str) else [*given, f"paths.outputs={tmp_path}"])


@pytest.mark.parametrize(
    "code",
    ["import pte; assert callable(pte.run)", "import pte.run; assert callable(pte.run)",
     "from pte.run import main; import pte; assert callable(pte.run) and pte.run.main is main",
     "from pte import run; from pte.run import main; import pte; assert pte.run is run"],
)  # fmt: skip
def test_function_and_module_are_one_whoever_comes_first(code):
    done = subprocess.run([sys.executable, "-c", f"{code}; import sys; assert 'torch' not in sys.modules"], check=False)
    assert done.returncode == 0
