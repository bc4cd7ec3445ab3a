"""A table's file -> UTF-8 bytes whose lines end in a line feed, or the reason why it cannot be read as text.

What is inside decides, not the name: gzip is unpacked, UTF-16 and UTF-32 with a byte order mark are converted, a lone
carriage return becomes a line feed, and another format under a text file's name is named.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

from pte.schema import InputError

FORMATS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook: unpack it, or save the sheet as CSV",
    b"PAR1": "a Parquet file: give it a name that ends in .parquet",
    b"BZh": "compressed with bzip2: unpack it, or compress it with gzip",
    b"\xfd7zXZ\x00": "compressed with xz: unpack it, or compress it with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it, or compress it with gzip",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"%PDF": "a PDF document: a table is needed",
    b"SQLite format 3\x00": "an SQLite database: export the table as CSV",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel workbook: save the sheet as CSV",
    b"\x89HDF": "an HDF5 file: export the table as CSV or Parquet",
    b"ARROW1": "an Arrow file: write it as Parquet",
    b"\x89PNG": "a picture: a table is needed",
    b"\x1f\x8b": "gzip inside gzip: unpack it once",
}
NO_TABLE = {  # of text, which a table's first line does not begin with
    b"<": "a web page or XML, as a failed download leaves it: fetch the table again",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself (git lfs pull)",
    b'{"': "JSON: write it as CSV or Parquet",
    b'[{"': "JSON: write it as CSV or Parquet",
}
MARKS = {  # byte order marks; UTF-32's first, since UTF-16's is how it begins
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig",
}  # fmt: skip


def file_bytes(path: Path) -> bytes:
    """The file as it is, unpacked where it is gzip. InputError where it cannot be read at all."""
    if path.is_dir():
        entries = sorted(entry.name for entry in path.iterdir())[:5]
        raise InputError(
            f"{path} is a folder; name the file inside it" + (f", such as {entries[0]}" if entries else "")
        )
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} cannot be read: its compressed data is damaged or cut ({error})") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def text_bytes(path: Path) -> bytes:
    """UTF-8 without a byte order mark, every record on lines that end in b"\\n", the last one too."""
    raw = file_bytes(path)
    for magic, kind in {**FORMATS, **NO_TABLE}.items():
        if raw.startswith(magic):
            raise InputError(f"{path} is no text but {kind}")
    raw = _utf8(path, raw)
    if not raw.strip():
        raise InputError(f"{path} is empty: a header row with the column names is needed")
    if raw.count(b"\r") > raw.count(b"\r\n"):
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return raw if raw.endswith(b"\n") else raw + b"\n"


def _utf8(path: Path, raw: bytes) -> bytes:
    coding = next((name for mark, name in MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        text = None if coding == "utf-8" and raw.isascii() else raw.decode(coding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is no {coding.removesuffix('-sig').upper()} (line {line:,}); save it as UTF-8"
        ) from None
    if coding == "utf-8" and (place := raw.find(b"\0")) >= 0:
        line = raw.count(b"\n", 0, place) + 1
        raise InputError(
            f"{path} holds a zero byte (line {line:,}), as UTF-16 without a byte order mark and damaged files do; save"
            " it as UTF-8, without zero bytes"
        )
    return raw if coding == "utf-8" or text is None else text.encode("utf-8", "replace")
