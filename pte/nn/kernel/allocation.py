"""Freed memory kept for the next step instead of handed back to the system.

glibc maps a large block anew for every tensor and unmaps it when freed, or trims its heap, so that each step's gradient
of the item table is given to the process page by page again: of a DreamRec step on a CPU an eighth
(ours, Toys). Reference: the allocator as it is, whose page faults tests/train/test_memory.py counts.
"""

from __future__ import annotations

import ctypes

_MALLOPT = {-3: 2**25, -1: 2**30, -2: 2**26}  # M_MMAP_THRESHOLD (its upper limit), M_TRIM_THRESHOLD, M_TOP_PAD


def keep_freed_memory() -> bool:
    """Blocks below 32 MiB come from the heap, of which up to a GiB stays. False where the C library is not glibc."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return False
    return all(libc.mallopt(option, value) for option, value in _MALLOPT.items())
