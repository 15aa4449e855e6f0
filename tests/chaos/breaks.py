"""Ways in which an installation must never be found, each made on purpose in a forked child."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from include.evergreen.contracts import Actor, JournalEntry
from include.evergreen.policy.journal import contents
from include.evergreen.policy.releasing import Word
from include.evergreen.stages.deploy.services import order_for
from include.evergreen.stages.release.journal import say
from include.evergreen.stages.release.words import UNTIL
from include.evergreen.stages.resources import Resources
from tests.chaos import inside, rides

DAYS_AGO = dt.datetime.now(dt.UTC) - dt.timedelta(days=3)


def do(name: str) -> dict[str, Any]:
    """Break the installation in the way of this name."""
    BREAKS[name][1](inside.resources())
    return {"state": "success"}


def _second_version(resources: Resources) -> None:
    found = resources.registry.version_info(rides.MODEL, 2)
    with resources.registry._connection.calling() as client:
        source = client.get_model_version(rides.MODEL, "2").source
        client.create_model_version(
            rides.MODEL,
            source,
            run_id=found.run_id,
            tags=found.tags,
            model_id=source.removeprefix("models:/"),
        )


def _version_nobody_knows(resources: Resources) -> None:
    _sql(resources, "UPDATE evergreen_trainings SET version = NULL WHERE version = 2")


def _alias_elsewhere(resources: Resources) -> None:
    resources.registry.set_alias(rides.MODEL, "champion", 1)


def _half_a_model(resources: Resources) -> None:
    """The newest two logged models are v2's and v1's; both lose the end of their estimator."""
    for path in (resources.settings.home / "mlflow" / "artifacts").rglob("estimator.*"):
        path.write_bytes(path.read_bytes()[:-100])


def _staging_elsewhere(resources: Resources) -> None:
    resources.registry.set_alias(rides.MODEL, "staging", 1)


def _no_champion(resources: Resources) -> None:
    resources.registry.remove_alias(rides.MODEL, "champion")


def _nothing_in(resources: Resources, environment: str) -> None:
    _sql(
        resources,
        "UPDATE evergreen_deployments SET state = 'stopped' "
        f"WHERE state = 'live' AND environment = '{environment}'",
    )


def _champion_of_nothing(resources: Resources) -> None:
    _nothing_in(resources, "production")


def _staging_of_nothing(resources: Resources) -> None:
    _nothing_in(resources, "staging")


def _spare_of_nothing(resources: Resources) -> None:
    _warm_for_ever(resources)
    _nothing_in(resources, "production")


def _spare_in_staging(resources: Resources) -> None:
    _sql(
        resources,
        "UPDATE evergreen_deployments SET state = 'spare' "
        "WHERE environment = 'staging' AND version = 1",
    )


def _two_spares(resources: Resources) -> None:
    _sql(
        resources,
        "UPDATE evergreen_deployments SET state = 'spare' "
        "WHERE environment = 'production' AND version = 1 AND state = 'stopped'",
    )


def _says(resources: Resources, word: Word, until: dt.datetime | None) -> None:
    """The newest word of release on v2."""
    at = dt.datetime.now(dt.UTC) + dt.timedelta(days=60)
    details = {UNTIL: until.isoformat() if until else None}
    say(resources, word, 2, "by the test", now=at, details=details)


def _shifting_for_ever(resources: Resources) -> None:
    _says(resources, "shifting", DAYS_AGO)


def _aborted_and_live(resources: Resources) -> None:
    _says(resources, "aborted", None)


def _another_image(resources: Resources) -> None:
    live = resources.ledger.deployment(rides.MODEL, "production")
    other = live.service.image_digest[::-1]
    _sql(
        resources,
        f"UPDATE evergreen_deployments SET service = replace(service, "
        f"'{live.service.image_digest}', '{other}') "
        "WHERE state = 'live' AND environment = 'production'",
    )


def _silent(resources: Resources, environment: str = "staging") -> None:
    live = resources.ledger.deployment(rides.MODEL, environment)
    resources.runtime.stop(live.service, grace_s=1)


def _silent_champion(resources: Resources) -> None:
    _silent(resources, "production")


def _another_answers(resources: Resources) -> None:
    _sql(resources, "UPDATE evergreen_deployments SET version = 1 WHERE state = 'live'")


def _orphan(resources: Resources) -> None:
    image = resources.ledger.image(rides.MODEL, 1, "process")
    resources.runtime.start(order_for(resources, image, "production"))


def _claimed_for_ever(resources: Resources) -> None:
    resources.ledger.claim_file(
        rides.MODEL, "d" * 64, "c" * 64, "file:///x", "rows", "the dead", DAYS_AGO, 60
    )


def _starting_for_ever(resources: Resources) -> None:
    resources.ledger.begin_deployment(rides.MODEL, 9, "staging", "evergreen-x", DAYS_AGO)


def _warm_for_ever(resources: Resources) -> None:
    """The newest deployment of v1 in production is the one that the second rollback left."""
    _sql(
        resources,
        "UPDATE evergreen_deployments SET state = 'spare' WHERE id = (SELECT max(id) FROM "
        "evergreen_deployments WHERE environment = 'production' AND version = 1)",
    )


def _run_for_ever(resources: Resources) -> None:
    run = resources.registry.version_info(rides.MODEL, 2).run_id
    with resources.registry._connection.calling() as client:
        client.update_run(run, status="RUNNING")


def _answered_otherwise(resources: Resources) -> None:
    _sql(resources, "UPDATE evergreen_requests SET outcome = 'lost' WHERE outcome = 'registered'")


def _rows_twice(resources: Resources) -> None:
    rows = resources.lake.scan(rides.MODEL, "rows").collect().head(7)
    resources.lake.append_rows(rides.MODEL, "rows", [rows], transaction="again")


def _rows_lost(resources: Resources) -> None:
    _sql(
        resources,
        "UPDATE evergreen_files SET rows_appended = 999 WHERE kind = 'rows' AND state = 'appended'",
    )


def _half_a_table_file(resources: Resources) -> None:
    path = next(_lake(resources, "rows").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:50])


def _nobodys_file(resources: Resources) -> None:
    _old(_lake(resources, "rows") / "part-nobody.parquet")


def _unfinished_file(resources: Resources) -> None:
    _old(_lake(resources, "rows") / ".part-x.parquet.tmp")


def _forgotten_file(resources: Resources) -> None:
    rides.land(resources.settings.home, 3)


def _work_left(resources: Resources) -> None:
    folder = resources.settings.work_dir / "ingest" / "file-dead"
    folder.mkdir(parents=True)
    os.utime(folder, (DAYS_AGO.timestamp(),) * 2)


def _half_a_report(resources: Resources) -> None:
    page = next(resources.settings.reports_dir.rglob("drift.html"))
    page.write_text(page.read_text()[:100])
    os.utime(page.parent, (DAYS_AGO.timestamp(),) * 2)


def _changed_bundle(resources: Resources) -> None:
    contract = Path(resources.ledger.image(rides.MODEL, 2, "process").reference, "bundle")
    (contract / "contract.json").write_text("{}")


def _a_judgement_changed(resources: Resources) -> None:
    _sql(
        resources,
        "UPDATE evergreen_journal SET document = replace(document, 'judged', 'fudged') "
        "WHERE number = 1",
    )


def _a_judgement_untold(resources: Resources) -> None:
    """The whole chain written anew without it, as somebody with the ledger alone can."""
    entries = resources.ledger.journal(rides.MODEL)
    _sql(resources, "DELETE FROM evergreen_journal")
    for entry in entries:
        said = contents(entry.document)
        at = dt.datetime.fromisoformat(said.pop("at"))
        if said.pop("number") > 1:
            resources.ledger.append_journal(JournalEntry.from_json(said), at)


def _end_of_journal_gone(resources: Resources) -> None:
    _sql(resources, "DELETE FROM evergreen_journal WHERE number > 2")


def _never_anchored(resources: Resources) -> None:
    person = Actor("person", "admin")
    entry = JournalEntry("approval:9", rides.MODEL, "approved", person, "ok", to_version=9)
    resources.ledger.append_journal(entry, DAYS_AGO)


#: What is done -> the rule that must see it, how it is done, and what the words must say.
BREAKS: dict[str, tuple[str, Callable[[Resources], None], str]] = {
    "judgement changed": (
        "the_journal_tells_it_all",
        _a_judgement_changed,
        "changed: entry 1 is not what was hashed",
    ),
    "judgement untold": ("the_journal_tells_it_all", _a_judgement_untold, "has no entry in the"),
    "journal rewritten": ("the_journal_tells_it_all", _a_judgement_untold, "rewritten: entry 1"),
    "journal cut off": ("the_journal_tells_it_all", _end_of_journal_gone, "truncated: the chain"),
    "live untold": ("the_journal_tells_it_all", _end_of_journal_gone, "does not say why"),
    "never anchored": ("the_journal_tells_it_all", _never_anchored, "has no anchor since long"),
    "second version": ("one_version_a_key", _second_version, "has 2 versions"),
    "unknown version": ("one_version_a_key", _version_nobody_knows, "does not know it"),
    "champion elsewhere": (
        "aliases_load",
        _alias_elsewhere,
        "alias champion points at v1, and v2 is live in production",
    ),
    "staging elsewhere": (
        "aliases_load",
        _staging_elsewhere,
        "alias staging points at v1, and v2 is live in staging",
    ),
    "no champion": ("aliases_load", _no_champion, "alias champion points at nothing, and v2"),
    "staging of nothing": (
        "aliases_load",
        _staging_of_nothing,
        "alias staging points at v2, and nothing is in staging",
    ),
    "champion of nothing": (
        "aliases_load",
        _champion_of_nothing,
        "alias champion points at v2, and nothing is in production",
    ),
    "half a model": ("aliases_load", _half_a_model, "alias champion"),
    "silent": ("one_live_and_it_answers", _silent, "is live in staging and does not answer"),
    "silent champion": (
        "one_live_and_it_answers",
        _silent_champion,
        "is live in production and does not answer",
    ),
    "another answers": ("one_live_and_it_answers", _another_answers, "and v2 answers"),
    "orphan": ("no_service_but_the_live", _orphan, "is nobody's"),
    "claimed for ever": ("nothing_is_half_done", _claimed_for_ever, "claimed by the dead"),
    "starting for ever": ("nothing_is_half_done", _starting_for_ever, "'starting' since long"),
    "warm for ever": ("nothing_is_half_done", _warm_for_ever, "'spare' since long"),
    "spare of nothing": (
        "no_release_is_half_done",
        _spare_of_nothing,
        "v1 is the spare of nothing in production",
    ),
    "spare in staging": (
        "no_release_is_half_done",
        _spare_in_staging,
        "v1 is the spare of nothing in staging",
    ),
    "two spares": ("no_release_is_half_done", _two_spares, "production has 2 spares: v1, v1"),
    "shifting for ever": (
        "no_release_is_half_done",
        _shifting_for_ever,
        "v2: by the test: 'shifting' since long, and nothing came of it",
    ),
    "aborted and live": (
        "no_release_is_half_done",
        _aborted_and_live,
        "v2 is live in production, and its release was aborted",
    ),
    "another image": ("what_is_released_was_staged", _another_image, "never staged"),
    "run for ever": ("nothing_is_half_done", _run_for_ever, "is running, and its training"),
    "answered otherwise": ("requests_are_answered_once", _answered_otherwise, "is registered"),
    "rows twice": ("rows_come_once", _rows_twice, "7 rows of table 'rows' are in it twice"),
    "rows lost": ("rows_come_once", _rows_lost, "brought 999 rows"),
    "half a table file": ("tables_are_whole", _half_a_table_file, "cannot be read"),
    "nobody's file": ("tables_are_whole", _nobodys_file, "no commit names it"),
    "unfinished file": ("tables_are_whole", _unfinished_file, "was never finished"),
    "forgotten file": ("no_landed_file_is_forgotten", _forgotten_file, "was never dealt with"),
    "work left": ("nothing_is_left_in_the_way", _work_left, "file-dead was left behind"),
    "half a report": ("files_are_whole", _half_a_report, "is half a report"),
    "changed bundle": ("files_are_whole", _changed_bundle, "is not what was built"),
}


def _sql(resources: Resources, statement: str) -> None:
    path = resources.settings.home / "ledger.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as ledger:
        if ledger.execute(statement).rowcount < 1:
            raise ValueError(f"This changed nothing: {statement}")


def _lake(resources: Resources, table: str) -> Path:
    return resources.settings.home / "lake" / rides.MODEL / table


def _old(path: Path) -> None:
    path.write_bytes(b"x")
    os.utime(path, (DAYS_AGO.timestamp(),) * 2)
