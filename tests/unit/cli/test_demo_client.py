"""The demo scores the version that it names, however late clients are sent to it."""

from collections.abc import Iterator

import pytest

from include.evergreen.cli.demo import client as demo_client
from include.evergreen.cli.demo.client import Client
from include.evergreen.errors import Unavailable


def answering(monkeypatch: pytest.MonkeyPatch, versions: Iterator[str]) -> Client:
    """A client of an endpoint whose `/version` says these, one after the other."""
    monkeypatch.setattr(demo_client, "_POLL_S", 0.0)
    client = Client("http://127.0.0.1:9")
    monkeypatch.setattr(client, "_call", lambda *_: {"version": next(versions)})
    return client


def test_the_version_before_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = iter(["1", "1", "2", "3"])
    answering(monkeypatch, versions).wait_for_version(2)
    assert next(versions) == "3", "it asked until the second answered, and no further"


def test_a_switch_that_never_comes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_client, "_SWITCH_WAIT_S", 0.0)
    with pytest.raises(Unavailable, match=r"v1 answers at .* that v2 does"):
        answering(monkeypatch, iter(["1"] * 5)).wait_for_version(2)
