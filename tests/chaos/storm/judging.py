"""Says what is not as it must be once a storm is over: the checker's rules, and the books."""

from __future__ import annotations

from collections.abc import Iterator

from include.evergreen.adapters.runtime import open_runtime
from include.evergreen.errors import EvergreenError
from include.evergreen.stages.resources import Resources
from tests.chaos.forks import ForkServer
from tests.chaos.storm.deliveries import Expected
from tests.chaos.storm.model import MODEL
from tests.chaos.storm.place import Place

GRACE_S = 25 * 3600.0
#: So much later `maintain` runs once more, and then nothing may be left in the way.
UPKEEP_S = 60 * 24 * 3600.0
_UPKEEP: tuple[str, str, list[str]] = ("maintain", "reconcile_stores", [])
#: The age of an object on S3 is told by S3's own clock, which no test can put ahead.
_NOT_OLD_ON_S3 = "no commit names it"
#: Why a version may rightly never be tried again: another one came first.
_OVERTAKEN = ("overtaken", "superseded", "never compared")


def broken_now(place: Place, resources: Resources) -> list[str]:
    """Every violation, in words."""
    return [
        *_violations(place.forks, shift_s=0.0),
        *_books(resources, place.deliveries.expected),
        *_strays(resources),
        *_given_up(resources),
    ]


def broken_after_upkeep(place: Place) -> list[str]:
    """What is left in the way of an installation that has kept house two months later.

    Airflow does nothing meanwhile: to a clock that is ahead, all that it just began would be old.
    """
    place.airflow.pause_when_still()
    for dag, task, args in (("monitor", "collect_requests", [MODEL]), _UPKEEP):
        ended = place.forks.call(
            "tests.chaos.tasks:run_task",
            dag_file=dag,
            task=task,
            args=args,
            kwargs={},
            run_id="upkeep-after-the-storm",
            shift_s=UPKEEP_S,
        )
        if ended.state != "success":
            return [f"{dag} {ended.state}: {ended.error}"]
    found = _violations(place.forks, shift_s=UPKEEP_S)
    return [words for words in found if _NOT_OLD_ON_S3 not in words]


def _violations(forks: ForkServer, shift_s: float) -> list[str]:
    ended = forks.call("tests.chaos.inside:look", shift_s=shift_s, grace_s=GRACE_S)
    if ended.state != "success":
        return [f"the checker {ended.state}: {ended.error}"]
    return [f"{found['rule']}: {found['words']}" for found in ended.value["violations"]]


def _books(resources: Resources, expected: Expected) -> Iterator[str]:
    """Each ride that landed is in the lake once, and each broken row in quarantine once."""
    for table, wanted in (("rows", expected.rides), ("labels", expected.labelled)):
        held = resources.lake.scan(resources.model, table).select("ride").collect()["ride"]
        if len(held) != held.n_unique():
            yield f"{len(held) - held.n_unique()} rides are in table '{table}' more than once"
        if missing := wanted - set(held):
            yield f"{len(missing)} rides are not in table '{table}': {sorted(missing)[:5]}"
        if strange := set(held) - wanted:
            yield f"{len(strange)} rides in table '{table}' never landed: {sorted(strange)[:5]}"
    quarantined = 0
    if resources.lake.version(resources.model, "quarantine") is not None:
        names = ["_file_digest", "_row_number"]
        frame = resources.lake.scan(resources.model, "quarantine").select(names).collect()
        quarantined = frame.n_unique()
    if quarantined != expected.broken:
        yield f"{quarantined} rows are in quarantine, and {expected.broken} broken ones landed"


def _strays(resources: Resources) -> Iterator[str]:
    """What serves on a runtime that the spec does not name now, and is live nowhere."""
    live = {d.service_name for d in resources.ledger.deployments(resources.model, ["live"])}
    for name in ("docker", "process"):
        if name == resources.spec.deployment.runtime:
            continue
        try:
            found = open_runtime(name, resources.settings).find(resources.model)
        except EvergreenError:
            continue
        for service in found:
            if service.name not in live:
                yield f"{service.name} on {name} is nobody's"


def _given_up(resources: Resources) -> Iterator[str]:
    """A version that won is live at some time, whatever its deploy and release met on the way."""
    for record in resources.ledger.deployments(resources.model, ["failed"]):
        if not any(word in record.reason for word in _OVERTAKEN):
            yield f"v{record.version} won, and was given up: {record.reason[:200]}"
