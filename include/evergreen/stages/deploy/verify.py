"""A candidate service has proven itself, or it is gone and what answered before still does."""

from __future__ import annotations

import datetime as dt
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.evergreen.adapters.runtime import Environment, Runtime
from include.evergreen.contracts import BuiltImage, Check, RunningService, Verification
from include.evergreen.errors import Unavailable, VerificationFailed, is_retryable
from include.evergreen.policy import verification as policy
from include.evergreen.spec import ServiceLevels
from include.evergreen.stages.bundle import contract_of
from include.evergreen.stages.deploy import golden
from include.evergreen.stages.deploy.acceptance import acceptance_checks
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.fetch_bundle import fetch_bundle
from include.evergreen.stages.deploy.load_probe import run_load
from include.evergreen.stages.deploy.malformed import send_malformed
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.deploy.services import (
    GRACE_S,
    STAGE_OF,
    STAGING,
    order_for,
    runtime_for,
)
from include.evergreen.stages.deploy.settle import remove_orphans
from include.evergreen.stages.journal import anchor_entries
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

LOAD_ROUNDS, LOAD_PAUSE_S = 3, 2.0
_POLL_S = 0.05
_LOG_LINES = 30
_OK = 200


@dataclass(frozen=True)
class Proof:
    """What a candidate must show, and where.

    `as_made`: by the contract that travels in its bundle instead of today's spec's, without today's
    acceptance examples and without a load test: of a version that has been in production already.
    """

    environment: Environment = STAGING
    as_made: bool = False


@under_deployment_lease(STAGING)
def start_and_verify(resources: Resources, image: BuiltImage, *, now: dt.datetime) -> Verification:
    """Start the candidate beside what is live, and check everything it promises.

    A version that is live already with this very image is checked where it runs, and left there
    whatever comes of it.

    Raises:
        VerificationFailed: with every failed check and the candidate's last log lines; the
            candidate was stopped and removed.
    """
    runtime = runtime_for(resources, image)
    live = resources.ledger.deployment(resources.model, STAGING)
    same = live is not None and live.service.image_digest == image.digest
    if live is not None and same and runtime.state(live.service) == "running":
        checks = prove(resources, image, live.service, Proof())
        if not all(check.passed for check in checks):
            raise _failed(image, checks, runtime, live.service, STAGING)
        return Verification(image.model, image.version, live.service, checks)
    return verify_candidate(resources, image, Proof(), now=now)


def verify_candidate(
    resources: Resources, image: BuiltImage, proof: Proof, *, now: dt.datetime
) -> Verification:
    """Start a candidate in an environment, under its lease, and have it prove itself there.

    Raises:
        VerificationFailed: see `start_and_verify`.
    """
    runtime, environment = runtime_for(resources, image), proof.environment
    order = order_for(resources, image, environment)
    name = runtime.name_of(order)
    remove_orphans(resources, environment, keep=name)
    deployment = resources.ledger.begin_deployment(
        image.model, image.version, environment, name, now, run=resources.owner
    )
    service = runtime.start(order)
    try:
        resources.ledger.record_service(deployment, service, now)
        checks = prove(resources, image, service, proof)
        passed = all(check.passed for check in checks)
        failure = None if passed else _failed(image, checks, runtime, service, environment)
    except Exception as error:
        if not is_retryable(error):  # a retry finds the candidate by its name and goes on with it
            runtime.remove(service, grace_s=GRACE_S)
            _record_failure(resources, deployment, str(error), (), now)
        raise
    if failure is not None:
        runtime.remove(service, grace_s=GRACE_S)
        _record_failure(resources, deployment, _reason(checks), checks, now)
        raise failure
    return Verification(image.model, image.version, service, checks)


def _record_failure(
    resources: Resources, deployment: int, why: str, checks: Sequence[Check], now: dt.datetime
) -> None:
    seen = [check.as_json() for check in checks]
    ledger = resources.ledger
    ledger.finish_deployment(deployment, "failed", why, seen, now, run=resources.owner)
    anchor_entries(resources, resources.model, now=now)


def prove(
    resources: Resources, image: BuiltImage, service: RunningService, proof: Proof
) -> tuple[Check, ...]:
    """Every check, in the order of their cost; only an unhealthy service ends them early."""
    runtime = runtime_for(resources, service)
    address = runtime.reach(service)
    way = runtime.way_to(service)
    try:
        checks = _checks_at(address, resources, runtime, image, service, proof)
    except VerificationFailed:
        _require_same_way(runtime, service, way)
        raise
    if not all(check.passed for check in checks):
        _require_same_way(runtime, service, way)
    return checks


