"""Two tables -> Interactions: every rule that leaves a row, a user or an item out is stated here and counted.

In this order: malformed rows, exact duplicates (same user, item and place in the order), unknown items, untitled
items, iterated k-core, short users, the cut, items without interactions. Ids are given after all of that: users and
items in the order of their external ids, shorter first ("2" before "10"), so that the order of the file's rows
decides nothing but ties in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from pte.dataset.reader.delimited import Table
from pte.dataset.reader.moment import FORMS, TELLING
from pte.dataset.reader.source import OWN_COLUMNS, normalized, reads_as_none, with_places
from pte.dataset.rules import Rules
from pte.dataset.table.card import card
from pte.dataset.table.filter import row_mask
from pte.schema import InputError, Interactions, Items

UNTITLED = "Untitled item"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the tables come from, for the card and for the check against published counts."""

    name: str
    licence: str
    sha256: Mapping[str, str]
    expect: Mapping[str, int] | None = None  # users, items, interactions of the raw tables, before any rule below
    ragged: tuple[tuple[int, int], ...] = ()  # (row, line) of interactions with too many fields, not in the table
    ragged_items: tuple[tuple[int, int], ...] = ()  # likewise of the items table
    omitted: Mapping[str, str] = field(default_factory=dict)  # columns of the items table not taken as text, and why
    min_rating: float | None = None  # rows whose `rating` is lower are no interactions; None: all are
    notes: Mapping[str, int] = field(default_factory=dict)  # what the reader of the files counted; no row is lost by it


def build_read(
    events: Table, rows: pl.DataFrame, items: Table, described: pl.DataFrame, *, rules: Rules, **source: Any
) -> Interactions:
    """Of two files read whole: with the places of rows in them, and the lines that are no rows.

    rows: `source.interaction_rows` of `events`; described: `source.item_rows` of `items`; source: fields of Source.
    """
    known = Source(ragged=events.ragged, ragged_items=items.ragged, **source)
    return build(with_places(rows, events), with_places(described, items), rules=rules, source=known)


