"""What HAProxy is told follows from who answers where, and from what it does already."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from include.evergreen.adapters.runtime import gateway_socket
from include.evergreen.adapters.runtime.gateway_commands import (
    commands,
    read_servers,
    read_tls,
    read_words,
)
from include.evergreen.adapters.runtime.gateway_config import (
    PLACES,
    base_config,
    place_config,
    words_file,
)
from include.evergreen.adapters.runtime.gateway_place import (
    ALL,
    SLOTS,
    Place,
    Running,
    Seen,
    Server,
    in_parts,
)
from include.evergreen.adapters.runtime.gateway_places import NoPlaceLeft, PlaceFiles
from include.evergreen.errors import ArtifactRefused, EvergreenError, Unavailable

EMPTY = Place(3, "rides", "staging")
UNUSED = Seen("localhost", "127.0.0.1", 0, enabled=False, passed=False, up=False)
STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_check_result srv_fqdn
5 place03-live 1 s1 172.18.0.2 2 0 201 3 s-a
5 place03-live 2 s2 172.18.0.3 0 64 0 2 s-b
5 place03-live 3 s3 127.0.0.1 0 5 0 0 localhost
8 place04-live 1 s1 172.18.0.9 2 0 100 3 s-z

"""  # noqa: E501


WORDS = {"patience": "3000"}


def seen(**servers: Seen) -> Running:
    return Running(dict.fromkeys(SLOTS, UNUSED) | servers, WORDS)


def only(place: Place, host: str, spare: str = "") -> Place:
    return place.sent_to({host: ALL}, spare)


def running(host: str, weight: int) -> Seen:
    return Seen(host, "172.18.0.2", weight, enabled=True, passed=True, up=True)


def test_a_place_that_nobody_has_answers_nobody() -> None:
    text = place_config(3, None)
    assert "bind :8003" in text
    servers = [line for line in text.splitlines() if line.startswith("    server ")]
    assert len(servers) == len(SLOTS)
    assert all(line.endswith("weight 0 disabled") for line in servers)


def test_a_start_finds_the_servers_as_they_were() -> None:
    place = only(EMPTY.beside("s-a"), "s-a").beside("s-b")
    text = place_config(3, place)
    assert "# rides in staging" in text
    assert "server s1 s-a:8080 weight 201\n" in text
    assert "server s2 s-b:8080 weight 0\n" in text


def test_the_socket_is_the_only_door_to_the_process_itself() -> None:
    text = base_config("172.18.0.0/16") + "".join(place_config(n + 1, None) for n in range(PLACES))
    assert "stats socket /run/evergreen-gateway/admin.sock mode 600" in text
    assert text.count("stats ") == 1
    assert "option httpchk GET /ping" in text


def test_a_switch_is_two_steps_and_the_second_is_one_command_line() -> None:
    before = only(EMPTY.beside("s-a"), "s-a")
    now = seen(s1=running("s-a", 201))
    beside = before.beside("s-b")
    assert commands(beside, now) == [
        "set server place03-live/s2 state maint",
        "set server place03-live/s2 fqdn s-b",
        "set server place03-live/s2 state ready",
    ]
    now = seen(s1=running("s-a", 201), s2=running("s-b", 0))
    assert commands(beside, now) == []
    assert commands(only(beside, "s-b"), now) == [
        "set server place03-live/s2 weight 201",
        "set server place03-live/s1 weight 0",
    ], "nobody has a weight in no instant"
    gone = only(beside, "s-b").without("s-a")
    assert commands(gone, now)[-1] == "set server place03-live/s1 state maint"


def test_after_a_death_between_file_and_order_a_place_is_as_the_process_has_it() -> None:
    filed = only(EMPTY.beside("s-a", "s-b"), "s-b", spare="s-a")
    now = seen(s1=running("s-a", 201), s2=running("s-b", 0))
    actual = filed.as_seen(now.servers)
    assert {name: server.share for name, server in actual.slots.items()} == {"s1": ALL, "s2": 0}
    assert commands(actual, now) == []
    unheard = seen(s1=running("s-a", 201))
    assert filed.as_seen(unheard.servers).slots["s2"] == filed.slots["s2"], "it knows nothing of it"


@pytest.mark.parametrize(
    ("shares", "parts"),
    [
        ({"a": 0.1, "b": 0.9}, {"a": 20, "b": 180}),
        ({"a": 1.0}, {"a": 200}),
        ({"a": 0.001, "b": 0.999}, {"a": 1, "b": 199}),  # never nothing
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, {"a": 67, "b": 67, "c": 66}),
        ({"a": 0.0025, "b": 0.0025, "c": 0.995}, {"a": 1, "b": 1, "c": 198}),
        ({"a": 0.055, "b": 0.945}, {"a": 11, "b": 189}),
    ],
)
def test_shares_are_kept_in_half_percents_that_add_up(
    shares: dict[str, float], parts: dict[str, int]
) -> None:
    assert in_parts(shares) == parts
    assert sum(parts.values()) == ALL


