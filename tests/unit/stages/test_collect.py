"""Served requests reach the lake exactly once, and garbage is neither taken nor lost."""

import datetime as dt
import importlib.util
import io
import logging
import os
import sys
import threading
from pathlib import Path

import polars as pl
import pytest

from include.evergreen import settings
from include.evergreen.errors import FileRefused
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.bundle import contract_of
from include.evergreen.stages.monitoring import collect, spool_moves
from include.evergreen.stages.monitoring.collect import collect_requests, read_segment
from include.evergreen.stages.monitoring.request_log import ENVIRONMENT, served_in
from include.evergreen.stages.resources import Resources

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
SPEC = ModelSpec.model_validate(
    {
        "model": "rides",
        "task": "regression",
        "data": {
            "landing": "landing/rides",
            "time": "at",
            "key": "ride",
            "target": "count",
            "columns": {
                "temperature": {"type": "float", "max_null_share": 0.1},
                "humidity": {"type": "integer"},
                "weather": {"type": "category", "values": ["clear", "rain"]},
                "season": {"type": "category", "values": [1, 2, 3, 4]},
                "holiday": {"type": "boolean"},
                "count": {"type": "integer"},
            },
        },
        "training": {"metric": "rmse"},
    }
)


@pytest.fixture
def resources(installation: settings.Settings) -> Resources:
    return Resources(SPEC, installation)


@pytest.fixture
def spool(resources: Resources) -> Path:
    folder = resources.settings.spool_dir / "rides" / "staging-v1"
    folder.mkdir(parents=True)
    return folder


def rows(n: int = 3, first: int = 0, **changes) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "request_id": [f"r{first + i}" for i in range(n)],
            "time": [NOW + dt.timedelta(seconds=first + i) for i in range(n)],
            "version": [1] * n,
            "temperature": [1.5] * n,
            "humidity": [40] * n,
            "weather": ["clear"] * n,
            "season": [2] * n,
            "holiday": [False] * n,
            "prediction": [7.25] * n,
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    return frame.with_columns(**{name: pl.Series(value) for name, value in changes.items()})


