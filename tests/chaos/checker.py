"""One checker of what must hold after any crash, over ledger, registry, lake, disk and services.

It says every violation in words, and mends nothing. What a crash may leave behind for a while is
only a violation once it is older than the grace time.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests as http

from include.evergreen.errors import EvergreenError
from include.evergreen.policy.journal import contents
from include.evergreen.stages.bundle import PARITY, load_predictor
from include.evergreen.stages.deploy.settle import ALIASES
from include.evergreen.stages.journal import collected
from include.evergreen.stages.release.words import UNTIL, last_word, words
from include.evergreen.stages.resources import Resources
from tests.chaos import databases


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold, and where."""

    rule: str
    words: str


@dataclass(frozen=True)
class Look:
    """What a rule looks at, and from when on what is left behind is an orphan."""

    resources: Resources
    now: dt.datetime
    grace: dt.timedelta

    @property
    def home(self) -> Path:
        return self.resources.settings.home

    def ledger(self, sql: str) -> list[tuple]:
        return databases.ledger(self.resources, sql)

    def mlflow(self, sql: str) -> list[tuple]:
        return databases.mlflow(self.resources, sql)

    def is_over(self, when: dt.datetime) -> bool:
        """Whether something that was last touched then has had its grace."""
        return self.now - when > self.grace

    def is_old(self, path: Path) -> bool:
        return self.is_over(dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC))


Rule = Callable[[Look], Iterator[str]]


def check(resources: Resources, *, now: dt.datetime, grace: dt.timedelta) -> list[Violation]:
    """Every violation of every rule; none: the installation is sound."""
    from tests.chaos import checker_files

    look = Look(resources, now, grace)
    rules = (*RULES, *checker_files.RULES)
    return [Violation(rule.__name__, words) for rule in rules for words in rule(look)]


def one_version_a_key(look: Look) -> Iterator[str]:
    """A training has one version, and ledger and registry name the same one."""
    tagged = look.mlflow(
        "SELECT value, version FROM model_version_tags WHERE key = 'evergreen.training_key'"
    )
    registered: dict[str, list[int]] = {}
    for key, version in tagged:
        registered.setdefault(key, []).append(int(version))
    for key, versions in registered.items():
        if len(versions) > 1:
            yield f"training {key[:12]} has {len(versions)} versions: {sorted(versions)}"
    known = dict(look.ledger("SELECT key, version FROM evergreen_trainings"))
    for key, version in known.items():
        if version is not None and version not in registered.get(key, []):
            yield f"training {key[:12]} is v{version} in the ledger, and not in the registry"
    for key, versions in registered.items():
        if known.get(key) is None:
            yield f"v{versions[0]} is in the registry, and the ledger does not know it"


def aliases_load(look: Look) -> Iterator[str]:
    """What an alias points at is there, file for file, and predicts what it did at first."""
    resources = look.resources
    aliases = dict(look.mlflow("SELECT alias, version FROM registered_model_aliases"))
    for alias, version in aliases.items():
        try:
            info = resources.registry.version_info(resources.model, int(version))
            with tempfile.TemporaryDirectory() as folder:
                bundle = resources.registry.download_bundle(
                    resources.model, info.version, Path(folder)
                )
                difference = load_predictor(bundle, info.manifest_digest).golden_difference()
        except EvergreenError as error:
            yield f"alias {alias} (v{version}): {error}"
        except Exception as error:  # noqa: BLE001 - the registry's word for a file that is gone
            yield f"alias {alias} (v{version}) cannot be loaded: {error!r}"
        else:
            if not difference <= PARITY:
                yield f"alias {alias} (v{version}) predicts otherwise than when it was made"
    live = dict(look.ledger("SELECT environment, version FROM evergreen_deployments "
                            "WHERE state = 'live'"))  # fmt: skip
    for environment, alias in ALIASES.items():
        version, pointed_at = live.get(environment), aliases.get(alias)
        if version is not None and pointed_at != version:
            at = f"v{pointed_at}" if pointed_at else "nothing"
            yield f"alias {alias} points at {at}, and v{version} is live in {environment}"
        if version is None and pointed_at is not None:
            yield f"alias {alias} points at v{pointed_at}, and nothing is in {environment}"


def one_live_and_it_answers(look: Look) -> Iterator[str]:
    """At most one deployment is live in an environment, and it answers as its version."""
    resources = look.resources
    rows = look.ledger("SELECT environment, version FROM evergreen_deployments WHERE state='live'")
    for environment in {name for name, _ in rows}:
        versions = sorted(version for name, version in rows if name == environment)
        if len(versions) > 1:
            yield f"{len(versions)} versions are live in {environment}: {versions}"
            continue
        live = resources.ledger.deployment(resources.model, environment)
        try:
            said = http.get(f"{live.service.endpoint}/version", timeout=10).json()
        except (http.RequestException, ValueError) as error:
            yield f"v{live.version} is live in {environment} and does not answer: {error!r:.200}"
            continue
        if str(said.get("version")) != str(live.version):
            yield f"v{live.version} is live in {environment}, and v{said.get('version')} answers"


def no_service_but_the_live(look: Look) -> Iterator[str]:
    """Nothing serves but what is live, and the spare of a release that is being watched."""
    resources = look.resources
    wanted = resources.ledger.deployments(resources.model, ["live", "spare"])
    names = {record.service_name for record in wanted}
    for service in resources.runtime.find(resources.model):
        if service.name not in names:
            yield f"{service.name} ({resources.runtime.state(service)}) is nobody's"


