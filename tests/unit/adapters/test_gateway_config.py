"""What HAProxy is told follows from who answers where, and from what it does already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.evergreen.adapters.runtime.gateway_config import (
    CANDIDATE,
    PLACES,
    SLOTS,
    Place,
    Seen,
    Server,
    base_config,
    commands,
    place_config,
    read_servers,
)
from include.evergreen.adapters.runtime.gateway_places import NoPlaceLeft, PlaceFiles
from include.evergreen.errors import EvergreenError, Unavailable

EMPTY = Place(3, "rides", "staging")
UNUSED = Seen("localhost", "127.0.0.1", 0, enabled=False, passed=False)
STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_check_result srv_fqdn
5 place03-live 1 s1 172.18.0.2 2 0 100 3 s-a
5 place03-live 2 s2 172.18.0.3 2 64 0 2 s-b
5 place03-live 3 s3 127.0.0.1 0 5 0 0 localhost
6 place03-tried 1 candidate 172.18.0.3 2 0 100 3 s-b
8 place04-live 1 s1 172.18.0.9 2 0 100 3 s-z

"""  # noqa: E501


def seen(**servers: Seen) -> dict[str, Seen]:
    return dict.fromkeys((*SLOTS, CANDIDATE), UNUSED) | servers


def running(host: str, weight: int) -> Seen:
    return Seen(host, "172.18.0.2", weight, enabled=True, passed=True)


def test_a_place_that_nobody_has_answers_nobody() -> None:
    text = place_config(3, None)
    assert "bind :8003" in text
    servers = [line for line in text.splitlines() if line.startswith("    server ")]
    assert len(servers) == len(SLOTS) + 1
    assert all(line.endswith("weight 0 disabled") for line in servers)


def test_a_start_finds_the_servers_as_they_were() -> None:
    place = EMPTY.beside("s-a").sent_to("s-a").beside("s-b").with_candidate("s-b")
    text = place_config(3, place)
    assert "# rides in staging" in text
    assert "server s1 s-a:8080 weight 100\n" in text
    assert "server s2 s-b:8080 weight 0\n" in text
    assert "server candidate s-b:8080 weight 100\n" in text


def test_the_socket_is_the_only_door_to_the_process_itself() -> None:
    text = base_config("172.18.0.0/16") + "".join(place_config(n + 1, None) for n in range(PLACES))
    assert "stats socket /run/evergreen-gateway/admin.sock mode 600" in text
    assert text.count("stats ") == 1
    assert "option httpchk GET /ping" in text


def test_a_switch_is_two_steps_and_the_second_is_one_command_line() -> None:
    before = EMPTY.beside("s-a").sent_to("s-a")
    now = seen(s1=running("s-a", 100))
    beside = before.beside("s-b")
    assert commands(beside, now) == [
        "set server place03-live/s2 state maint",
        "set server place03-live/s2 fqdn s-b",
        "set server place03-live/s2 state ready",
    ]
    now = seen(s1=running("s-a", 100), s2=running("s-b", 0))
    assert commands(beside, now) == []
    assert commands(beside.sent_to("s-b"), now) == [
        "set server place03-live/s2 weight 100",
        "set server place03-live/s1 weight 0",
    ], "nobody has a weight in no instant"
    gone = beside.sent_to("s-b").without("s-a")
    assert commands(gone, now)[-1] == "set server place03-live/s1 state maint"


def test_after_a_death_between_file_and_order_a_place_is_as_the_process_has_it() -> None:
    filed = EMPTY.beside("s-a").beside("s-b").sent_to("s-b")
    now = seen(s1=running("s-a", 100), s2=running("s-b", 0))
    actual = filed.as_seen(now)
    assert {name: server.weight for name, server in actual.slots.items()} == {"s1": 100, "s2": 0}
    assert commands(actual, now) == []
    unheard = seen(s1=running("s-a", 100))
    assert filed.as_seen(unheard).slots["s2"] == filed.slots["s2"], "it knows nothing of it"


def test_who_is_on_the_network_of_the_services_is_no_client() -> None:
    assert "setenv SERVICES 172.18.0.0/16\n" in base_config("172.18.0.0/16")
    for number in range(1, PLACES + 1):
        assert 'tcp-request connection reject if { src "${SERVICES}" }' in place_config(
            number, None
        )


def test_a_slot_that_is_used_is_given_up_only_when_it_has_no_clients() -> None:
    place = EMPTY.beside("s-a").sent_to("s-a").beside("s-b").beside("s-c")
    assert set(place.slots) == set(SLOTS)
    after = place.beside("s-d")
    assert after.slot_of("s-a") == "s1", "it has the clients"
    assert after.slot_of("s-d") == "s2"
    assert after.beside("s-d") == after, "again is a no-op"


def test_what_the_process_says_is_read_by_slot_of_one_place() -> None:
    found = read_servers(STATE, 3)
    assert found == {
        "s1": Seen("s-a", "172.18.0.2", 100, enabled=True, passed=True),
        "s2": Seen("s-b", "172.18.0.3", 0, enabled=True, passed=False),
        "s3": Seen("localhost", "127.0.0.1", 0, enabled=False, passed=False),
        "candidate": Seen("s-b", "172.18.0.3", 100, enabled=True, passed=True),
    }
    assert read_servers(STATE, 9) == {}
    assert read_servers("", 3) == {}


def test_a_place_comes_back_from_its_file() -> None:
    place = EMPTY.beside("s-a").sent_to("s-a").with_candidate("s-b")
    assert Place.from_json(place.as_json()) == place
    assert place.slots[CANDIDATE] == Server("s-b", 100)


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
    place = files.take("rides", "staging", lambda _: True).beside("s-a").sent_to("s-a")
    files.save(place)
    files.write_config("172.18.0.0/16")
    written = sorted(path.name for path in files.config.iterdir())
    assert written == ["00-all.cfg", *(f"place{n:02d}.cfg" for n in range(1, PLACES + 1))]
    assert (files.config / "place01.cfg").read_text() == place_config(1, place)
    assert files.run.stat().st_mode & 0o777 == 0o700
