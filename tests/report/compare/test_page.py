"""The written comparison: what stands in the files, in every format, and the command that makes them."""

import csv
import html.parser
import io
import re
import subprocess
import sys

import numpy as np
import pytest
from helper.browser import CHROMIUM, browser
from helper.report import part_of, write_run
from rich.console import Console

from pte.report import format as fmt
from pte.report import runs
from pte.report.compare import caveats, command, grid, methods, page, pairs, render
from pte.report.compare.comparison import Column, Comparison
from pte.schema import InputError

NONE, HALF, ALL = [10] * 8, [0] * 4 + [10] * 4, [9] * 8
TEXT = {"text": True, "representation": "alphafuse.AlphaFuse"}
ROWS = ({"test": NONE}, {"test": NONE, "seed": 1}, {"test": HALF, "backbone": "markov.Markov"}, {"test": ALL, **TEXT})


def write_all(folder, rows=ROWS, **shared):
    return [write_run(folder / str(i), **{**row, **shared}) for i, row in enumerate(rows)]


@pytest.fixture
def comparison(tmp_path):
    found = [runs.read(path) for path in write_all(tmp_path / "runs")]
    return Comparison(methods.group(found)[0], metrics=["Hit@10", "NDCG@10"])


class Balance(html.parser.HTMLParser):
    """Collects tags that were not closed, ids, and addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.addresses = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br"):
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href"):
                self.addresses.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_grids_say_what_was_measured(comparison):
    first, difference, groups, *_ = made = grid.grids(comparison)
    assert len(made) == 2 * 2 * 3
    assert first.title == "Hit@10 masked"
    assert first.header == ("#", "method", "seeds", "all", "head items", "tail items", "head users", "tail users", "s")
    assert [word.text for word in first.rows[1][:5]] == ["2", "sasrec · id", "2", ".0000 ±.0000", ".0000 ±.0000"]
    assert first.rows[2][3].text == "1.0000"
    for words in (
        "Eight",
        "leave_one_out",
        "seen items masked",
        "8 cases of 8 users",
        "encoder minilm",
        "seeds differ",
    ):
        assert words in first.note
    assert [word.text for word in difference.rows[1][:4]] == ["sasrec · alphafuse", "sasrec · id", "better", "+1.0000"]
    assert difference.rows[1][4].text == "[+1.0000, +1.0000]"
    assert difference.rows[0][2].text == "not significant"
    assert [row[2].text for row in groups.rows] == ["+.5000", "+1.0000*"]


def test_one_method_has_nothing_to_differ_from(tmp_path):
    run = runs.read(write_run(tmp_path / "a", HALF))
    alone = Comparison(methods.group([run])[0], metrics=["Hit@10"])
    assert [made.title for made in grid.grids(alone)] == ["Hit@10 masked", "Hit@10 unmasked"]
    assert "it is the only method" in page.page(alone, grid.grids(alone), "pte compare a", [])
    render.show(alone, Console(file=io.StringIO()))


def test_latex_prints_what_stands_there():
    assert render.tex(r"50% of a_b & {c} #1 $2 ~ ^ \ x|y <.001") == (
        r"50\% of a\_b \& \{c\} \#1 \$2 \textasciitilde{} \textasciicircum{} \textbackslash{} x\textbar{}y $<$.001"
    )
    assert render.tex("a · b ±.1 −.2 p ≤ .05 –") == r"a $\cdot$ b $\pm$.1 $-$.2 p $\leq$ .05 --"


def test_latex_tables_are_whole(comparison):
    text = render.latex(grid.grids(comparison), "pte compare a_b")
    for environment in re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.DOTALL):
        columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", environment)[1])
        rows = re.findall(r"^(.*) \\\\$", environment, re.MULTILINE)
        assert len(rows) >= 3
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {columns - 1}
        assert environment.count(r"\toprule") == environment.count(r"\bottomrule") == 1
    assert len(set(re.findall(r"\\label\{(.*?)\}", text))) == 12
    assert not re.search(r"(?<!\\)[%#](?! )", text.split("\n", 2)[2])


def test_bold_survives_every_format(tmp_path):
    rows = ({"test": NONE}, {"test": ALL, **TEXT})
    found = [runs.read(path) for path in write_all(tmp_path, rows)]
    made = Comparison(methods.group(found)[0], metrics=["Hit@10"])
    grids = grid.grids(made)
    assert "| **1.0000** |" in render.markdown(made, grids, "pte", [])
    assert r"\textbf{1.0000}" in render.latex(grids, "pte")
    assert "<strong>1.0000</strong>" in page.page(made, grids, "pte", [])
    assert ",1.0,,1," in render.table_csv(made)


def test_markdown_tables_are_whole(comparison):
    text = render.markdown(comparison, grid.grids(comparison), "pte compare a", ["b: left out"])
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert r"+1.0000\*" in text
    assert "- b: left out" in text


def test_csv_holds_every_number(comparison):
    lines = list(csv.DictReader(io.StringIO(render.table_csv(comparison))))
    assert len(lines) == 3 * 2 * 2 * 5  # methods, rankings, metrics, groups
    line = next(row for row in lines if row["method"] == "sasrec · alphafuse")
    assert (line["ranking"], line["metric"], line["group"]) == ("masked", "Hit@10", "all")
    assert (float(line["mean"]), line["sd"], line["against"], float(line["low"])) == (1, "", "sasrec · id", 1)
    assert (line["encoder"], line["seeds"], line["users"], float(line["seconds"])) == ("minilm", "0", "8", 56)
    reference = next(row for row in lines if row["method"] == "sasrec · id")
    assert (reference["seeds"], reference["against"], reference["p"]) == ("0 1", "", "")


def test_honest_sentences(comparison):
    output = dict(caveats.sentences(comparison))
    assert (
        "8 users): with 80 % power the corrected test finds differences of"
        in output["How small a difference this could see"][0]
    )
    assert "Hit@10 masked: markov against sasrec · id, +.5000" in output["Not significant"][0]
    assert "no method beats every other one" in output["Not significant"][1]
    assert (
        "of 1 text methods 0 beat markov, 0 fall behind it, 1 cannot be told apart"
        in output["Text against counting"][0]
    )
    assert "markov; sasrec · alphafuse" in output["Seeds"][0]
    assert "differ between methods (1, 2)" in output["Seeds"][1]


def test_a_table_without_a_count_model_says_so(tmp_path):
    found = [
        runs.read(path)
        for path in write_all(tmp_path, (ROWS[0], ROWS[3]), test=part_of(ALL, tied=[True] + [False] * 7))
    ]
    made = Comparison(methods.group(found)[0], metrics=["Hit@10"])
    output = dict(caveats.sentences(made))
    assert "add backbone=markov" in output["Text against counting"][0]
    assert "12.5% of the cases" in output["Also bear in mind"][1]


def test_sampled_ranks_are_named_apart(tmp_path):
    rows = ({"test": {**part_of(NONE), "sampled": [0] * 8}}, {"test": {**part_of(HALF), "sampled": [1] * 8}, **TEXT})
    rows = tuple(
        {**row, "test": {k: part_of(v)["masked"] if k == "sampled" else v for k, v in row["test"].items()}}
        for row in rows
    )
    made = Comparison(methods.group([runs.read(path) for path in write_all(tmp_path, rows)])[0], metrics=["NDCG@10"])
    titles = [g.title for g in grid.grids(made)]
    assert titles[0] == "NDCG@10 masked"
    assert titles[6] == "NDCG@10|100neg sampled"
    lines = csv.DictReader(io.StringIO(render.table_csv(made)))
    assert {(row["ranking"], row["metric"]) for row in lines} == {
        ("masked", "NDCG@10"), ("unmasked", "NDCG@10"), ("sampled", "NDCG@10|100neg"),
    }  # fmt: skip


def test_a_narrow_terminal_shows_the_groups_it_has_room_for(comparison):
    for width, groups in ((200, 5), (63, 4), (57, 3), (20, 1)):
        out = io.StringIO()
        render.show(comparison, Console(file=out, width=width))
        assert len(render.fitting(comparison.groups, (width - 18 - 27) // 6)) == groups
        if width > 60:
            assert "…" not in out.getvalue()
    assert render.fitting(("all", "head_items", "tail_items"), 1) == ["all", "tail_items"]


def test_a_long_name_takes_no_room_from_figures(tmp_path):
    experts = [["reader", "likeness", "memory", "repeat"], ["reader", "likeness", "memory"]]
    rows = [
        {"test": test, "knobs": {"backbone": {"experts": names}}}
        for test, names in zip((NONE, HALF), experts, strict=True)
    ]
    made = Comparison(methods.group([runs.read(p) for p in write_all(tmp_path, rows)])[0], metrics=["Hit@10"])
    assert max(len(method.label) for method in made.methods) > 50
    out = io.StringIO()
    render.show(made, Console(file=out, width=80))
    assert "…" not in out.getvalue()
    assert ".5000" in out.getvalue()
    text = page.page(made, grid.grids(made), "pte compare a", [])
    assert 'class="word long">sasrec' in text  # wraps


def test_the_page_stands_alone(tmp_path):
    pytest.importorskip("matplotlib")
    paths = write_all(tmp_path, dataset="<b>&'\"")
    (paths[0] / "curve.csv").write_text("epoch,valid/masked/all/Hit@10\n0,0.1\n1,0.2\n")
    made = Comparison(methods.group([runs.read(path) for path in paths])[0], metrics=["Hit@10"])
    text = page.page(made, grid.grids(made), "pte compare <x>", ["y: <not finished>"])
    seen = Balance()
    seen.feed(text)
    assert seen.open == []
    assert len(seen.ids) == len(set(seen.ids))
    assert all(address.startswith("#") for address in seen.addresses)
    assert not re.search(r"<script[^>]* src=|<(link|img|iframe)|@import|url\(h", text)
    anchors = re.findall(r"<h2 id='([^']+)'", text)
    assert {"means", "differences", "limits", "left-out", "runs"} <= set(anchors)
    assert all(f'<a href="#{anchor}">' in text for anchor in anchors)  # the table of contents
    assert text.count("data-sortable>") == len(grid.grids(made))
    assert text.count("<svg") == 3  # no training counts in these runs, so no figure by popularity
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;" in text
    assert "prefers-color-scheme: dark" in text
    assert "currentColor" in text
    assert "#010203" not in text
    for caption in re.findall(r"<figcaption>(.*?)</figcaption>", text):
        for words in ("leave_one_out", "8 cases of 8 users", "seeds", "encoder minilm", "pte compare"):
            assert words in caption


def test_by_popularity_where_counts_are_known(tmp_path):
    figure = pytest.importorskip("pte.report.compare.figure")
    test = part_of(HALF, train_count=[0, 0, 1, 4, 5, 19, 100, 5000])
    made = Comparison(methods.group([runs.read(write_run(tmp_path / "a", test))])[0], metrics=["Hit@10"])
    svg = figure.popularity(made).svg
    for words in ("1–4", "5–9", "10–19", "100+"):
        assert words in svg
    assert "20–49" not in svg
    assert figure.curves(made) is None


def test_without_matplotlib_the_page_says_so(comparison, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    text = page.page(comparison, grid.grids(comparison), "pte compare a", [])
    assert "matplotlib is not installed (pip install" in text
    assert "<svg" not in text


def test_the_command_writes_beside_the_runs(tmp_path, capsys):
    write_all(tmp_path / "sweep")
    command.main([str(tmp_path / "sweep"), "--metrics", "Hit@10"])
    made = {path.name for path in (tmp_path / "sweep").iterdir() if path.is_file()}
    assert made == {"table.md", "table.tex", "table.csv", "table.html"}
    shown = capsys.readouterr().out
    assert "sasrec · alphafuse 1.0000 +1.0000*" in re.sub(" +", " ", shown)
    command.main([str(tmp_path / "sweep"), "--metrics", "Hit@10", "--out", str(tmp_path / "again")])
    assert (tmp_path / "again" / "table.csv").read_text() == (tmp_path / "sweep" / "table.csv").read_text()


def test_a_folder_of_folders_gets_its_own_table(tmp_path):
    one, other = write_run(tmp_path / "id" / "0", HALF), write_run(tmp_path / "text" / "0", ALL, **TEXT)
    command.main([str(tmp_path), "--metrics", "Hit@10"])
    assert (tmp_path / "table.md").is_file()
    assert not (tmp_path / "id" / "table.md").exists()
    command.main([str(one), str(other), "--metrics", "Hit@10"])
    assert not (tmp_path / "id" / "table.md").exists()
    assert len(list((tmp_path / "id" / "compare").glob("*/table.md"))) == 1


def test_no_comparison_overwrites_anothers_table(tmp_path, capsys):
    a, b, c = (str(path) for path in write_all(tmp_path / "sweep", ROWS[:3]))
    sweep, short = str(tmp_path / "sweep"), ["--metrics", "Hit@10"]
    commands = [[a], [a, b], [a, c], [sweep], [sweep, "--where", "seed=0"], [a, "--part", "valid"]]
    for words in commands:
        command.main([*words, *short])
    made = list(tmp_path.rglob("table.md"))
    assert len(made) == len(commands)
    command.main([b, a, b, *short])  # the same runs: the same place
    assert len(list(tmp_path.rglob("table.md"))) == len(made)
    shown = "".join(capsys.readouterr().out.split())  # wrapped to the terminal's width
    assert f"{b} was named twice: counted once".replace(" ", "") in shown


def test_a_broken_run_is_left_out_of_its_folders_table_and_refused_by_name(tmp_path, capsys):
    sound, cut, other, empty = write_all(tmp_path / "sweep", [{"test": HALF, "seed": seed} for seed in range(4)])
    (cut / "ranks.npz").write_bytes(b"PK")
    (other / "keys.json").write_text('{"store": "x", "keys": {"training": "of another run"}}')
    with np.load(empty / "ranks.npz") as stored:
        arrays = {name: stored[name][:0] for name in stored.files}
    np.savez(empty / "ranks.npz", **arrays)
    for broken, output in ((cut, "cannot be read"), (other, "an earlier run"), (empty, "holds no case")):
        with pytest.raises(InputError, match=output):
            command.main([str(sound), str(broken)])
    command.main([str(tmp_path / "sweep"), "--metrics", "Hit@10"])
    shown = capsys.readouterr().out
    assert "seeds 0" in shown
    assert shown.count("left out:") == 3
    (tmp_path / "broken").mkdir()
    cut.rename(tmp_path / "broken" / "1")
    with pytest.raises(InputError, match="none of these runs can be compared"):
        command.main([str(tmp_path / "broken")])


@pytest.mark.parametrize(("words", "output"), [("missing", "no such folder"), ("--help", "sasrec/id")])
def test_compare_is_reached_before_hydra(tmp_path, words, output):
    done = subprocess.run(
        [sys.executable, "-m", "pte.run", "compare", words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == (2 if words == "missing" else 0)
    assert output in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []  # no run folder


def test_figures_for_papers_hold_their_fonts(comparison, tmp_path):
    pytest.importorskip("matplotlib")
    command.save_figures(comparison, tmp_path, "pte compare a")
    made = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert made == [f"{name}.{kind}" for name in ("estimates", "head-tail") for kind in ("pdf", "png", "svg")]
    for path in tmp_path.glob("*.pdf"):
        assert b"/FontFile2" in path.read_bytes()
        assert b"/Type3" not in path.read_bytes()
        assert b"/CreationDate" not in path.read_bytes()
    for path in tmp_path.glob("*.svg"):
        assert "<text" not in path.read_text()
        assert "font-family" not in path.read_text()


def test_every_pair_is_the_difference_that_the_tables_have(comparison):
    found = pairs.numbers(comparison)
    assert found["methods"] == [method.label for method in comparison.methods]
    assert [column["title"] for column in found["columns"]] == ["Hit@10 masked", "Hit@10 unmasked"]
    column = Column("masked", "Hit@10", "all")
    for a, b, mean, low, high, p, _ in found["columns"][0]["pairs"]:
        one, other = found["methods"][a], found["methods"][b]
        for label, against, sign in ((one, other, 1), (other, one, -1)):
            if comparison.reference[label] == against:
                d = comparison.differences(column)[label]
                ends = (d.interval.mean, d.interval.low, d.interval.high) if sign > 0 else None
                turned = (-d.interval.mean, -d.interval.high, -d.interval.low)
                assert (mean, low, high) == (ends or turned)
                assert p == d.p


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser_any_row_can_be_compared(tmp_path):
    """The page's own correction and verdicts are those of `Comparison.differences` for every choice."""
    rows = (*ROWS, {"test": HALF, "representation": "morec.MoRec", "seed": 0, "text": True},
            {"test": ALL, "representation": "morec.MoRec", "seed": 1, "text": True})  # fmt: skip
    made = Comparison(methods.group([runs.read(p) for p in write_all(tmp_path / "runs", rows)])[0], metrics=["Hit@10"])
    file = tmp_path / "table.html"
    file.write_text(page.page(made, grid.grids(made), "pte compare a", []))
    with browser(tmp_path / "profile") as shown:
        shown.open(file.as_uri())
        shown.until('document.documentElement.dataset.against === "ready"')
        for number, against in enumerate(made.methods):
            shown.run(f'reference.value = {number}; reference.dispatchEvent(new Event("change"))')
            cells = shown.run(
                "[...chosen.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
            )
            wanted = made.differences(Column("masked", "Hit@10", "all"), {m.label: against.label for m in made.methods})
            assert [(c[0], c[1], c[3], c[4], c[5]) for c in cells] == [
                (label, fmt.delta(d.interval.mean), fmt.p_value(d.p), fmt.p_value(d.p_holm), d.verdict)
                for label, d in wanted.items()
            ]
        before = shown.run("getComputedStyle(document.body).backgroundColor")
        shown.run("theme.click()")
        assert shown.run("getComputedStyle(document.body).backgroundColor") != before
        shown.run('reference.append(new Option("a long name ".repeat(9), 99))')
        shown.size(390, 800)
        assert shown.run("innerWidth") == 390  # what does not fit would make it wider
        assert shown.run('document.querySelector("figure svg").clientWidth') > 500  # is scrolled, not shrunk
        assert shown.run("document.documentElement.scrollWidth") <= 390
        assert shown.errors == []
        assert [url for url in shown.requests if not url.startswith(("file:", "blob:"))] == []