def test_a_spare_is_asked_by_nobody_and_counts_among_those_who_can_answer() -> None:
    place = only(EMPTY.beside("s-a", "s-b"), "s-b", spare="s-a")
    assert place.slots == {"s1": Server("s-a", spare=True), "s2": Server("s-b", ALL)}
    assert [place.slots[name].weight for name in ("s1", "s2")] == [1, 201]
    assert only(place, "s-b").slots["s1"].weight == 0, "publish without a spare ends it"


def test_who_goes_leaves_its_requests_to_the_others_and_to_a_spare_where_there_are_none() -> None:
    place = EMPTY.beside("s-a", "s-b", "s-c")
    divided = place.sent_to({"s-a": 20, "s-b": 100, "s-c": 80}).without("s-a")
    assert {s.host: s.share for s in divided.slots.values()} == {"s-b": 111, "s-c": 89}
    spared = only(place, "s-b", spare="s-a").without("s-b")
    assert spared.slots == {"s1": Server("s-a", ALL), "s3": Server("s-c")}
    kept = place.sent_to({"s-b": 100, "s-c": 100}, "s-a").without("s-c")
    assert kept.slots == {"s1": Server("s-a", spare=True), "s2": Server("s-b", ALL)}
    assert only(place, "s-b").without("s-b").slots == {"s1": Server("s-a"), "s3": Server("s-c")}


def test_a_spare_keeps_its_slot_before_one_that_was_left() -> None:
    place = only(EMPTY.beside("s-a", "s-b", "s-c"), "s-c", spare="s-a")
    assert place.beside("s-d").slots["s2"] == Server("s-d")
    assert place.beside("s-d", "s-b").slots["s1"] == Server("s-d"), "s-b is to be kept"


def test_words_come_first_and_only_those_that_differ() -> None:
    place = dataclasses.replace(only(EMPTY.beside("s-a"), "s-a"), sticky=True, token_digest="ab")
    where = "/etc/evergreen-gateway/place03.map"
    now = Running(seen(s1=running("s-a", 0)).servers, {"patience": "9", "token": "CD"})
    assert commands(place, now) == [
        f"set map {where} patience 3000",
        f"add map {where} sticky on",
        f"set map {where} token AB",
        "set server place03-live/s1 weight 201",
    ]
    opened = dataclasses.replace(place, sticky=False, token_digest="")
    now = Running(seen(s1=running("s-a", 201)).servers, place.words)
    assert commands(opened, now) == [f"del map {where} sticky", f"del map {where} token"]
    assert words_file(place) == "patience 3000\nsticky on\ntoken AB\n"
    assert words_file(None) == ""


def test_a_server_that_goes_away_takes_its_share_along() -> None:
    now = seen(s1=running("s-a", 201), s2=running("s-b", 1))
    assert commands(only(EMPTY.beside("s-a"), "s-a"), now) == [
        "set server place03-live/s2 weight 0",
        "set server place03-live/s2 state maint",
    ], "what is away has no part of the numbers"


def test_words_and_certificates_of_the_process_are_read() -> None:
    assert read_words("0x55d patience 3000\n0x55e sticky on\n\n") == {
        "patience": "3000",
        "sticky": "on",
    }
    assert read_words("Unknown map identifier. Please use #<id> or <file>.\n") == {}
    said = "# filename\n/etc/evergreen-gateway/place03.pem\n\n"
    assert read_tls(said, 3)
    assert not read_tls(said, 4)


def test_tls_is_on_the_places_own_port_and_the_token_is_in_no_configuration() -> None:
    place = dataclasses.replace(EMPTY, tls=True, token_digest="abcdef")
    text = place_config(3, place)
    assert "bind :8003 ssl crt /etc/evergreen-gateway/place03.pem alpn http/1.1\n" in text
    assert "ABCDEF" not in text.upper()
    assert "abcdef" not in repr(place)
    assert " ssl " not in place_config(3, EMPTY)


def test_a_refused_command_is_quoted_without_the_digest_of_a_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gateway_socket, "ask", lambda *_: "unable to parse\n")
    with pytest.raises(Unavailable) as refused:
        gateway_socket.order(tmp_path, ["set map p token ABCDEF", "set server s weight 1"])
    assert str(refused.value) == (
        "The gateway refused to set map p token ...; set server s weight 1: unable to parse"
    )


def test_who_is_on_the_network_of_the_services_is_no_client() -> None:
    assert "setenv SERVICES 172.18.0.0/16\n" in base_config("172.18.0.0/16")
    for number in range(1, PLACES + 1):
        assert 'tcp-request connection reject if { src "${SERVICES}" }' in place_config(
            number, None
        )


def test_a_client_cannot_pass_for_a_prober_and_who_proves_a_service_is_one() -> None:
    text = place_config(3, EMPTY)
    (door,) = [part for part in text.split("\n\n") if part.startswith("# rides in staging")]
    assert "    http-request del-header X-Evergreen-Probe\n" in door
    assert text.count("X-Evergreen-Probe") == 1, "provers come to the backend, which keeps it"
    assert "X-Evergreen-Probe" not in base_config("172.18.0.0/16")
    assert "X-Request-Id" not in text, "it is the client's own, and comes back"