def put(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    frame.write_parquet(folder / name)
    return folder / name


def collected(resources: Resources) -> list[str]:
    table = resources.lake.scan("rides", "requests").collect()
    return sorted(table["request_id"].to_list())


def left(resources: Resources) -> list[str]:
    spool = resources.settings.spool_dir / "rides"
    return sorted(str(p.relative_to(spool)) for p in spool.rglob("*") if p.is_file())


def test_closed_segments_move_into_the_lake_and_are_gone(resources: Resources, spool: Path):
    put(spool, "a.parquet", rows(3))
    put(spool, "b.parquet", rows(2, first=3))
    assert collect_requests(resources, now=NOW) == 5
    assert collected(resources) == ["r0", "r1", "r2", "r3", "r4"]
    assert left(resources) == []
    assert resources.lake.version("rides", "requests") == 1, "one commit for all segments"
    assert collect_requests(resources, now=NOW) == 0


def test_without_a_spool_nothing_is_collected(resources: Resources):
    assert collect_requests(resources, now=NOW) == 0


def test_a_segment_that_is_still_written_is_left_alone(resources: Resources, spool: Path):
    put(spool, ".a.parquet.tmp", rows())
    put(spool, ".b.parquet", rows())
    assert collect_requests(resources, now=NOW) == 0
    assert len(left(resources)) == 2


def test_the_same_segment_put_back_is_not_taken_twice(resources: Resources, spool: Path):
    content = put(spool, "a.parquet", rows()).read_bytes()
    collect_requests(resources, now=NOW)
    (spool / "restored.parquet").write_bytes(content)
    (spool / "again.parquet").write_bytes(content)
    assert collect_requests(resources, now=NOW) == 0
    assert collected(resources) == ["r0", "r1", "r2"]
    assert left(resources) == []


def test_one_segment_under_two_names_counts_once(resources: Resources, spool: Path):
    content = put(spool, "a.parquet", rows()).read_bytes()
    (spool / "b.parquet").write_bytes(content)
    assert collect_requests(resources, now=NOW) == 3


def test_a_folder_that_a_crash_left_empty_is_removed(resources: Resources, spool: Path):
    collecting = resources.settings.spool_dir / resources.model / ".collecting"
    (collecting / "filling-dead").mkdir(parents=True)
    put(spool, "a.parquet", rows(3))
    assert collect_requests(resources, now=NOW) == 3
    assert list(collecting.iterdir()) == []


def test_what_a_crash_left_of_a_finished_folder_is_removed(resources: Resources, spool: Path):
    done = resources.settings.spool_dir / resources.model / ".collecting" / "done-dead"
    done.mkdir(parents=True)
    put(done, "a.parquet", rows(3))
    put(spool, "b.parquet", rows(1))
    assert collect_requests(resources, now=NOW) == 1
    assert list(done.parent.iterdir()) == []


@pytest.mark.parametrize(
    "where", ["_seal", "append_rows", "record_segment", "after the commit", "rmtree"]
)
def test_a_crash_anywhere_loses_and_repeats_nothing(
    resources: Resources, spool: Path, monkeypatch: pytest.MonkeyPatch, where: str
):
    put(spool, "a.parquet", rows(3))
    put(spool, "b.parquet", rows(2, first=3))

    def crash(*arguments, **named):
        raise KeyboardInterrupt(where)

    append = type(resources.lake).append_rows

    def append_then_crash(*arguments, **named):
        append(*arguments, **named)
        crash()

    with monkeypatch.context() as broken:
        if where == "_seal":
            broken.setattr(collect, "_gather", lambda *a: (gather(*a), crash()))
        elif where == "append_rows":
            broken.setattr(type(resources.lake), "append_rows", crash)
        elif where == "after the commit":
            broken.setattr(type(resources.lake), "append_rows", append_then_crash)
        elif where == "record_segment":
            broken.setattr(type(resources.ledger), "record_segment", crash)
        else:
            broken.setattr(spool_moves.shutil, "rmtree", crash)
        with pytest.raises(KeyboardInterrupt):
            collect_requests(resources, now=NOW)
    put(spool, "c.parquet", rows(1, first=5))
    collect_requests(resources, now=NOW)
    assert collected(resources) == ["r0", "r1", "r2", "r3", "r4", "r5"]
    assert left(resources) == []


gather = collect._gather


def environments(resources: Resources) -> dict[str, str | None]:
    table = resources.lake.scan("rides", "requests").collect()
    return dict(table.select("request_id", ENVIRONMENT).iter_rows())


def test_a_row_carries_the_environment_of_the_spool_it_lay_in(resources: Resources, spool: Path):
    home = spool.parent
    earlier = collect.read_segment(put(spool, "a", rows(1)).read_bytes(), SPEC)
    resources.lake.append_rows("rides", "requests", [earlier], transaction="before")
    for n, folder in enumerate(("v1-production", "v1-staging", "v1"), 1):
        (home / folder).mkdir()
        put(home / folder, "s.parquet", rows(1, first=n))
    (home / "v1-staging" / "v1-production").mkdir()
    put(home / "v1-staging" / "v1-production", "s.production.parquet", rows(1, first=4))
    assert collect_requests(resources, now=NOW) == 4
    assert environments(resources) == {
        "r0": None, "r1": "production", "r2": "staging", "r3": None, "r4": "staging",
    }  # fmt: skip
    served = {
        name: sorted(served_in(resources, name).collect()["request_id"])
        for name in ("production", "staging")
    }
    assert served == {"production": ["r1"], "staging": ["r0", "r2", "r3", "r4"]}
    assert served_in(resources, "production", 0).collect().is_empty(), "a table without the column"


@pytest.mark.parametrize("where", ["unsealed", "sealed"])
def test_what_a_crash_left_keeps_its_environment_and_an_older_folder_has_none(
    resources: Resources, spool: Path, monkeypatch: pytest.MonkeyPatch, where: str
):
    production = spool.parent / "v1-production"
    production.mkdir()
    put(production, "a.parquet", rows(1))

    def crash(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        target = spool_moves if where == "unsealed" else type(resources.lake)
        broken.setattr(target, "seal" if where == "unsealed" else "append_rows", crash)
        with pytest.raises(KeyboardInterrupt):
            collect_requests(resources, now=NOW)
    (folder,) = (spool.parent / ".collecting").iterdir()
    put(folder, f"{'0' * 64}.parquet", rows(1, first=1))  # as an earlier release named it
    assert collect_requests(resources, now=NOW) == 2
    assert environments(resources) == {"r0": "production", "r1": None}
    (production / "again.parquet").write_bytes(_bytes(rows(1)))
    assert collect_requests(resources, now=NOW) == 0, "it is known by its digest alone"


def _bytes(frame: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def test_twins_collect_each_segment_once(installation: settings.Settings, spool: Path):
    for i in range(30):
        put(spool, f"{i:02}.parquet", rows(2, first=2 * i))
    counts: list[int] = []

    def run():
        counts.append(collect_requests(Resources(SPEC, installation), now=NOW))

    twins = [threading.Thread(target=run) for _ in range(4)]
    for twin in twins:
        twin.start()
    for twin in twins:
        twin.join()
    assert len(counts) == 4, "no twin may fail"
    resources = Resources(SPEC, installation)
    collect_requests(resources, now=NOW)
    assert collected(resources) == sorted(f"r{i}" for i in range(60))


def _finish(segment: Path):
    spool_moves.forget_folder(segment.parent)


def _set_aside(segment: Path):
    spool_moves.set_aside(segment, segment.parents[2], FileRefused("types", "Of no contract."))


@pytest.mark.parametrize("moment", ["read_bytes", "read_metadata"])
@pytest.mark.parametrize(("twin_does", "counted"), [(_finish, 0), (_set_aside, 1)])
def test_a_twin_takes_a_segment_away_just_before_it_is_opened(
    resources: Resources,
    spool: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    twin_does,
    counted: int,
):
    put(spool, "a.parquet", rows(1))
    put(spool, "b.parquet", rows(1, first=1))
    place = Path if moment == "read_bytes" else collect.pq
    opens, waiting = getattr(place, moment), [twin_does]

    def after_the_twin(path: Path) -> object:
        if waiting:
            waiting.pop()(path)
        return opens(path)

    monkeypatch.setattr(place, moment, after_the_twin)
    assert collect_requests(resources, now=NOW) == counted
    assert not waiting


def _link(path: Path):
    target = path.with_name("elsewhere.bin")
    rows().write_parquet(target)
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda path: path.write_bytes(b""), "parquet"),
        (lambda path: path.write_bytes(b"PAR1 garbage PAR1"), "parquet"),
        (lambda path: rows().drop("request_id").write_parquet(path), "columns"),
        (lambda path: rows(humidity=["wet"] * 3).write_parquet(path), "types"),
        (lambda path: rows(humidity=[0.5] * 3).write_parquet(path), "types"),
        (_link, "kind"),
        (os.mkfifo, "kind"),
    ],
    ids=["empty", "garbage", "no log", "text for a number", "fraction for a whole", "link", "fifo"],
)
def test_garbage_is_set_aside_and_the_rest_goes_on(
    resources: Resources, spool: Path, caplog: pytest.LogCaptureFixture, make, rule: str
):
    put(spool, "good.parquet", rows())
    make(spool / "bad.parquet")
    with caplog.at_level(logging.WARNING):
        assert collect_requests(resources, now=NOW) == 3
    assert (spool / "bad.parquet.refused").is_symlink() or (spool / "bad.parquet.refused").exists()
    assert f"bad.parquet is refused ({rule})" in caplog.text
    assert collect_requests(resources, now=NOW) == 0


