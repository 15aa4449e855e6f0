"""The files a fuzzer starts from: good ones, and each trap the readers have met before."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import io
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

HEADER = "when,k,size,count,color,shape,step,flag,seen,y"
#: One row that keeps the contract of `guarantee`.
ROW: dict[str, Any] = {
    "when": dt.datetime(2024, 5, 1, 12),
    "k": "a",
    "size": 1.5,
    "count": 3,
    "color": "red",
    "shape": "round",
    "step": 2,
    "flag": True,
    "seen": dt.datetime(2024, 5, 1, 12),
    "y": 0.5,
}
_TEXTS = (
    "", "NaN", "inf", "-1e308", "1e400", "1,000", "0x10", "9223372036854775808", "9999-12-31",
    "2024-01-01T00:00:00+99:99", "2024-03-31T02:30:00", "0000-01-01", "\u0661", "x" * 5000,
    "\u0000", "\ud7ff", "true", " 7 ", "?", "a\nb", 'a"b',
)  # fmt: skip
_FAR = (2**63 - 1, -(2**63) + 1, 2**62, 10**17, -(10**15), 253402300800)


@cache
def seeds(data_format: str) -> dict[str, bytes]:
    """Files by their name."""
    made = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[data_format]
    found = {f"{number:03}": content for number, content in enumerate(made())}
    return found | {"packed": gzip.compress(found["000"], mtime=0)}


def write_corpus(data_format: str, directory: Path) -> int:
    """Put the seeds into a folder; how many there are."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in (made := seeds(data_format)).items():
        (directory / name).write_bytes(content)
    return len(made)


def _csv() -> Iterator[bytes]:
    good = "2024-05-01T12:00:00,a,1.5,3,red,round,2,true,2024-05-01,0.5"
    yield f"{HEADER}\n{good}\n".encode()
    yield f"{HEADER}\r\n{good}\r\n{good}".encode()
    yield f"\ufeff{HEADER}\n{good},extra\nshort\n\n{good}\n".encode()
    yield f'{HEADER}\n"open,{good}\n'.encode()
    yield f'"{HEADER}"\n{good}\n'.encode()
    yield f"{HEADER},_line,_row_number,\n{good},1,2,3\n{good.replace('1.5', 'x')},1,2,3\n".encode()
    yield f"\n\n{HEADER}\n{good}\n".encode()
    yield ("," * 100 + "\n").encode()
    for text in _TEXTS:
        quoted = '"' + text.replace('"', '""') + '"'
        for place in range(10):
            fields = good.split(",")
            fields[place] = quoted
            yield f"{HEADER}\n{good}\n{','.join(fields)}\n".encode()


def _as_json(row: dict[str, Any]) -> str:
    return json.dumps(row, default=str)


def _jsonl() -> Iterator[bytes]:
    good = _as_json(ROW)
    yield f"{good}\n".encode()
    yield f"\ufeff{good}\r\n\n{good}".encode()
    yield f"{good}\n[]\n{{\n1\nnull\n".encode()
    yield f'{good}\n{{"k": "a", "k": "b"}}\n'.encode()
    yield f'{good[:-1]}, "deep": {"[" * 2000}{"]" * 2000}}}\n'.encode()
    yield b'{"\\ud800": 1}\n'
    yield b'{"a\\u0000b\\n": 1}\n'
    for name in ROW:
        for value in (*_TEXTS, None, True, 2**70, -0.0, [], {}, 1e300):
            yield f"{good}\n{_as_json(ROW | {name: value})}\n".encode()


def parquet_of(**columns: pa.Array) -> bytes:
    """One row of the contract as Parquet, with some columns given otherwise."""
    out = io.BytesIO()
    pq.write_table(
        pa.table({name: pa.array([value]) for name, value in ROW.items()} | columns), out
    )
    return out.getvalue()


def not_utf8() -> pa.Array:
    """A text column whose bytes are no text; the writer does not look."""
    offsets = pa.array([0, 2], pa.int32()).buffers()[1]
    return pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xff\xfe"))


def odd_columns() -> Iterator[pa.Array]:
    """Columns of types and values that few programs write."""
    for zone in ("+01:00", "Foo/Bar", "Europe/Berlin", "GMT+1"):
        yield pa.array([0], pa.timestamp("us", zone))
    for unit in ("ms", "us", "ns"):
        for far in _FAR:
            yield pa.array([far], pa.timestamp(unit))
            yield pa.array([far], pa.timestamp(unit, "Europe/Berlin"))
    for days in (2**31 - 1, -(2**31), 3_000_000):
        yield pa.array([days], pa.date32())
    yield pa.array([decimal.Decimal("1.25")])
    yield pa.array([decimal.Decimal("1.25")], pa.decimal256(50, 2))
    yield pa.array([2**64 - 1], pa.uint64())
    yield pa.array([1.0], pa.float16())
    yield pa.array([float("inf")])
    yield pa.array([-5], pa.time64("us"))
    yield pa.array([2**62], pa.time64("ns"))
    yield pa.array([2**63 - 1], pa.duration("us"))
    yield pa.array(["red"]).dictionary_encode()
    yield pa.array(["red"], pa.large_string())
    yield pa.array([b"red"])
    yield pa.array([[1]])
    yield pa.array([None])
    yield pa.array(["x" * 5000])
    yield pa.array(["a\x00b"])
    yield pa.array([b"a" * 16], pa.uuid())
    yield not_utf8()


def _parquet() -> Iterator[bytes]:
    yield parquet_of()
    yield parquet_of()[:-9]
    yield parquet_of(_line=pa.array(["x"]), _row_number=pa.array([9]), size=pa.array([-1.0]))
    yield parquet_of(**{"": pa.array([1]), "a\x00\n": pa.array([1])})
    for name in ("extra", *ROW):
        for column in odd_columns():
            yield parquet_of(**{name: column})
            if name == "extra":
                yield parquet_of(extra=column, size=pa.array([-1.0]))
