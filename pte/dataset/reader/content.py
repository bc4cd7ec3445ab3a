"""A table's file -> UTF-8 bytes whose lines end in a line feed, or the reason why it cannot be read as text.

What is inside decides, not the name: gzip is unpacked, UTF-16 and UTF-32 with a byte order mark are converted, a lone
carriage return becomes a line feed, and another format under a text file's name is named.
"""

from __future__ import annotations

import codecs
import gzip
import re
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
    b"\x1f\x9d": "compressed by compress: unpack it, or compress it with gzip",
    b"\x04\x22\x4d\x18": "compressed with lz4: unpack it, or compress it with gzip",
    b"Rar!": "a rar archive: unpack it",
    b"Obj\x01": "an Avro file: write it as Parquet",
    b"ORC": "an ORC file: write it as Parquet",
    b"\x93NUMPY": "a NumPy array: write it as CSV or Parquet",
    b"\x80\x04\x95": "a Python pickle: write it as CSV or Parquet",
    b"\x80\x05\x95": "a Python pickle: write it as CSV or Parquet",
}
TAR = b"ustar"  # at TAR_AT, whatever the first file in it is called
TAR_AT = 257
NO_TABLE = {  # of text, which a table does not begin with
    rb"<": "a web page or XML, as a failed download leaves it: fetch the table again",
    rb"version https://git-lfs": "a pointer of Git LFS: fetch the file itself (git lfs pull)",
    rb"\{\s*(?:u?[\"']|\})|\[\s*[\"'{\[\d]": "JSON: write it as CSV or Parquet; files of Amazon and Yelp have options"
    " of their own (dataset=Amazon2014, Amazon2018, Amazon2023, YelpReviews)",
    rb"\{\\rtf": "rich text: save it as plain text",
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
        return _unpacked(path, path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _unpacked(path: Path, raw: bytes) -> bytes:
    try:
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} cannot be read: its compressed data is damaged or cut ({error})") from None


def refuse_other(path: Path, raw: bytes) -> None:
    """InputError for the bytes of another format than a table of text, as far as they are known."""
    kind = next((kind for magic, kind in FORMATS.items() if raw.startswith(magic)), None)
    if raw[TAR_AT : TAR_AT + len(TAR)] == TAR:
        kind = "a tar archive: unpack it"
    kind = kind or next((kind for form, kind in NO_TABLE.items() if re.match(rb"\s*(?:%b)" % form, raw)), None)
    if kind:
        raise InputError(f"{path} is no text but {kind}")


def text_bytes(path: Path, packed: bytes | None = None, *, older: bool = False) -> bytes:
    """UTF-8 without a byte order mark, every record on lines that end in b"\\n", the last one too.

    packed: what stands in the file, where it lies inside an archive; older: lines that are no UTF-8 are Windows-1252.
    """
    raw = file_bytes(path) if packed is None else _unpacked(path, packed)
    refuse_other(path, raw)
    raw = _utf8(path, _mended(raw) if older else raw)
    refuse_other(path, raw)  # in UTF-16 its first bytes look otherwise
    if not raw.strip():
        raise InputError(f"{path} is empty: a header row with the column names is needed")
    if raw.count(b"\r") > raw.count(b"\r\n"):
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return raw if raw.endswith(b"\n") else raw + b"\n"


def _mended(raw: bytes) -> bytes:
    """UTF-8 where a line is, else Windows-1252, of which Latin-1's letters are a part; line by line."""
    if any(raw.startswith(mark) for mark in MARKS):
        return raw
    try:
        raw.decode()
        return raw
    except UnicodeDecodeError:
        return b"\n".join(_older(line).encode() for line in raw.split(b"\n"))


def _older(line: bytes) -> str:
    for coding in ("utf-8", "cp1252"):
        try:
            return line.decode(coding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")  # five bytes are no character of Windows-1252


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
