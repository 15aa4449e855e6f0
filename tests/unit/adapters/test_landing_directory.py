"""A directory is read as it is: regular files only, never through a link, never changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.evergreen.adapters.landing import Landing, open_landing
from include.evergreen.adapters.landing import directory as module
from include.evergreen.errors import FileChanged, FileUnreadable
from include.evergreen.settings import load

NOBODY = 65534


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    (tmp_path / "zone").mkdir()
    return tmp_path / "zone"


@pytest.fixture
def landing(zone: Path, tmp_path: Path) -> Landing:
    return open_landing(str(zone), load({"EVERGREEN_HOME": str(tmp_path)}))


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Permissions mean nothing to root: act as nobody where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def let_others_pass(folder: Path):
    for above in folder.parents:
        if above.stat().st_uid == os.geteuid() and len(above.parts) > 2:
            above.chmod(above.stat().st_mode | 0o111)


def test_files_are_listed_oldest_first_folders_included(zone: Path, landing: Landing):
    (zone / "month=2").mkdir()
    for name, when in (("b.csv", 300), ("month=2/a.csv", 100), ("c.csv", 100)):
        (zone / name).write_text("x\n1\n")
        os.utime(zone / name, (when, when))
    assert [file.uri.rpartition("/zone/")[2] for file in landing.list()] == [
        "c.csv",
        "month=2/a.csv",
        "b.csv",
    ]
    first = landing.list()[0]
    assert first.size_bytes == 4
    assert first.modified_at == "1970-01-01T00:01:40+00:00"
    assert first.changed_at > "2026"


def test_hidden_files_markers_and_partial_uploads_are_ignored(zone: Path, landing: Landing):
    (zone / ".staging").mkdir()
    for name in (".hidden.csv", "_SUCCESS", "a.csv.part", "b.TMP", "c.csv~", ".staging/d.csv"):
        (zone / name).write_text("x")
    (zone / "e.csv").write_text("x")
    assert [file.uri.rpartition("/")[2] for file in landing.list()] == ["e.csv"]


def test_a_zone_that_is_not_there_yet_is_empty(zone: Path, landing: Landing):
    zone.rmdir()
    assert landing.list() == []


def test_links_fifos_and_sockets_are_listed_as_refused(
    zone: Path, landing: Landing, tmp_path: Path
):
    (tmp_path / "secret.csv").write_text("x")
    (zone / "link.csv").symlink_to(tmp_path / "secret.csv")
    (zone / "folder.csv").symlink_to(tmp_path)
    os.mkfifo(zone / "fifo.csv")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(zone / "socket.csv"))
        refused = {file.uri.rpartition("/")[2]: file.refused for file in landing.list()}
    assert refused == {
        "link.csv": "symlink",
        "folder.csv": "symlink",
        "fifo.csv": "fifo",
        "socket.csv": "socket",
    }


def test_what_became_a_link_or_a_fifo_after_listing_is_not_opened(
    zone: Path, landing: Landing, tmp_path: Path
):
    (tmp_path / "secret.csv").write_text("secret")
    for name in ("a.csv", "b.csv"):
        (zone / name).write_text("x")
    first, second = landing.list()
    (zone / "a.csv").unlink()
    (zone / "a.csv").symlink_to(tmp_path / "secret.csv")
    (zone / "b.csv").unlink()
    os.mkfifo(zone / "b.csv")
    for file in (first, second):
        with pytest.raises(FileChanged):
            landing.download(file, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == b""


@pytest.mark.parametrize(
    "name",
    [
        "a\nb;rm -rf.csv",
        "%2e%2e%2fetc.csv",
        "\u0440\u0430sswd.csv",
        "{{ ds }} $(date).csv",
        "'\".csv",
    ],
)
def test_a_strange_name_is_data_and_its_file_is_read(
    zone: Path, landing: Landing, tmp_path: Path, name: str
):
    (zone / name).write_text("x\n1\n")
    (file,) = landing.list()
    assert "\n" not in file.uri
    assert file.uri.isascii()
    assert landing.download(file, tmp_path / "copy") == hashlib.sha256(b"x\n1\n").hexdigest()


def test_a_name_that_is_no_text_is_read_too(zone: Path, landing: Landing, tmp_path: Path):
    (Path(os.fsdecode(os.fsencode(zone) + b"/\xff\xfe.csv"))).write_text("x")
    (file,) = landing.list()
    assert file.uri.endswith("/%FF%FE.csv")
    assert landing.download(file, tmp_path / "copy") == hashlib.sha256(b"x").hexdigest()


def test_an_address_outside_the_zone_is_not_opened(zone: Path, landing: Landing, tmp_path: Path):
    (zone / "a.csv").write_text("x")
    (tmp_path / "b.csv").hardlink_to(zone / "a.csv")
    (file,) = landing.list()
    import dataclasses

    for uri in (f"file://{tmp_path}/b.csv", f"file://{zone}/%2e%2e/b.csv"):
        outside = dataclasses.replace(file, uri=uri)
        with pytest.raises(FileChanged, match="does not lie in the landing zone"):
            landing.download(outside, tmp_path / "copy")


def test_a_file_swapped_since_it_was_listed_is_left_for_the_next_look(
    zone: Path, landing: Landing, tmp_path: Path
):
    (zone / "a.csv").write_text("x")
    (file,) = landing.list()
    (zone / "new").write_text("yy")
    (zone / "new").replace(zone / "a.csv")
    with pytest.raises(FileChanged, match=r"was 1 bytes when it was listed.*\(2 bytes now\)"):
        landing.download(file, tmp_path / "copy")


def test_a_file_that_grows_while_it_is_copied_is_left_for_the_next_look(
    zone: Path, landing: Landing
):
    (zone / "a.csv").write_text("x")
    (file,) = landing.list()
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(landing.open_binary(file))
        assert stream.read(1) == b"x"
        (zone / "a.csv").write_text("xy")
        with pytest.raises(FileChanged):
            stack.close()


def test_no_permission_is_an_error_that_says_what_to_do(
    zone: Path, landing: Landing, tmp_path: Path
):
    (zone / "a.csv").write_text("x")
    (file,) = landing.list()
    (zone / "a.csv").chmod(0)
    tmp_path.chmod(0o777)
    let_others_pass(zone)
    said = pytest.raises(FileUnreadable, match="Give the user that runs Airflow permission")
    with without_privileges(), said:
        landing.download(file, tmp_path / "copy")


def test_a_folder_without_permission_is_refused_and_the_rest_goes_on(
    zone: Path, landing: Landing, tmp_path: Path
):
    (zone / "locked").mkdir(mode=0o700)
    (zone / "a.csv").write_text("x")
    let_others_pass(zone)
    if os.geteuid() != 0:
        (zone / "locked").chmod(0)
    with without_privileges():
        refused = {file.uri.rpartition("/")[2]: file.refused for file in landing.list()}
    (zone / "locked").chmod(0o700)
    assert refused == {"locked": "unreadable_directory", "a.csv": ""}


def test_folders_nested_too_deep_are_refused(
    zone: Path, landing: Landing, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MAX_DEPTH", 1)
    (zone / "a" / "b").mkdir(parents=True)
    (zone / "a" / "b" / "c.csv").write_text("x")
    assert [(f.uri[-2:], f.refused) for f in landing.list()] == [("/b", "too_deep")]
