"""Waits until nothing is left to do: the moment an installation is healthy again."""

from __future__ import annotations

import datetime as dt
import time

import requests

from include.evergreen.adapters.ledger import DeploymentRecord, Ledger
from include.evergreen.errors import EvergreenError
from include.evergreen.stages.ingest.landed import pending_files
from include.evergreen.stages.release.waiting import unseen
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.claim import grantable_requests
from tests.chaos.storm.place import Place

#: Longer than any healing takes: a task that lost its worker is seen within a minute, and a call
#: into a blackhole ends by its own limits.
PATIENCE_S = 420.0
_PAUSE_S = 0.5
#: What release has begun, or has not looked at, is overdue by then.
END_OF_TIME = dt.datetime.max.replace(tzinfo=dt.UTC)


def wait(place: Place, resources: Resources) -> tuple[float, list[str]]:
    """Seconds until it was quiet (seen twice in a row), and what is still left if it never was."""
    began = time.monotonic()
    quiet_since: float | None = None
    while True:
        left = look(place, resources)
        now = time.monotonic()
        if left:
            quiet_since = None
        elif quiet_since is not None:
            return quiet_since - began, []
        else:
            quiet_since = now
        if now - began > PATIENCE_S:
            return now - began, left
        time.sleep(_PAUSE_S)


def look(place: Place, resources: Resources) -> list[str]:
    """What is still to be done, or under way."""
    try:
        return place.airflow.under_way() or _work(resources) or _service(resources)
    except (EvergreenError, requests.RequestException) as error:
        return [f"cannot be seen: {error}"]


def _work(resources: Resources) -> list[str]:
    ledger, model, now = resources.ledger, resources.model, dt.datetime.now(dt.UTC)
    left = [f"{file.uri} is not taken in" for file in pending_files(resources)]
    if ledger.pending_requests(model):
        waiting = grantable_requests(resources, now=now)
        left += [f"request {request.id} ({request.cause}) waits" for request in waiting]
    left += [f"v{c.version} waits to be staged" for c in ledger.candidates_undeployed(model)]
    staged = ledger.deployments(model, ["live"], "staging")
    left += [f"v{d.version} is not released, nor passed over" for d in staged if _unseen(ledger, d)]
    unfinished = ledger.deployments(model, ["starting", "spare", "stopping"])
    return left + [f"deployment {d.id} of v{d.version} is {d.state}" for d in unfinished]


def _unseen(ledger: Ledger, staged: DeploymentRecord) -> bool:
    """Whether release has not looked at it, or not ended what it began on its account."""
    return bool(unseen(ledger, staged.model, END_OF_TIME)[0])


def _service(resources: Resources) -> list[str]:
    live = resources.ledger.deployment(resources.model, "production")
    if live is None:
        return ["nothing is in production"]
    answer = requests.get(f"{live.service.endpoint}/health", timeout=10)
    return [] if answer.ok else [f"v{live.version} says {answer.status_code}"]
