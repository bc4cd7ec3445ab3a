"""MovieLens' three layouts, from zips and folders, written here with their oddities and read back."""

import csv
import gzip
import os
import zipfile
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.dataset.events import Choice
from pte.dataset.grouplens import GroupLens, split_year
from pte.dataset.rules import Rules
from pte.engine.build import construct
from pte.paths import CONF_DIR
from pte.schema import InputError

GENRES = ["unknown", "Action", "Adventure", "Animation"]


def film_100k(number, title, date, *on) -> str:
    flags = ["1" if genre in on else "0" for genre in GENRES]
    return "|".join([str(number), title, date, "", "http://us.imdb.com/M/x", *flags]) + "\n"


LAYOUTS = {
    "100k": {
        "u.data": "196\t2\t3\t881250949\n186\t3\t3\t891717742\n196\t1\t5\t881250949\n196\t267\t1\t881250000\n",
        "u.item": film_100k(1, "Toy Story (1995)", "01-Jan-1995", "Animation", "Action")
        + film_100k(2, "Misérables, Les (1995)", "01-Jan-1995", "Adventure")
        + film_100k(3, "Next\x85 line (1995)", "01-Jan-1995", "Action")
        + film_100k(267, "unknown", "", "unknown"),
        "u.genre": "unknown|0\nAction|1\nAdventure|2\nAnimation|3\n\n",
    },
    "1m": {
        "ratings.dat": "1::3::5::978300760\n1::1::3::978302109\n2::2::4::978299000\n2::1::1::978298413\n",
        "movies.dat": "1::Star Wars: Episode IV (1977)::Action|Sci-Fi\r\n"
        "2::Léon (a.k.a. The Professional) (1994)::Crime\r\n"
        "3::Odd :: Title (1999)::Drama\r\n4::Never Rated (2000)::Drama\r\n",
    },
    "latest": {
        "ratings.csv": "userId,movieId,rating,timestamp\n1,2,4.0,964982703\n1,1,0.5,964981247\n2,3,5.0,964981247\n\n",
        "movies.csv": 'movieId,title,genres\n1,"American President, The (1995)",Comedy|Drama\n'
        "2,Babylon 5,(no genres listed)\n3,Élite (2018–2019) ,Crime\n4,Unrated (2001),War\n",
        "tags.csv": 'userId,movieId,tag,timestamp\n2,1,politics,1\n3,1,Funny,2\n4,1,funny,3\n5,1,"say ""hi""",4\n',
    },
}  # fmt: skip


def folder(tmp_path, layout, **changed) -> Path:
    top = tmp_path / layout / f"ml-{layout}"
    top.mkdir(parents=True)
    for name, text in {**LAYOUTS[layout], **{k.replace("_", "."): v for k, v in changed.items()}}.items():
        (top / name).write_bytes(text.encode("utf-8" if layout == "latest" else "latin-1"))
    return top


def zipped(top: Path) -> Path:
    path = top.parent / "ml.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in top.iterdir():
            archive.write(file, f"{top.name}/{file.name}")
    return path


def reader(layout, source, **knobs) -> GroupLens:
    settings = {
        "name": "ML", "layout": layout, "data": None, "source": str(source), "sha256": None, "licence": "GroupLens",
        "expect": None, "max_tags": 0, "choice": Choice(), "rules": Rules(),
    }  # fmt: skip
    return GroupLens(**{**settings, **knobs})


def histories(made) -> dict[str, list[str]]:
    rows = [made.item[made.start[u] : made.start[u + 1]] for u in range(made.num_users)]
    return {made.user_id[u]: [made.items.item_id[i] for i in row] for u, row in enumerate(rows)}


def catalogue(made) -> dict[str, tuple]:
    return dict(zip(made.items.item_id, zip(made.items.title, *made.items.text.values(), strict=True), strict=True))


