"""Moves the requests a model served from its spool into the lake, each segment exactly once.

A service closes a segment by giving it its name; what starts with a dot is still being written.
Closed segments are first gathered into a folder of their own, and it is sealed by a rename: from
then on what is in it never changes, so its name is the transaction of one lake commit. A crash at
any point leaves either segments in the spool or a sealed folder, and the next run takes both up.
Which environment served a segment is told by the spool it lay in, never by what is in it, and is
part of its name from then on: `<digest>.<environment>.parquet`.
What cannot be read as a segment is set aside as `<name>.refused`, never deleted.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import logging
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.parquet as pq

from include.evergreen.adapters.runtime import Environment
from include.evergreen.errors import FileRefused
from include.evergreen.spec import Column, ModelSpec
from include.evergreen.stages.monitoring import spool_moves
from include.evergreen.stages.monitoring.request_log import ENVIRONMENT, environment_of
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: A service closes a segment long before either; whatever is larger was not made by one.
MAX_SEGMENT_BYTES = 256 * 2**20
MAX_SEGMENT_ROWS = 5_000_000
MAX_SEGMENTS = 2_000
_COLLECTING = ".collecting"
_TIME = pl.Datetime("us", "UTC")
_TYPES: dict[str, pl.DataType] = {
    "float": pl.Float64(),
    "integer": pl.Int64(),
    "boolean": pl.Boolean(),
    "category": pl.String(),
    "timestamp": _TIME,
}
#: What every segment has, whatever the contract says.
_ALWAYS: dict[str, pl.DataType] = {
    "request_id": pl.String(),
    "time": _TIME,
    "version": pl.Int64(),
}


def collect_requests(resources: Resources, *, now: dt.datetime) -> int:
    """Append every closed segment to the lake's `requests` and delete it; the rows appended."""
    spool = resources.settings.spool_dir / resources.model
    if not spool.is_dir():
        return 0
    rows = 0
    _seal_waiting(resources, spool)
    for folder in (spool / _COLLECTING).glob(f"{spool_moves.DONE}*"):
        spool_moves.forget_folder(folder)
    for folder in sorted((spool / _COLLECTING).glob(f"{spool_moves.SEALED}*")):
        rows += _move_to_lake(resources, folder, now)
    return rows


# --- from the spool into a sealed folder --------------------------------------------------------


def _seal_waiting(resources: Resources, spool: Path) -> None:
    """Gather readable new segments into sealed folders, refuse the others."""
    unsealed = sorted((spool / _COLLECTING).glob(f"{spool_moves.FILLING}*"))
    waiting = [*_closed_segments(spool), *_left_behind(unsealed)]
    for start in range(0, len(waiting), MAX_SEGMENTS):
        name = uuid.uuid4().hex
        filling = spool / _COLLECTING / f"{spool_moves.FILLING}{name}"
        spool_moves.begin_folder(filling)
        gathered: set[str] = set()
        for segment in waiting[start : start + MAX_SEGMENTS]:
            _gather(resources, segment, _environment(spool, segment), filling, gathered)
        if gathered:
            spool_moves.seal(filling)
        else:
            spool_moves.forget_empty(filling)
    for folder in unsealed:
        spool_moves.forget_empty(folder)


def _closed_segments(spool: Path) -> list[Path]:
    """Segments that a service has closed, oldest name first; never through a link."""
    found = []
    for folder, folders, files in os.walk(spool, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(folder, name)
            for name in files
            if name.endswith(".parquet") and not name.startswith(".")
        ]
    return sorted(found, key=lambda path: (path.name, str(path)))


def _left_behind(unsealed: list[Path]) -> list[Path]:
    """Segments in folders that a crash left unsealed."""
    return [segment for folder in unsealed for segment in sorted(folder.glob("*.parquet"))]


def _environment(spool: Path, segment: Path) -> str:
    """Which environment served a segment: its spool's, or, once gathered, its name's; '' of none.

    The topmost folder alone tells: a service can make folders in its own spool, of any name.
    """
    topmost = segment.relative_to(spool).parts[0]
    if topmost in {_COLLECTING, segment.name}:  # the latter was set aside, and put back by hand
        return _gathered_from(segment)
    return environment_of(topmost) or ""


def _gathered_from(segment: Path) -> str:
    told = segment.stem.partition(".")[2]
    return told if told in get_args(Environment) else ""


def _gather(
    resources: Resources, segment: Path, environment: str, filling: Path, gathered: set[str]
) -> None:
    """Move one segment into `filling`, unless it is known, refused, or taken by somebody else."""
    try:
        content = _read(segment)
        digest = hashlib.sha256(content).hexdigest()
        if digest in gathered or resources.ledger.segment_known(resources.model, digest):
            spool_moves.forget_segment(segment)
            return
        read_segment(content, resources.spec)
        name = f"{digest}.{environment}" if environment else digest
        spool_moves.take_segment(segment, filling / f"{name}.parquet")
        gathered.add(digest)
    except FileNotFoundError:
        log.info("Segment %s was taken by another run.", segment.name)
    except FileRefused as refusal:
        spool_moves.set_aside(segment, segment.parent, refusal)


