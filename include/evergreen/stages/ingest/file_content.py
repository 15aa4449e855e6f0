"""Makes sure a landed file is what its name says, and unpacks it no further than allowed."""

from __future__ import annotations

import codecs
import zlib
from pathlib import Path
from urllib.parse import unquote

from include.evergreen.errors import FileRefused

CHUNK_BYTES = 2**20
_FORMAT_OF = {"csv": "csv", "parquet": "parquet", "pq": "parquet", "jsonl": "jsonl"}
_FORMAT_OF |= {"ndjson": "jsonl", "json": "jsonl"}
#: Extensions that say nothing about the content: it decides.
_NEUTRAL = {"", "txt", "data", "dat"}
_GZIP = b"\x1f\x8b"
_MAGIC = (
    (_GZIP, "gzip"),
    (b"PAR1", "parquet"),
    (b"\x93NUMPY", "numpy"),
    (b"PK\x03\x04", "zip"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x89HDF", "HDF5"),
    (b"ARROW1", "Arrow"),
    (b"ORC", "ORC"),
    *((b"\x80" + bytes([protocol]), "pickle") for protocol in (2, 3, 4, 5)),
)


def unpack(path: Path, uri: str, data_format: str, max_bytes: int) -> Path:
    """The plain content of a file of the wanted format: `path` itself, or a copy beside it.

    Raises:
        FileRefused: empty; extension, content and wanted format disagree; truncated; more than
            `max_bytes` after decompression; or text that is not UTF-8 or holds NUL bytes.
    """
    extension, zipped = _name_says(uri)
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise FileRefused("empty", f"{uri} has zero bytes.")
    if (found := _sniff(start)) == "gzip" and zipped:
        path = _gunzip(path, uri, max_bytes)
        with path.open("rb") as file:
            start = file.read(16)
        if not start:
            raise FileRefused("empty", f"{uri} has zero bytes after decompression.")
        found = _sniff(start)
    elif zipped:
        raise FileRefused("extension", f"{uri} is named .gz, and its content is no gzip.")
    _check_format(uri, extension, found, data_format)
    if path.stat().st_size > max_bytes:
        raise too_large(uri, max_bytes)
    if data_format != "parquet":
        _check_text(path, uri)
    return path


def too_large(uri: str, max_bytes: int) -> FileRefused:
    return FileRefused(
        "too_large",
        f"{uri} has more than {max_bytes:,} bytes after decompression, the most "
        "data.limits.max_bytes allows. Split the file, or raise the limit and replay quarantine.",
    )


def _name_says(uri: str) -> tuple[str, bool]:
    name = unquote(uri.rpartition("/")[2]).lower()
    zipped = name.endswith(".gz")
    stem = name.removesuffix(".gz")
    return (stem.rpartition(".")[2] if "." in stem else ""), zipped


def _sniff(start: bytes) -> str:
    return next((kind for magic, kind in _MAGIC if start.startswith(magic)), "")


def _check_format(uri: str, extension: str, found: str, data_format: str) -> None:
    named = _FORMAT_OF.get(extension, extension)
    if extension not in _NEUTRAL and named != data_format:
        raise FileRefused(
            "extension", f"{uri} is named .{extension}; this model's data.format is {data_format}."
        )
    expected = "parquet" if data_format == "parquet" else ""
    if found != expected:
        seen = found or "no parquet (its first bytes are not PAR1)"
        raise FileRefused(
            "content", f"{uri} should be {data_format}, and its content is {seen}. Not loaded."
        )


def _gunzip(path: Path, uri: str, max_bytes: int) -> Path:
    """Decompress to a file beside, member by member, never past the limit."""
    plain = path.with_name(path.name + ".plain")
    written = 0
    with path.open("rb") as packed, plain.open("wb") as out:
        stream, pending = zlib.decompressobj(wbits=31), b""
        while True:
            pending = pending or packed.read(CHUNK_BYTES)
            if stream.eof:
                pending = pending.lstrip(b"\0")  # padding between members, and after the last
                if not pending and not (pending := packed.read(CHUNK_BYTES)):
                    return plain
                stream = zlib.decompressobj(wbits=31)
                continue
            if not pending:
                raise FileRefused("truncated", f"{uri} ends in the middle of its gzip stream.")
            try:
                chunk = stream.decompress(pending, CHUNK_BYTES)
            except zlib.error as error:
                raise FileRefused("truncated", f"{uri} is a damaged gzip: {error}.") from error
            pending = stream.unused_data if stream.eof else stream.unconsumed_tail
            written += out.write(chunk)
            if written > max_bytes:
                raise too_large(uri, max_bytes)


def _check_text(path: Path, uri: str) -> None:
    """All of it before a reader sees it: the one of CSV drops a short row that is no UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            if b"\0" in chunk:
                raise FileRefused(
                    "encoding", f"{uri} holds NUL bytes; it should be UTF-8 text (is it UTF-16?)."
                )
            _decode(decoder, chunk, uri)
    _decode(decoder, b"", uri)


def _decode(decoder: codecs.IncrementalDecoder, chunk: bytes, uri: str) -> None:
    try:
        decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError as error:
        raise FileRefused("encoding", f"{uri} is not UTF-8 text: {error.reason}.") from error
