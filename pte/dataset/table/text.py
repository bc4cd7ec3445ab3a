"""An item's metadata as one line of plain text: what an encoder sees of it without any profile."""

from __future__ import annotations

from pte.schema import Items


def metadata_text(items: Items) -> list[str]:
    """N+1 texts, "Toy Story. genres: Animation, Comedy. year: 1995": title first, then every known text column.

    Columns carry their names, since a bare "1995" or "12.99" says nothing; unknown text is left out. Entry 0 is "".
    """
    texts = []
    for row in range(len(items.item_id)):
        named = [(name, values[row].strip()) for name, values in items.text.items()]
        parts = [items.title[row].strip(), *(f"{name}: {value}" for name, value in named if value)]
        texts.append(". ".join(part for part in parts if part))
    return texts