def test_a_segment_that_claims_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch, spool):
    monkeypatch.setattr(collect, "MAX_SEGMENT_ROWS", 2)
    with pytest.raises(FileRefused, match="claims 3 rows"):
        read_segment(put(spool, "a", rows(3)).read_bytes(), SPEC)


def test_versions_with_other_columns_share_a_spool(resources: Resources, spool: Path):
    put(spool, "old.parquet", rows(1).drop("humidity").with_columns(gone=pl.lit(1)))
    put(spool, "new.parquet", rows(1, first=1))
    assert collect_requests(resources, now=NOW) == 2
    table = resources.lake.scan("rides", "requests").sort("request_id").collect()
    assert table["humidity"].to_list() == [None, 40]
    assert "gone" not in table.columns


def test_a_contract_changed_while_segments_wait_loses_nothing(
    resources: Resources, spool: Path, monkeypatch: pytest.MonkeyPatch
):
    put(spool, "a.parquet", rows(1))
    put(spool, "b.parquet", rows(1, first=1, humidity=[0.5]))
    read = read_segment
    with monkeypatch.context() as before:
        before.setattr(collect, "read_segment", lambda content, spec: None)
        before.setattr(collect, "_move_to_lake", lambda *a: 0)
        collect_requests(resources, now=NOW)
    assert collect.read_segment is read
    assert collect_requests(resources, now=NOW) == 1
    assert collected(resources) == ["r0"]
    assert len([name for name in left(resources) if name.endswith(".refused")]) == 1


def test_what_the_service_writes_is_what_is_read(
    project_root: Path, monkeypatch: pytest.MonkeyPatch
):
    place = project_root / "docker" / "serving" / "segments.py"
    found = importlib.util.spec_from_file_location("evergreen_test_segments", place)
    segments = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, found.name, segments)
    found.loader.exec_module(segments)
    contract = contract_of(SPEC)
    writer = segments.SegmentWriter({"optional": {}, **contract}, version=4, classes=None)
    entry = segments.Entry(
        request_id=b"r0",
        time_us=1_000_000,
        columns={
            "temperature": [1.5, float("nan")],
            "humidity": [40.0, 41.0],
            "weather": ["clear", "rain"],
            "season": [1, 2],
            "holiday": [0.0, 1.0],
        },
        predictions={"prediction": [1.0, 2.0]},
        n_rows=2,
    )
    frame = read_segment(writer.content([entry]), SPEC)
    assert frame.select("request_id", "version", "temperature", "holiday", "season").rows() == [
        ("r0", 4, 1.5, False, 1),
        ("r0", 4, None, True, 2),
    ]
    assert frame["time"].to_list() == [dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)] * 2
    assert frame["prediction"].to_list() == [1.0, 2.0]
