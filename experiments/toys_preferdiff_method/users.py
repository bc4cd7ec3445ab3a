"""users.csv (user_id, part) for `protocol=cold_start protocol.file=users.csv`: PreferDiff's published users in ours.

    python experiments/toys_preferdiff_method/users.py PREFERDIFF/data/Toys_and_Games $PTE_DATA/Toys/interactions.csv.gz

PreferDiff (github.com/lswhim/PreferDiff) publishes each user's last 11 items under numbers of its own, a line a user,
in train_data.txt, valid_data.txt and test_data.txt. Users and items are matched by colour refinement (Weisfeiler and
Leman, 1968): a user's colour is that of its items in their order, an item's that of the users and places it stands at.
Whoever has a colour alone is matched; users who share one (twins) are dealt out in order of the files. The program
ends with status 1 where the two sides differ, or where an item of ours would be two of theirs.
"""

import argparse
import hashlib
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

LAST = 11
PARTS = ("train", "valid", "test")
ROUNDS = 20


def digest(*words: object) -> bytes:
    return hashlib.blake2b(repr(words).encode(), digest_size=12).digest()


def colours(users: Sequence[Sequence[object]]) -> list[bytes]:
    """A colour per user that depends on the sequences alone, not on what items are called."""
    item: Mapping[object, bytes] = defaultdict(bytes)
    user, kinds = [b""] * len(users), 0
    for _ in range(ROUNDS):
        user = [digest(*(item[each] for each in row)) for row in users]
        seen = defaultdict(list)
        for colour, row in zip(user, users, strict=True):
            for place, each in enumerate(row):
                seen[each].append((colour, place))
        item = {each: digest(sorted(found)) for each, found in seen.items()}
        if len(set(item.values())) == kinds:  # finer it does not get
            break
        kinds = len(set(item.values()))
    return user


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("published", type=Path)
    arguments.add_argument("interactions", type=Path)
    arguments.add_argument("--out", type=Path, default=Path("users.csv"))
    options = arguments.parse_args()
    theirs, part = [], []
    for name in PARTS:
        rows = (options.published / f"{name}_data.txt").read_text(encoding="utf-8").splitlines()
        theirs += [row.split() for row in rows]
        part += [name] * len(rows)
    table = pl.read_csv(options.interactions).sort("user_id", "position")
    ours = table.group_by("user_id", maintain_order=True).agg(pl.col("item_id").tail(LAST))
    own = [row.to_list() for row in ours["item_id"]]
    waiting = defaultdict(list)
    for place, colour in enumerate(colours(theirs)):
        waiting[colour].append(place)
    mine = colours(own)
    if sorted(mine) != sorted(colour for colour, places in waiting.items() for _ in places):
        sys.exit(f"{len(own):,} users of ours and {len(theirs):,} published ones have other sequences")
    match = [waiting[colour].pop(0) for colour in mine]
    pairs = {(a, b) for row, place in zip(own, match, strict=True) for a, b in zip(row, theirs[place], strict=True)}
    items = len({a for a, _ in pairs})
    if not items == len(pairs) == len({b for _, b in pairs}):
        sys.exit("an item of one side would be two of the other")
    pl.DataFrame({"user_id": ours["user_id"], "part": [part[place] for place in match]}).write_csv(options.out)
    print(f"{options.out}: {len(match):,} users, {items:,} items matched one to one")


if __name__ == "__main__":
    main()
