"""The text of an entity without a profile: an item's metadata, a user's latest titles."""

from __future__ import annotations

from pte.profiler.text.clean import Catalogue
from pte.schema import View

NOBODY = "A person whose choices are not known yet."
RECENT = "Recently chose:"  # a user's own rows stand under it and nowhere else, so that an audit can read them back


class Plain:
    """Texts from metadata alone; `titles` of a user's latest choices."""

    def __init__(self, view: View, titles: int) -> None:
        self.view, self.titles, self.catalogue = view, titles, Catalogue(view.items)
        self.title = [name.replace(";", ",") for name in self.catalogue.name]

    def of(self, side: str, entity: int) -> str:
        """Of an item 1..N or a user 0..U-1."""
        if side == "item":
            return self.catalogue.sentence(entity)
        latest = self.view.history(entity)[::-1][: self.titles].tolist()
        return f"{RECENT} {'; '.join(self.title[i] for i in latest)}" if latest else NOBODY
