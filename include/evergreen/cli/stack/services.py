"""The models that this home serves, as they outlive the stack: started again, stopped, removed."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from include.evergreen.contracts import Deployment, RunningService
from include.evergreen.errors import EvergreenError, SettingsError, Unavailable
from include.evergreen.settings import Settings

if TYPE_CHECKING:
    from include.evergreen.adapters.runtime import Runtime
    from include.evergreen.spec import ModelSpec

GRACE_S = 10.0


def revive(settings: Settings, say: Callable[[str], None]) -> None:
    """Start what is live in the ledger and does not run: after `make down`, or a restart.

    In production first: that is where clients wait.
    """
    from include.evergreen.adapters.ledger import open_ledger

    logging.getLogger("alembic").setLevel(logging.WARNING)  # a person at a terminal, not a task
    from include.evergreen.spec import load_specs

    ledger, specs = open_ledger(settings.ledger_url), load_specs(settings.models_dir).specs
    for environment in ("production", "staging"):
        for model, spec in specs.items():
            live = ledger.deployment(model, environment)
            if live is not None:
                _revive_one(settings, spec, live, say)


def _revive_one(
    settings: Settings, spec: ModelSpec, live: Deployment, say: Callable[[str], None]
) -> None:
    from include.evergreen.adapters.runtime import runtime_of

    where = live.environment
    try:
        runtime = runtime_of(live.service, settings)
        if runtime.state(live.service) == "running" and runtime.is_published(live.service):
            return
        from include.evergreen.stages.deploy.services import STAGE_OF
        from include.evergreen.stages.deploy.settle import settle_deployments
        from include.evergreen.stages.resources import Resources

        resources = Resources(spec, settings)
        settle_deployments(resources, where, now=dt.datetime.now(dt.UTC))
        now = resources.ledger.deployment(live.model, where) or live
        if not runtime_of(now.service, settings).is_published(now.service):
            raise Unavailable(f"run {live.model}.{STAGE_OF[where]}; its log says why.")
    except EvergreenError as error:
        say(f"{live.model} v{live.version} does not answer in {where}: {error}")
    else:
        say(f"{live.model} v{now.version} answers again in {where}.")


def prepare_in_background(settings: Settings, model: str) -> None:
    """Make what the first deployment needs once (the serving image), while other things start.

    Only saves time: whatever goes wrong here is met, and told, by the deployment itself.
    """
    from include.evergreen.spec import load_specs

    spec = load_specs(settings.models_dir, only=model).specs.get(model)
    if spec is None or spec.deployment.runtime == "process":
        return

    def prepare() -> None:
        from include.evergreen.adapters.runtime import open_runtime

        with contextlib.suppress(EvergreenError):
            open_runtime("docker", settings).prepare()

    threading.Thread(target=prepare, name="prepare-images", daemon=True).start()


def stop_all(settings: Settings) -> int:
    """Stop every served model of this home; they keep what a start needs. How many there were."""
    return _each(settings, remove=False)


def remove_all(settings: Settings) -> int:
    """Remove every served model of this home, its images and networks. How many were served."""
    count = _each(settings, remove=True)
    for runtime in _runtimes(settings):
        for network in runtime.networks():
            with contextlib.suppress(EvergreenError):  # a container of somebody else's is on it
                runtime.remove_network(network)
        for image in runtime.images():
            if image.ours:
                with contextlib.suppress(EvergreenError):  # a container of somebody else's is on it
                    runtime.discard(image.reference)
    return count


def _runtimes(settings: Settings) -> list[Runtime]:
    from include.evergreen.adapters.runtime import open_runtime

    found: list[Runtime] = [open_runtime("process", settings)]
    with contextlib.suppress(Unavailable, SettingsError):  # no engine here: no container of ours
        found.append(open_runtime("docker", settings))
    return found


def _each(settings: Settings, *, remove: bool) -> int:
    count = 0
    for runtime in _runtimes(settings):
        services: list[RunningService] = runtime.find()
        for service in services:
            if remove:
                runtime.remove(service, grace_s=GRACE_S)
            elif runtime.state(service) == "running":
                runtime.stop(service, grace_s=GRACE_S)
            else:
                continue
            count += 1
    return count
