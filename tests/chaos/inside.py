"""Looks at an installation, and settles it, in a forked child: nothing is cached from before."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from typing import Any

from include.evergreen import settings
from include.evergreen.spec import load_specs
from include.evergreen.stages.resources import Resources
from tests.chaos import checker, facts, rides, tasks


def resources() -> Resources:
    installation = settings.load()
    spec = load_specs(installation.models_dir).specs[rides.MODEL]
    return Resources(spec, installation)


def settle(shift_s: float) -> dict[str, Any]:
    """Start again what the ledger says is live."""
    from include.evergreen.stages.deploy.settle import ALIASES, settle_deployments

    tasks.put_clock_ahead(shift_s)
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=shift_s)
    for environment in ALIASES:
        settle_deployments(resources(), environment, now=now)
    return {"state": "success"}


def why_release(shift_s: float) -> dict[str, Any]:
    """Why the watcher of the ledger wakes release; empty if it does not."""
    from include.evergreen.stages.release.waiting import unseen

    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=shift_s)
    return {"state": "success", "value": unseen(resources().ledger, rides.MODEL, now)[0]}


def ask_for_training(shift_s: float) -> dict[str, Any]:
    """A request that nobody has answered."""
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=shift_s)
    resources().ledger.request_retrain(rides.MODEL, "manual", "by the test", {}, now)
    return {"state": "success"}


def remove_services() -> dict[str, Any]:
    """Leave nothing on the engine: no container, no network, no image of a version."""
    opened = resources()
    for service in opened.runtime.find():
        opened.runtime.remove(service, grace_s=1)
    for network in opened.runtime.networks():
        opened.runtime.remove_network(network)
    images = [
        opened.ledger.image(rides.MODEL, version, opened.runtime.name) for version in range(1, 9)
    ]
    return {"state": "success", "value": [image.reference for image in images if image]}


def age(days: float) -> dict[str, Any]:
    """Make the files of the lake's tables older: Delta tells their age by the clock of the disk."""
    for path in (resources().settings.home / "lake").rglob("*.parquet"):
        if path.is_file():
            then = path.stat().st_mtime - days * 86_400
            os.utime(path, (then, then))
    return {"state": "success"}


def look(shift_s: float = 0.0, grace_s: float = 0.0) -> dict[str, Any]:
    """The facts of the installation, and every invariant it violates."""
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=shift_s)
    opened = resources()
    violations = checker.check(opened, now=now, grace=dt.timedelta(seconds=grace_s))
    found = {
        "facts": facts.facts(opened),
        "violations": [dataclasses.asdict(violation) for violation in violations],
    }
    return {"state": "success", "value": found}