def build(rows: pl.DataFrame, items: pl.DataFrame, *, rules: Rules, source: Source) -> Interactions:
    """rows: `source.interaction_rows`, items: `source.item_rows`."""
    counts: dict[str, int] = dict(source.notes)
    whole = len(rows) + len(source.ragged)
    rows = _well_formed(rows, rules, source, counts)
    rows = _rated(rows, source, counts)
    rows = _without_duplicates(rows, counts)
    _suspicious(rows, counts)
    items = _items(items, rules, source, counts)
    rows, items = _known(rows, items, rules, counts)
    _expected(rows, source)
    rows, items = _titled(rows, items, rules, counts)

    users = _shorter_first(rows.select("user_id").unique(), "user_id").with_row_index("user")
    catalogue = _shorter_first(items, "item_id").with_row_index("item", offset=1)
    rows = rows.join(users, on="user_id").join(catalogue.select("item_id", "item"), on="item_id")
    rows = rows.sort("user", "position", "time", "row")  # row: ties keep the order of the file
    _some(rows, rules, source, counts)
    keep, cut = row_mask(rows["user"].to_numpy(), rows["item"].to_numpy(), rules, counts)
    rows = rows.filter(keep)
    _some(rows, rules, source, counts)
    if rules.unseen_items == "drop":
        before, catalogue = len(catalogue), catalogue.join(rows, on="item", how="semi", maintain_order="left")
        counts["items without interactions left out"] = before - len(catalogue)
    interactions = _numbered(rows, users, catalogue)
    titled_share = 1 - float(catalogue["placeholder"].cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
    facts = {**vars(source), "rows_in_file": whole}
    return replace(
        interactions, card=card(interactions, titled_share=titled_share, counts=counts, cut=cut, source=facts)
    )


def _numbered(rows: pl.DataFrame, users: pl.DataFrame, catalogue: pl.DataFrame) -> Interactions:
    """What is left gets its final numbers: users 0..U-1, items 1..N, no gaps."""
    users = users.join(rows, on="user", how="semi", maintain_order="left")
    user = np.searchsorted(users["user"].to_numpy(), rows["user"].to_numpy())
    item = np.searchsorted(catalogue["item"].to_numpy(), rows["item"].to_numpy()) + 1
    columns = [c for c in catalogue.columns if c not in OWN_COLUMNS]
    return Interactions(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        time=rows["time"].fill_null(-1).to_numpy().astype(np.int64),
        user_id=users["user_id"].to_list(),
        items=Items(
            item_id=["", *catalogue["item_id"].to_list()],
            title=["", *catalogue["title"].to_list()],
            text={c: ["", *catalogue[c].to_list()] for c in columns if (catalogue[c] != "").any()},
        ),
        card={},
    )


def _well_formed(rows: pl.DataFrame, rules: Rules, source: Source, counts: dict[str, int]) -> pl.DataFrame:
    """Without the malformed rows; refused with the places and reasons of the first, unless the rules drop them."""
    bad = _places(rows.filter("bad"), source.ragged)
    if bad and (rules.malformed == "error" or len(bad) == len(rows) + len(source.ragged)):
        places = "; ".join(bad[:5]) + ("; ..." if len(bad) > 5 else "")
        raise InputError(
            f"{source.name}: {len(bad):,} malformed interaction row(s) of {len(rows) + len(source.ragged):,}: {places}"
            f" (header not counted).{_advice(places, len(bad), len(rows) + len(source.ragged))}"
        )
    counts["malformed rows dropped"] = len(bad)
    return rows.filter(~pl.col("bad")).drop("line", "why", strict=False)


def _places(bad: pl.DataFrame, ragged: tuple[tuple[int, int], ...]) -> list[str]:
    """ "data row 3 (line 4, too many fields)", in the order of the file."""
    places: list[tuple[int, int | None, str | None]] = [(row, line, "too many fields") for row, line in ragged]
    for name in ("line", "why"):
        bad = bad if name in bad.columns else bad.with_columns(pl.lit(None).alias(name))
    places += bad.select("row", "line", "why").rows()
    return [
        f"data row {row:,} ({', '.join(part for part in (f'line {at:,}' if at else '', reason or '') if part)})"
        for row, at, reason in sorted(places, key=lambda place: place[0])
    ]


def _advice(places: str, bad: int, rows: int) -> str:
    """What to do about malformed rows; to drop them is no advice where hardly any would be left."""
    forms = ""
    if "no readable time" in places and "under dataset.time_format=" not in places:
        forms = f" Times are read as {FORMS}; other forms: dataset.time_format='%d/%m/%Y' (of dataset=custom)."
    if bad == rows and places.count("too many fields") == min(bad, 5):
        forms = " Is a name missing in the header, such as that of an index column?"
    return forms + (" Mend them, or drop them: dataset.rules.malformed=drop" if bad <= rows / 2 else " Mend them")


def _rated(rows: pl.DataFrame, source: Source, counts: dict[str, int]) -> pl.DataFrame:
    """Without the rows rated below `source.min_rating`: what a user did not like is no implicit feedback."""
    if source.min_rating is not None:
        low = rows["rating"] < source.min_rating
        counts[f"rows rated below {source.min_rating} left out"] = int(low.sum())
        rows = rows.filter(~low)
    return rows.drop("rating", strict=False)


def _without_duplicates(rows: pl.DataFrame, counts: dict[str, int]) -> pl.DataFrame:
    """The same user, item and place (position where there is one, else time) twice is one event."""
    unique = rows.unique(["user_id", "item_id", "position", "time"], keep="first", maintain_order=True)
    counts["exact duplicate rows dropped"] = len(rows) - len(unique)
    return unique


def _items(items: pl.DataFrame, rules: Rules, source: Source, counts: dict[str, int]) -> pl.DataFrame:
    nameless = items["item_id"].is_null()
    bad = _places(items.filter(nameless).with_columns(why=pl.lit("no item_id")), source.ragged_items)
    if bad and (rules.malformed == "error" or len(bad) == len(items) + len(source.ragged_items)):
        raise InputError(
            f"{source.name}: {len(bad):,} malformed row(s) in the items table, the first is {bad[0]} (header not"
            f" counted).{_advice('', len(bad), len(items) + len(source.ragged_items))}"
        )
    counts["malformed item rows dropped"] = len(bad)
    items = items.filter(~nameless).drop("line", strict=False)
    counts["titles that read nan, null or none, kept as titles"] = int(reads_as_none(items["title"]).sum())
    unique = items.unique("item_id", keep="first", maintain_order=True)
    counts["repeated item rows dropped (first kept)"] = len(items) - len(unique)
    return unique


def _same(unknown: pl.Series, known: pl.Series) -> str:
    """A sentence where an unknown id is a known one written in another way, "" where none is."""
    forms = pl.DataFrame({"known": known, "form": normalized(known)})
    pairs = pl.DataFrame({"id": unknown, "form": normalized(unknown)}).join(forms, on="form")
    if pairs.is_empty():
        return ""
    name, written = pairs.select("id", "known").row(0)
    return f" {name!r} may be the items table's {written!r}: write ids alike in both."


def _suspicious(rows: pl.DataFrame, counts: dict[str, int]) -> None:
    """Count ids that are likely others written in another way, or stand for none; they are kept as they are."""
    for noun in ("user", "item"):
        names = rows[f"{noun}_id"].unique()
        counts[f"{noun} ids that differ from another's in blanks, Unicode form or a .0 alone, kept apart"] = (
            len(names) - normalized(names).n_unique()
        )
        counts[f"{noun} ids that read nan, null or none, kept as ids"] = int(reads_as_none(names).sum())
        counts[f"{noun} ids in a spreadsheet's notation (1.2E+12), of which one may stand for several"] = int(
            names.str.contains(r"^\d(\.\d+)?[eE]\+\d\d+$").sum()
        )
    time = rows["time"].drop_nulls()
    early = int((time < TELLING).sum())
    counts["times before March 1973 among later ones: unknown ones, or written in another unit"] = (
        early if 2 * early < len(time) else 0
    )


def _known(
    rows: pl.DataFrame, items: pl.DataFrame, rules: Rules, counts: dict[str, int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    unknown = rows.join(items, on="item_id", how="anti", maintain_order="left")
    ids = unknown["item_id"].unique(maintain_order=True)
    if len(ids) and rules.unknown_item == "error":
        alike_one = _same(ids, items["item_id"])
        raise InputError(
            f"{len(unknown):,} interaction(s) with {len(ids):,} item(s) that the items table lacks, such as"
            f" {', '.join(ids[:3].to_list())} (data row {unknown['row'][0]}).{alike_one} Add them, or"
            " type dataset.rules.unknown_item=drop (or =placeholder to keep them without text)"
        )
    if rules.unknown_item == "placeholder":
        counts["items absent from the items table, kept without text"] = len(ids)
        texts = [c for c in items.columns if c not in ("row", "item_id")]
        blank = pl.DataFrame({"row": [0] * len(ids), "item_id": ids, **{c: [""] * len(ids) for c in texts}})
        return rows, pl.concat([items, blank.select(items.columns).cast(items.schema)])
    counts["rows of unknown items dropped"] = len(unknown)
    return rows.join(items.select("item_id"), on="item_id", how="semi", maintain_order="left"), items


def _expected(rows: pl.DataFrame, source: Source) -> None:
    """Published data sets have published counts; another count means another file."""
    actual = {
        "users": rows["user_id"].n_unique(), "items": rows["item_id"].n_unique(), "interactions": len(rows)
    }  # fmt: skip
    for noun, count in (source.expect or {}).items():
        if actual[noun] != count:
            raise InputError(
                f"{source.name}: {actual[noun]:,} {noun} where {count:,} are published: these are not the published"
                " files. Give the right ones, or type dataset.expect=null to use them all the same"
            )


def _titled(
    rows: pl.DataFrame, items: pl.DataFrame, rules: Rules, counts: dict[str, int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """An empty title: the first of the item's other texts stands in, or the item goes, or it is an error."""
    empty = items["title"] == ""
    if empty.all():
        raise InputError(
            "the items table has no title at all: name the right column (dataset.title=COLUMN of dataset=custom)"
        )
    if empty.any() and rules.untitled == "error":
        raise InputError(
            f"{empty.sum():,} item(s) without title, the first is item_id {items.filter(empty)['item_id'][0]}."
            " Fill them in, or type dataset.rules.untitled=placeholder (or =drop)"
        )
    if rules.untitled == "drop":
        counts["untitled items dropped"] = int(empty.sum())
        items = items.filter(~empty)
        before = len(rows)
        rows = rows.join(items.select("item_id"), on="item_id", how="semi", maintain_order="left")
        counts["rows of untitled items dropped"] = before - len(rows)
        return rows, items.with_columns(placeholder=pl.lit(False))
    counts["untitled items given their other text as title"] = int(empty.sum())
    others = [c for c in items.columns if c not in ("row", "item_id", "title")]
    stand_in = pl.coalesce(*(pl.col(c).replace("", None) for c in ("title", *others)), pl.lit(UNTITLED))
    return rows, items.with_columns(title=stand_in, placeholder=pl.Series(empty))


def _some(rows: pl.DataFrame, rules: Rules, source: Source, counts: dict[str, int]) -> None:
    if rows.is_empty():
        usual = vars(Rules())
        strict = [f"dataset.rules.{name}={value}" for name, value in vars(rules).items() if value != usual[name]]
        if source.min_rating is not None:
            strict.append(f"dataset.min_rating={source.min_rating}")
        why = "; ".join(f"{noun}: {count:,}" for noun, count in counts.items() if count) or "the table has no row"
        raise InputError(
            f"{source.name}: no interaction is left ({why}). Loosen {', '.join(strict) or 'dataset.rules'} or give"
            " another file"
        )


def _shorter_first(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Sorted by external id, shorter ones first, so that "2" comes before "10"."""
    return frame.sort(pl.col(column).str.len_chars(), column)
