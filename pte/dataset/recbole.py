"""MovieLens 100K: 943 users, 1,682 films, 100,000 ratings, all taken as interactions whatever the stars.

Read from RecBole's atomic files (`ml-100k.inter`, `ml-100k.item`: tab-separated, `name:type` headers, no quoting).
Titles become "Toy Story (1995)", articles in front: with the year, films of one name stay apart and no title is a part
of another ("Alien", "Aliens"). GroupLens lists 18 films twice under two ids; they stay two items, as published.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pte.asset import fetch
from pte.asset.cache import checksum
from pte.dataset.reader.delimited import Form
from pte.dataset.reader.source import interaction_rows, item_rows, read_frame, require
from pte.dataset.rules import Rules
from pte.dataset.table.build import build_read
from pte.schema import InputError, Interactions, Resolved

FILES = ("ml-100k.inter", "ml-100k.item")
TEXTS = ("movie_title:token_seq", "release_year:token", "class:token_seq")
ARTICLE = r"^(.+), (The|A|An|La|Le|Les|L'|Il|El|Los|Las|Das|Der|Die)$"


class RecBoleMovieLens:
    """MovieLens 100K as RecBole packs it: small enough to fetch inside a released package, the embedded default."""

    def __init__(
        self,
        *,
        name: str,
        source: Resolved[str],
        source_sha256: Resolved[str | None],
        sha256: Resolved[Mapping[str, str] | None],
        licence: str,
        expect: Mapping[str, int] | None,
        rules: Rules,
    ) -> None:
        self.name, self.source, self.source_sha256, self.sha256 = name, source, source_sha256, sha256
        self.licence, self.expect, self.rules = licence, expect, rules

    def fingerprint(self) -> dict[str, str]:
        """sha256 of the two files: as pinned (so that planning fetches nothing), else as found."""
        return dict(self.sha256) if self.sha256 else {name: checksum(path) for name, path in self.paths().items()}

    def paths(self) -> dict[str, Path]:
        """The two files, fetched if need be and checked against the pinned sha256."""
        folder = fetch(self.source, sha256=self.source_sha256)
        paths = {name: folder / name for name in FILES}
        for name, path in paths.items():
            if not path.is_file():
                raise InputError(f"dataset.source={self.source}: there is no {name} in {folder}; {FILES} are needed")
            if self.sha256 and checksum(path) != self.sha256[name]:
                raise InputError(
                    f"{path} is not the pinned file (sha256 {checksum(path)}). Type dataset.sha256=null to take it"
                    " all the same"
                )
        return paths

    def read(self) -> Interactions:
        """The data set as Interactions."""
        ratings, films = self.paths().values()
        events, items = (read_frame(path, Form(quoting="none")) for path in (ratings, films))
        names = {"user_id": "user_id:token", "item_id": "item_id:token", "timestamp": "timestamp:float"}
        require(events, names, ratings)
        require(items, {"item": "item_id:token", **{c: c for c in TEXTS}}, films)
        return build_read(
            events,
            interaction_rows(events.frame, position=None, **names),
            items,
            item_rows(film_texts(items.frame), item_id="item_id", title="title", columns=["year", "genres"]),
            rules=self.rules,
            name=self.name,
            licence=self.licence,
            sha256=self.fingerprint(),
            expect=self.expect,
        )


def film_texts(films: pl.DataFrame) -> pl.DataFrame:
    """Columns item_id, title, year, genres; the one film whose name nobody knows has none of them."""
    title, year, genres = (pl.col(name) for name in TEXTS)
    named = title != "unkonwn"  # sic: item 267, whose genre is "unknown"
    full = pl.when(title.str.contains(r"\(\d{4}\)$")).then(title).otherwise(_in_front(title) + " (" + year + ")")
    release = pl.coalesce(year.str.extract(r"^(\d{4})$"), title.str.extract(r"\((\d{4})\)$"))
    return films.select(
        pl.col("item_id:token").alias("item_id"),
        pl.when(named).then(full).alias("title"),
        pl.when(named).then(release).alias("year"),
        pl.when(genres != "unknown").then(genres.str.replace_all(" ", ", ")).alias("genres"),
    )


def _in_front(title: pl.Expr) -> pl.Expr:
    """ "Net, The" -> "The Net"."""
    name, article = title.str.extract(ARTICLE, 1), title.str.extract(ARTICLE, 2)
    return pl.when(article == "L'").then(article + name).otherwise(pl.coalesce(article + " " + name, title))