def _read(segment: Path) -> bytes:
    descriptor = os.open(segment, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | _no_follow(segment))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MAX_SEGMENT_BYTES + 1)
    if len(content) > MAX_SEGMENT_BYTES:
        raise FileRefused("size", f"It is larger than {MAX_SEGMENT_BYTES:,} bytes.")
    return content


def _no_follow(segment: Path) -> int:
    """The flag that refuses links; what is no regular file is refused before it is opened."""
    if not stat.S_ISREG(segment.lstat().st_mode):
        raise FileRefused("kind", "It is no regular file.")
    return os.O_NOFOLLOW


# --- from a sealed folder into the lake ---------------------------------------------------------


def _move_to_lake(resources: Resources, folder: Path, now: dt.datetime) -> int:
    """One commit for all segments of a folder, then their record, then they are deleted."""
    model = resources.model
    segments = sorted(folder.glob("*.parquet"))

    def frames() -> Iterator[pl.DataFrame]:
        for segment in segments:
            try:
                with _unless_set_aside(folder):
                    served = read_segment(segment.read_bytes(), resources.spec)
                    where = pl.lit(_gathered_from(segment) or None, pl.String)
                    yield served.with_columns(where.alias(ENVIRONMENT))
            except FileRefused as refusal:  # the contract was changed since it was gathered
                spool_moves.set_aside(segment, folder.parent.parent, refusal)

    try:
        resources.lake.append_rows(
            model, "requests", frames(), transaction=f"requests:{folder.name}"
        )
        counts: dict[str, int] = {}
        for segment in segments:
            with _unless_set_aside(folder):
                counts[segment.stem.partition(".")[0]] = pq.read_metadata(segment).num_rows
    except FileNotFoundError:
        log.info("%s was collected by another run.", folder.name)
        return 0
    for digest, rows in counts.items():
        resources.ledger.record_segment(model, digest, rows, now)
    spool_moves.forget_folder(folder)
    log.info("Collected %d served rows from %d segments.", sum(counts.values()), len(counts))
    return sum(counts.values())


@contextlib.contextmanager
def _unless_set_aside(folder: Path) -> Iterator[None]:
    """Pass over a segment that is gone from a folder that is not: a twin has set it aside."""
    try:
        yield
    except FileNotFoundError:
        if not folder.exists():
            raise


def read_segment(content: bytes, spec: ModelSpec) -> pl.DataFrame:
    """A segment's rows, with the columns and types of the present contract.

    Columns the segment lacks are null, those the contract lacks are left out: services of
    different versions write to one spool.

    Raises:
        FileRefused: it is no Parquet file, too large, no request log, or of other types.
    """
    try:
        metadata = pq.ParquetFile(io.BytesIO(content)).metadata
        if metadata.num_rows > MAX_SEGMENT_ROWS:
            raise FileRefused("rows", f"It claims {metadata.num_rows:,} rows.")
        found = pl.read_parquet(io.BytesIO(content))
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise FileRefused("parquet", f"It is no readable Parquet file: {error}") from error
    absent = [name for name in _ALWAYS if name not in found.columns]
    if absent:
        raise FileRefused("columns", f"It lacks {', '.join(absent)}: no request log.")
    wanted = request_schema(spec, found.columns)
    found = found.with_columns(cs.float().fill_nan(None))
    floats = set(found.select(cs.float()).columns)
    for name in [n for n, kind in wanted.items() if n in floats and kind == pl.Int64()]:
        if not (found[name].floor() == found[name]).all():
            raise FileRefused("types", f"'{name}' has fractions, and is whole by the contract.")
    try:
        return found.select(
            (pl.col(name) if name in found.columns else pl.lit(None)).cast(kind).alias(name)
            for name, kind in wanted.items()
        )
    except pl.exceptions.PolarsError as error:
        raise FileRefused("types", f"Its columns do not fit the contract: {error}") from error


def request_schema(spec: ModelSpec, found: list[str]) -> dict[str, pl.DataType]:
    """Columns and types of the lake's `requests`: features, key, predictions, who and when.

    A raw column with the name of one of the service's own is not in the log.
    """
    columns = dict(spec.feature_columns)
    for name in (spec.data.time, spec.data.key):
        if name in spec.data.columns:
            columns[str(name)] = spec.data.columns[str(name)]
    schema = {name: _physical(column) for name, column in columns.items()}
    if spec.data.time is not None:
        schema[spec.data.time] = _TIME
    if spec.data.key is not None and spec.data.key != spec.data.time:
        schema[spec.data.key] = pl.String()
    target = spec.data.columns[spec.data.target]
    schema["prediction"] = pl.Float64() if spec.task == "regression" else _physical(target)
    probabilities = [name for name in found if name.startswith("probability_")]
    return {**schema, **dict.fromkeys(probabilities, pl.Float64()), **_ALWAYS}


def _physical(column: Column) -> pl.DataType:
    if column.type == "category" and column.values and isinstance(column.values[0], int):
        return pl.Int64()
    return _TYPES[column.type]