def test_100k(tmp_path):
    made = reader("100k", folder(tmp_path, "100k")).read()
    assert histories(made) == {"186": ["3"], "196": ["267", "2", "1"]}, "ties in the order of the file"
    assert list(made.items.text) == ["genres", "year"]
    films = catalogue(made)
    assert films["1"] == ("Toy Story", "Action, Animation", "1995")
    assert films["2"] == ("Misérables, Les", "Adventure", "1995")
    assert films["267"] == ("Untitled item", "", ""), "GroupLens' own film without a name"
    assert films["3"][0] == "Next… line", "a character at which str.splitlines breaks ends no line"


def test_1m_as_the_zip_it_comes_in(tmp_path):
    top = folder(tmp_path, "1m")
    made = reader("1m", zipped(top)).read()
    assert histories(made) == {"1": ["3", "1"], "2": ["1", "2"]}
    films = catalogue(made)
    assert films["1"] == ("Star Wars: Episode IV", "Action, Sci-Fi", "1977")
    assert films["2"] == ("Léon (a.k.a. The Professional)", "Crime", "1994")
    assert films["3"] == ("Odd :: Title", "Drama", "1999")
    assert "4" not in films
    every = reader("1m", top, rules=Rules(unseen_items="keep")).read()
    assert catalogue(every)["4"] == ("Never Rated", "Drama", "2000")


def test_latest_with_and_without_tags(tmp_path):
    top = folder(tmp_path, "latest")
    made = reader("latest", top).read()
    assert histories(made) == {"1": ["1", "2"], "2": ["3"]}
    assert catalogue(made)["1"] == ("American President, The", "Comedy, Drama", "1995")
    assert catalogue(made)["2"] == ("Babylon 5", "", "")
    assert catalogue(made)["3"] == ("Élite", "Crime", "2018")
    assert "tags" not in made.items.text
    tagged = reader("latest", zipped(top), max_tags=2).read()
    assert tagged.items.text["tags"] == ["", "funny, politics", "", ""], "most given first, then first given"
    assert all(set(reader("latest", top, max_tags=n).fingerprint()) == {"source"} for n in (0, 1))


def test_ratings_and_core(tmp_path):
    made = reader("1m", folder(tmp_path, "1m"), choice=Choice(min_rating=3)).read()
    assert histories(made) == {"1": ["3", "1"], "2": ["2"]}
    assert made.card["counted"]["rows rated below 3 left out"] == 1
    pairs = ["a1", "a2", "b1", "b2", "c2", "c3", "d3"]
    text = "".join(f"{ord(u)}::{i}::5::{t}\n" for t, (u, i) in enumerate(pairs))
    core = reader("1m", folder(tmp_path / "core", "1m", ratings_dat=text), rules=Rules(k_core=2)).read()
    assert histories(core) == {"97": ["1", "2"], "98": ["1", "2"]}


def test_what_is_wrong_is_reported(tmp_path):
    cases = {
        "1m": [("ratings_dat", "1::x::5::9\n1::1::5::9\n", "1 malformed line.*the first is line 1"),
               ("ratings_dat", "1::1::5::9::9\n", "cannot be read"), ("movies_dat", "1:Toy\n", "movies.dat line 1")],
        "100k": [("u_item", "1|Toy\n", "u.item line 1 has 2 fields, not 9")],
        "latest": [("movies_csv", "id,title\n", r"has the columns \['id', 'title'\]"),
                   ("movies_csv", "movieId,title,genres\n1,Toy\n", "record 1 .* too few fields"),
                   ("ratings_csv", "userId,movieId,rating,timestamp\n1,1,5.0,1\n1,1,,1\n", "the first is line 3"),
                   ("ratings_csv", "userId,movieId,rating,timestamp\n1,99,5.0,1\n", "unknown_item=drop")],
    }  # fmt: skip
    for layout, wrong in cases.items():
        for number, (name, text, message) in enumerate(wrong):
            with pytest.raises(InputError, match=message):
                reader(layout, folder(tmp_path / f"{layout}{number}", layout, **{name: text})).read()
    top = folder(tmp_path, "100k")
    whole = zipped(top)
    with pytest.raises(InputError, match=r"holds no ratings\.dat"):
        reader("1m", whole).read()
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(InputError, match="no whole zip file"):
        reader("100k", whole).read()
    (top / "u.data").unlink()
    with pytest.raises(InputError, match=r"holds no u\.data"):
        reader("100k", top).fingerprint()
    with pytest.raises(InputError, match="100k, 1m, latest"):
        reader("25m", top)