def test_a_slot_that_is_used_is_given_up_only_when_it_has_no_clients() -> None:
    place = only(EMPTY.beside("s-a"), "s-a").beside("s-b").beside("s-c")
    assert set(place.slots) == set(SLOTS)
    after = place.beside("s-d")
    assert after.slot_of("s-a") == "s1", "it has the clients"
    assert after.slot_of("s-d") == "s2"
    assert after.beside("s-d") == after, "again is a no-op"


def test_what_the_process_says_is_read_by_slot_of_one_place() -> None:
    found = read_servers(STATE, 3)
    assert found == {
        "s1": Seen("s-a", "172.18.0.2", 201, enabled=True, passed=True, up=True),
        "s2": Seen("s-b", "172.18.0.3", 0, enabled=True, passed=False, up=False),
        "s3": Seen("localhost", "127.0.0.1", 0, enabled=False, passed=False, up=False),
    }
    assert read_servers(STATE, 9) == {}
    assert read_servers("", 3) == {}


def test_a_place_comes_back_from_its_file() -> None:
    place = only(EMPTY.beside("s-a", "s-b"), "s-a", spare="s-b")
    place = dataclasses.replace(place, sticky=True, patience_s=0.5, token_digest="ab", tls=True)
    assert Place.from_json(json.loads(json.dumps(place.as_json()))) == place


def test_a_file_from_before_there_were_shares_is_read() -> None:
    slots = {
        "s1": {"host": "s-a", "weight": 100},
        "s2": {"host": "s-b", "weight": 0},
        "candidate": {"host": "s-b", "weight": 100},
    }
    found = Place.from_json(
        {"number": 3, "model": "rides", "environment": "staging", "slots": slots}
    )
    assert found == only(EMPTY.beside("s-a", "s-b"), "s-a")


def test_a_place_that_was_given_away_is_not_written_by_who_had_it(files: PlaceFiles) -> None:
    place = files.take("rides", "staging", lambda _: True)
    (files._places / "01.json").write_text(json.dumps(Place(1, "other", "staging").as_json()))
    with pytest.raises(Unavailable, match="Place 1 of the gateway is rides's no longer"):
        files.save(place.beside("s-a"))
    assert files.place_of("other", "staging") is not None


def test_a_place_that_cannot_be_read_is_named(files: PlaceFiles) -> None:
    (files._places / "01.json").write_text("{")
    with pytest.raises(EvergreenError, match=r"01.json says which model .* cannot be read"):
        files.taken()


@pytest.fixture
def files(tmp_path: Path) -> PlaceFiles:
    found = PlaceFiles(tmp_path / "gateway")
    found.prepare()
    return found


def test_a_model_has_one_place_and_each_environment_its_own(files: PlaceFiles) -> None:
    staging = files.take("rides", "staging", lambda _: True)
    assert files.take("rides", "staging", lambda _: True) == staging
    assert files.take("rides", "production", lambda _: True).number != staging.number
    assert files.place_of("other", "staging") is None


def test_when_all_places_are_taken_only_one_without_services_is_given_away(
    files: PlaceFiles,
) -> None:
    for number in range(PLACES):
        files.take(f"model{number}", "staging", lambda _: True)
    with pytest.raises(NoPlaceLeft, match="All 16 addresses"):
        files.take("late", "staging", lambda _: True)
    late = files.take("late", "staging", lambda place: place.model != "model4")
    assert late.number == 5
    assert files.place_of("model4", "staging") is None


def test_what_haproxy_starts_with_is_what_was_saved(files: PlaceFiles) -> None:
    place = only(files.take("rides", "staging", lambda _: True).beside("s-a"), "s-a")
    files.save(place)
    files.write_config("172.18.0.0/16")
    written = sorted(path.name for path in files.config.iterdir())
    each = [f"place{n:02d}.{end}" for n in range(1, PLACES + 1) for end in ("cfg", "map")]
    assert written == ["00-all.cfg", *each, "provers.lst"]
    assert (files.config / "place01.cfg").read_text() == place_config(1, place)
    assert files.run.stat().st_mode & 0o777 == 0o700
    hidden = [path for path in files.config.iterdir() if path.suffix != ".cfg"]
    assert {path.stat().st_mode & 0o777 for path in [*hidden, files._path(1)]} == {0o600}
    assert files.secret() not in "".join(path.read_text() for path in files.config.iterdir())


def test_a_certificate_that_no_server_takes_changes_nothing(files: PlaceFiles) -> None:
    place = files.take("rides", "production", lambda _: True)
    with pytest.raises(ArtifactRefused, match="certificate for rides in production cannot be used"):
        files.save_certificate(place, "-----BEGIN CERTIFICATE-----\nnone\n")
    assert list(files.config.iterdir()) == []


def test_a_certificate_that_is_gone_shuts_its_own_door_and_no_other(
    files: PlaceFiles, caplog: pytest.LogCaptureFixture
) -> None:
    place = dataclasses.replace(files.take("rides", "production", lambda _: True), tls=True)
    files.save(place)
    assert (files.config / "place01.cfg").read_text() == place_config(1, None)
    assert "nobody is let in to rides in production" in caplog.text
