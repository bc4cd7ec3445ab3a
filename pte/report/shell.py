"""What every page has: its looks in light and dark, a table of contents, tables that sort, and no request to anywhere.

The page is whole without its scripts. With itables installed (`pip install 'pte[report]'`), DataTables of that package
is put into the page and makes the tables sortable and searchable; scripts and data are kept gzipped.
"""

from __future__ import annotations

import base64
import gzip
import importlib.resources
import importlib.util
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

LONG = 24  # characters from which a cell of words wraps
STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5d646d; --line: #d9dce1; --paper: #fff; --band: #f5f6f8;
  --mark: #2a6aa8; }
@media (prefers-color-scheme: dark) { :root:not([data-theme=light]) {
  --ink: #e6e8eb; --soft: #9aa2ad; --line: #363b43; --paper: #15171a; --band: #1e2126; --mark: #7fb4e6; } }
:root[data-theme=dark] { color-scheme: dark; --ink: #e6e8eb; --soft: #9aa2ad; --line: #363b43; --paper: #15171a;
  --band: #1e2126; --mark: #7fb4e6; }
:root[data-theme=light] { color-scheme: light; }
* { box-sizing: border-box; }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 72rem; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 3rem .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, li { max-width: 60rem; }
a { color: var(--mark); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0; }
#theme { position: absolute; top: 1rem; right: 1rem; }
button, input, select { font: inherit; color: inherit; background: var(--band); border: 1px solid var(--line);
  border-radius: 4px; padding: .25rem .6rem; max-width: 100%; }
.soft, figcaption, .note { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; margin: .75rem 0; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; min-width: 100%;
  white-space: nowrap; }
th { font-weight: 600; border-bottom: 1px solid var(--line); }
th, td { padding: .3rem .7rem; text-align: right; }
th.word, td.word { text-align: left; }
td.word.long { white-space: normal; overflow-wrap: break-word; min-width: 9rem; }
.facts table { white-space: normal; overflow-wrap: anywhere; }
.facts td.word.long { min-width: 0; }
.facts td:first-child { overflow-wrap: normal; }
.facts thead:not(:has(th:not(:empty))) { display: none; }
.cards { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0 .5rem; }
.card { display: flex; flex-direction: column; background: var(--band); border: 1px solid var(--line);
  border-radius: 8px; padding: .75rem 1.1rem; flex: 1 1 8rem; }
.card strong { font-size: 1.9rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
tbody tr:nth-child(even) { background: var(--band); }
figure { margin: 1.5rem 0 2rem; max-width: 100%; overflow-x: auto; }
svg { max-width: 60rem; width: 100%; height: auto; color: var(--ink); }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; white-space: normal; }
pre { overflow-x: auto; background: var(--band); padding: .75rem; }
pre code { white-space: pre; overflow-wrap: normal; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem; }
.sides section::before { content: attr(data-said); display: block; color: var(--soft); font-size: .85rem; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
.js-plotly-plot .main-svg { background: transparent !important; max-width: none; width: auto; }
.js-plotly-plot .updatemenu-item-rect { fill: var(--band) !important; stroke: var(--line) !important; }
.js-plotly-plot text:not(.nums):not(.name):not(.annotation-text) { fill: var(--ink) !important; }
.js-plotly-plot .gridlayer path, .js-plotly-plot .zerolinelayer path { stroke: var(--line) !important; }
div.dt-container .dt-search { text-align: left; padding: .4rem 0; }
table.dataTable, div.dt-container { margin: 0 !important; background: transparent !important; }
table.dataTable thead th:not(.word) .dt-column-header { justify-content: flex-end; text-align: right; }
@media (max-width: 40rem) { body { padding: 1rem .75rem 3rem; } th, td { padding: .3rem .4rem; }
  figure > svg { min-width: 36rem; } }
"""


def document(title: str, body: Sequence[str], *, foot: Sequence[str] = ()) -> str:
    """The whole page; its <h2 id=...> headings become the table of contents, after the first paragraphs.

    foot: elements for the end of <body>.
    """
    text = "\n".join(body)
    matches = re.findall(r"""<h2 id=["']([^"']+)["']>(.*?)</h2>""", text)
    links = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name in matches)
    contents = f'<nav aria-label="contents">{links}</nav>\n' if matches else ""
    before, mark, after = text.partition("<h2 id=")
    bundle = datatables()
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{bundle[0] if bundle else ''}{STYLE}</style>",
            "</head>\n<body>",
            '<button id="theme" type="button" aria-label="light or dark">◐</button>',
            f"{before}{contents}{mark}{after}",
            *bundle[1:],
            f'<script type="module">{script("page.js")}</script>',
            *foot,
            "</body></html>\n",
        ]
    )


def script(name: str) -> str:
    """A script of this package."""
    return importlib.resources.files("pte.report").joinpath("script", name).read_text(encoding="utf-8")


def packed(identity: str, text: str) -> str:
    """Text in a page, gzipped: `pte.inflate(identity)` reads it there."""
    data = base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()
    return f'<script type="text/plain" id="{escape(identity)}">{data}</script>'


def datatables() -> list[str]:
    """Looks and script of DataTables as the package itables brings them; [] where it is not installed."""
    matches = importlib.util.find_spec("itables")
    if matches is None or not matches.submodule_search_locations:
        return []
    folder = Path(matches.submodule_search_locations[0]) / "html"
    css, code = (folder / f"dt_bundle.{kind}" for kind in ("css", "js"))
    if not css.is_file() or not code.is_file():
        return []
    return [css.read_text(encoding="utf-8"), packed("datatables", code.read_text(encoding="utf-8"))]


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1, identity: str = "", sortable: bool = False
) -> str:
    """An HTML table of plain text, the first `words` columns of which are words, the others numbers."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="word{" long" if len(cell) > LONG else ""}">{escape(cell)}</{tag}>'
            if place < words
            else f"<{tag}>{escape(cell)}</{tag}>"
            for place, cell in enumerate(row)
        )

    name = f' id="{escape(identity)}"' if identity else ""
    lines = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table{name}{" data-sortable" if sortable else ""}><thead><tr>{cells("th", header)}</tr>'
        f"</thead>\n<tbody>{lines}</tbody></table></div>"
    )