def test_years():
    for title, parts in {
        "Toy Story (1995)": ("Toy Story", "1995"), "2001 (a space)": ("2001 (a space)", ""), "(1999)": ("(1999)", ""),
        "Show (2006-)": ("Show", "2006"), "Nine (9)": ("Nine (9)", ""),
    }.items():  # fmt: skip
        assert split_year(title) == parts


@pytest.mark.parametrize("name", ["MovieLens100K", "MovieLens1M", "MovieLensSmall", "MovieLensLatest"])
def test_every_option_finds_the_folder_or_fetches(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PTE_CACHE", str(tmp_path / "cache"))
    with initialize_config_dir(str(CONF_DIR), version_base=None):
        config = compose(f"dataset/{name}", overrides=[f"+paths.data={tmp_path}"])
    values = OmegaConf.to_container(config, resolve=True)["dataset"]
    made = construct(values, "conf/dataset")
    unpacked = tmp_path / values["source"].rsplit("/", 1)[-1].removesuffix(".zip")
    unpacked.mkdir()
    assert made.path() == unpacked
    unpacked.rmdir()
    zip_file = Path(f"{unpacked}.zip")
    zip_file.write_bytes(b"of another edition")
    if values["sha256"]:
        with pytest.raises(InputError, match="sha256"):
            made.path()
    else:
        assert made.path() == zip_file


@pytest.mark.real_data
def test_latest_small_written_in_the_published_layout_comes_back(tmp_path):
    """610 / 9,724 / 100,836, and every history in the prepared order."""
    if "PTE_DATA" not in os.environ:
        pytest.skip("PTE_DATA is not set: the prepared tables are not here")
    source = Path(os.environ["PTE_DATA"]) / "MovieLens-latest-small"
    with gzip.open(source / "interactions.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with gzip.open(source / "items.csv.gz", "rt", encoding="utf-8", newline="") as file:
        items = list(csv.DictReader(file))
    with (tmp_path / "ratings.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["userId", "movieId", "rating", "timestamp"])
        out.writerows([r["user_id"], r["item_id"], r["rating"], r["timestamp"]] for r in rows)
    with (tmp_path / "movies.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["movieId", "title", "genres"])
        for item in items:
            title = f"{item['title']} ({item['year']})" if item["year"] else item["title"]
            out.writerow([item["item_id"], title, item["categories"].replace(", ", "|")])
    made = reader("latest", tmp_path).read()
    assert (made.num_users, made.num_items, len(made.item)) == (610, 9724, 100836)
    expected: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda r: (r["user_id"], int(r["position"]))):
        expected.setdefault(row["user_id"], []).append(row["item_id"])
    assert histories(made) == expected


def test_columns_of_ratings_by_name_and_films_in_utf8(tmp_path):
    swapped = "userId,movieId,timestamp,rating\n1,2,964982703,4\n1,1,964981247,5\n"
    made = reader("latest", folder(tmp_path, "latest", ratings_csv=swapped)).read()
    assert made.time.tolist() == [964981247, 964982703]
    top = folder(tmp_path, "1m")
    (top / "movies.dat").write_bytes("1::Cité (1995)::Drama\n2::B (1994)::Crime\n3::C (1999)::War\n".encode())
    assert "Cité" in reader("1m", top).read().items.title