def _require_same_way(runtime: Runtime, service: RunningService, before: str) -> None:
    """What failed while the gateway was started anew says nothing about the candidate."""
    if runtime.way_to(service) != before:
        raise Unavailable(
            f"The gateway in front of {service.name} was started anew while it was being proven. "
            "The next try proves it again."
        )


def _checks_at(
    address: str,
    resources: Resources,
    runtime: Runtime,
    image: BuiltImage,
    service: RunningService,
    proof: Proof,
) -> tuple[Check, ...]:
    deployment = resources.spec.deployment
    with ServiceProbe(address) as probe:
        healthy = _wait_healthy(runtime, service, probe, deployment.start_timeout_s)
        if not healthy.passed:
            return (healthy,)
        try:
            bundle = fetch_bundle(
                resources, image.version, image.manifest_digest, proof.environment
            )
        except Unavailable as error:
            if not proof.as_made:
                raise
            log.warning("Proven by health and identity alone, as it once proved itself: %s", error)
            return (healthy, _identity(probe, image))
        rows, offline = golden.recorded(bundle)
        own = golden.recomputed(bundle, image.manifest_digest, rows)
        served = golden.served(probe, rows)
        checks = [
            healthy,
            _identity(probe, image),
            policy.check_signature(
                probe.get("/contract")[1] or {},
                _own_contract(bundle) if proof.as_made else contract_of(resources.spec),
            ),
            policy.check_predictions("golden_rows", served, offline, deployment.tolerance),
            policy.check_predictions("registered_artifact", served, own, deployment.tolerance),
            policy.check_refusals(send_malformed(probe, rows[0])),
        ]
        if not proof.as_made:
            checks += acceptance_checks(resources, probe, image)
    if not proof.as_made:
        body = golden.request_body(rows[:1])
        checks += _load_checks(address, body, deployment.service_levels)
    for check in checks:
        word = "passed" if check.passed else "FAILED"
        log.info("%s %s: %s (required: %s)", check.name, word, check.seen, check.required)
    return tuple(checks)


def _own_contract(bundle: Path) -> dict[str, Any]:
    contract: dict[str, Any] = json.loads((bundle / "contract.json").read_bytes())
    return contract


def _load_checks(endpoint: str, body: bytes, levels: ServiceLevels) -> tuple[Check, ...]:
    """The load test. One that is only too slow is repeated, LOAD_ROUNDS in all: what else the
    machine did meanwhile is no fault of the candidate, and a slow candidate is slow every time.
    """
    rounds = 1
    while True:
        load = run_load(endpoint, body, connections=levels.connections, seconds=levels.load_seconds)
        checks = policy.check_load(
            load, p99_ms=levels.p99_ms, min_requests_per_s=levels.min_requests_per_s, rounds=rounds
        )
        is_slow = load.requests > 0 and load.failures == 0
        if all(check.passed for check in checks) or not is_slow or rounds == LOAD_ROUNDS:
            return checks
        log.info("Round %d of %d was too slow: %s", rounds, LOAD_ROUNDS, load)
        rounds += 1
        time.sleep(LOAD_PAUSE_S)


def _wait_healthy(
    runtime: Runtime, service: RunningService, probe: ServiceProbe, timeout_s: float
) -> Check:
    began = time.monotonic()
    state = "no answer"
    while (waited := time.monotonic() - began) < timeout_s:
        if all(probe.get(path, timeout_s=1.0)[0] == _OK for path in ("/ping", "/health")):
            state = "healthy"
            break
        if runtime.state(service) != "running":
            state = "it ended"
            break
        time.sleep(_POLL_S)
    return policy.check_healthy(state, waited, timeout_s)


def _identity(probe: ServiceProbe, image: BuiltImage) -> Check:
    _, answered = probe.get("/version")
    wanted = {
        "model": image.model,
        "version": str(image.version),
        "manifest_digest": image.manifest_digest,
    }
    return policy.check_identity(answered if isinstance(answered, dict) else {}, wanted)


def _failed(
    image: BuiltImage,
    checks: Sequence[Check],
    runtime: Runtime,
    service: RunningService,
    environment: Environment,
) -> VerificationFailed:
    words, stage = runtime.logs(service, lines=_LOG_LINES), STAGE_OF[environment]
    return VerificationFailed(
        policy.failure_message(image.model, image.version, checks, words, stage)
    )


def _reason(checks: Sequence[Check]) -> str:
    return "failed: " + ", ".join(check.name for check in checks if not check.passed)
