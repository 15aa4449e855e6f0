"""Who asks production while a version takes over counts every request, and none of them twice."""

import time
from collections.abc import Callable

import pytest

from include.evergreen.cli.demo.passerby import Passerby
from include.evergreen.cli.demo.patience import DemoFailed
from include.evergreen.errors import Unavailable
from tests.answering import served

NOBODY = "http://127.0.0.1:9"


def asked(address: Callable[[], str]) -> Passerby:
    with Passerby([{"hr": 1}, {"hr": 2}], address) as passerby:
        time.sleep(0.4)
    return passerby


def test_every_answer_is_counted_by_its_version() -> None:
    with served("2") as endpoint:
        passerby = asked(lambda: endpoint)
    count = passerby.answered["2"]
    assert count > 1
    assert passerby.told() == f"{count} requests answered meanwhile (v2 {count}), 0 lost"
    passerby.require_none_lost()


def test_each_request_asks_for_other_rows_from_all_over_the_period() -> None:
    """An afternoon's rows are so much alike that no spread of the predictions can be told."""
    bodies: list[dict] = []
    hours = [{"hr": hour} for hour in range(1000)]
    with served("2", bodies=bodies) as endpoint, Passerby(hours, lambda: endpoint):
        time.sleep(0.4)
    asked = [row["hr"] for body in bodies for row in body["dataframe_records"]]
    assert len(bodies) > 2
    assert len(set(asked)) == len(asked), "none twice before all were asked"
    first = sorted(asked[:8])
    assert len(first) == 8
    assert first[-1] - first[0] > 500


@pytest.mark.parametrize("status", [404, 503])
def test_an_error_and_no_answer_are_losses(status: int) -> None:
    with served("2", status) as endpoint:
        passerby = asked(lambda: endpoint)
        assert passerby.lost[0] == f"{endpoint}: {status} "
        with pytest.raises(DemoFailed, match=f"lost. The first: {endpoint}: {status}"):
            passerby.require_none_lost()
    passerby = asked(lambda: NOBODY)
    assert passerby.lost
    assert passerby.told() == f"0 requests answered meanwhile, {len(passerby.lost)} lost"


def test_one_that_was_handed_to_the_next_version_asks_again_there() -> None:
    with served("2") as endpoint:
        addresses = iter([NOBODY, NOBODY])  # the second is asked, and gone by the next look
        passerby = asked(lambda: next(addresses, endpoint))
    assert passerby.lost == []
    assert passerby.answered["2"] > 1


def test_while_nobody_can_say_the_address_the_last_one_holds() -> None:
    with served("2") as endpoint:
        known = iter([endpoint])

        def address() -> str:
            for found in known:
                return found
            raise Unavailable("the ledger does not answer")

        passerby = asked(address)
    assert passerby.lost == []
    assert passerby.answered["2"] > 1