def nothing_is_half_done(look: Look) -> Iterator[str]:
    """No claim, ticket, deployment or run stays under way for ever."""
    for uri, owner, until in look.ledger(
        "SELECT uri, owner, lease_until FROM evergreen_files WHERE state IS NULL"
    ):
        if look.is_over(_moment(until)):
            yield f"file {uri} is claimed by {owner} since long, and was never finished"
    for study, number, until in look.ledger(
        "SELECT study, number, lease_until FROM evergreen_tickets WHERE state = 'taken'"
    ):
        if look.is_over(_moment(until)):
            yield f"ticket {number} of study {study[:12]} is held by a dead worker"
    for number, version, state, begun in look.ledger(
        "SELECT id, version, state, begun_at FROM evergreen_deployments "
        "WHERE state IN ('starting', 'spare', 'stopping')"
    ):
        if look.is_over(_moment(begun)):
            yield f"deployment {number} of v{version} is '{state}' since long"
    ended = "SELECT key FROM evergreen_trainings WHERE state IN ('registered', 'lost')"
    over = {key for (key,) in look.ledger(ended)}
    for run, key in look.mlflow(
        "SELECT runs.run_uuid, tags.value FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
        "WHERE tags.key = 'evergreen.training_key' AND runs.status = 'RUNNING' "
        "AND runs.lifecycle_stage = 'active'"
    ):
        if key in over:
            yield f"MLflow run {run} is running, and its training {key[:12]} is over"


def requests_are_answered_once(look: Look) -> Iterator[str]:
    """An answered request names a training that is over, and says what came of it."""
    states = dict(look.ledger("SELECT key, state FROM evergreen_trainings"))
    for number, key, outcome in look.ledger(
        "SELECT id, training_key, outcome FROM evergreen_requests WHERE outcome IS NOT NULL"
    ):
        if key is not None and states.get(key) != outcome:
            yield f"request {number} is '{outcome}', and training {key[:12]} is {states.get(key)}"
    for key, opened in look.ledger(
        "SELECT key, opened_at FROM evergreen_trainings WHERE state IN ('open', 'won')"
    ):
        if look.is_over(_moment(opened)):
            yield f"training {key[:12]} is under way since long"


def the_journal_tells_it_all(look: Look) -> Iterator[str]:
    """Each chain verifies against its anchors, and each judgement, version and deployment that is
    live has its entry; an entry stays without its anchor for no longer than the grace.
    """
    resources, model = look.resources, look.resources.model
    journal = collected(resources, model)
    entries = journal.entries
    for problem in journal.verified().problems:
        yield f"{problem.kind}: {problem.words}"
    for entry in entries:
        at = contents(entry.document).get("at")
        if entry.anchored_at is None and at and look.is_over(_moment(at)):
            yield f"entry {entry.number} of the journal has no anchor since long"
    events = {entry.event for entry in entries}
    for key, version, judged in look.ledger(
        "SELECT key, version, judged_at FROM evergreen_trainings"
    ):
        if judged is not None and not any(e.startswith(f"judgement:{key}") for e in events):
            yield f"the judgement of training {key[:12]} has no entry in the journal"
        if version is not None and f"registered:{key}" not in events:
            yield f"v{version} is registered and has no entry in the journal"
    said = [contents(entry.document) for entry in entries]
    told = {(entry.get("kind"), entry.get("to_version")) for entry in said}
    for environment, version in look.ledger(
        "SELECT environment, version FROM evergreen_deployments WHERE state = 'live'"
    ):
        kinds = ("staged",) if environment == "staging" else ("released", "rolled_back")
        if not any((kind, version) in told for kind in kinds):
            yield f"v{version} is live in {environment}, and the journal does not say why"


def no_release_is_half_done(look: Look) -> Iterator[str]:
    """A spare stands behind the one that is live; what release began has ended; no version answers
    that lost.
    """
    resources, model = look.resources, look.resources.model
    for environment in ALIASES:
        records = resources.ledger.deployments(model, ["live", "spare"], environment)
        spares = [f"v{record.version}" for record in records if record.state == "spare"]
        if spares and (len(spares) == len(records) or environment == "staging"):
            yield f"{', '.join(spares)} is the spare of nothing in {environment}"
        if len(spares) > 1:
            yield f"{environment} has {len(spares)} spares: {', '.join(spares)}"
    begun = next(words(resources.ledger, model), None)
    until = begun[1].details.get(UNTIL) if begun else None
    if begun and until and look.is_over(_moment(until)):
        yield f"{begun[1].reason}: '{begun[0]}' since long, and nothing came of it"
    live = resources.ledger.deployment(model, "production")
    if live and last_word(resources.ledger, model, live.version)[0] == "aborted":
        yield f"v{live.version} is live in production, and its release was aborted"


def what_is_released_was_staged(look: Look) -> Iterator[str]:
    """The image in production is, digest for digest, one that was live in staging."""
    resources = look.resources
    live = resources.ledger.deployment(resources.model, "production")
    staged = {
        record.service.image_digest
        for record in resources.ledger.deployments(resources.model, environment="staging")
        if record.live_at is not None and record.service is not None
    }
    if live and live.service.image_digest not in staged:
        yield f"v{live.version} is in production as {live.service.image_digest}, never staged"


RULES: tuple[Rule, ...] = (
    the_journal_tells_it_all,
    one_version_a_key,
    aliases_load,
    one_live_and_it_answers,
    no_service_but_the_live,
    nothing_is_half_done,
    no_release_is_half_done,
    what_is_released_was_staged,
    requests_are_answered_once,
)


def _moment(said: str | dt.datetime) -> dt.datetime:
    """A time as SQLite (a text) or PostgreSQL says it."""
    found = dt.datetime.fromisoformat(said) if isinstance(said, str) else said
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found
