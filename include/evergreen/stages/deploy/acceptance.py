"""The acceptance examples, asked of the candidate; what came of each is kept with its version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from include.evergreen.contracts import BuiltImage, Check
from include.evergreen.policy import acceptance as policy
from include.evergreen.spec import AcceptanceCase, ModelSpec
from include.evergreen.spec.acceptance_rules import contract_columns
from include.evergreen.stages.deploy import golden
from include.evergreen.stages.deploy.acceptance_kept import keep_results
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.resources import Resources

BATCH_ROWS = 100
_OK = 200


def acceptance_checks(
    resources: Resources, probe: ServiceProbe, image: BuiltImage
) -> tuple[Check, ...]:
    """The check of the acceptance examples; none where the spec names no file of them."""
    deployment = resources.spec.deployment
    if deployment.acceptance is None:
        return ()
    examples = resources.spec.acceptance
    if examples is None:
        seen = f"{deployment.acceptance} was not read with the spec"
        return (Check(policy.CHECK, passed=False, seen=seen, required="its examples"),)
    batch = min(BATCH_ROWS, deployment.max_rows)
    rows = [row_of(case, resources.spec) for case in examples.cases]
    answers = [answer for some in _batches(rows, batch) for answer in _asked(probe, some)]
    results = policy.judge_examples([example_of(case) for case in examples.cases], answers)
    check = policy.check_acceptance(
        results, mode=deployment.acceptance_mode, file=examples.file, digest=examples.digest
    )
    keep_results(resources, image, examples, check, results)
    return (check,)


def row_of(case: AcceptanceCase, spec: ModelSpec) -> dict[str, Any]:
    """The row to send: what the case gives, and null for what it may leave out."""
    required, _ = contract_columns(spec)
    return {**dict.fromkeys(required), **case.given}


def example_of(case: AcceptanceCase) -> policy.Example:
    """A case as the policy judges it."""
    expect = case.expect
    between = expect.between
    if expect.value is not None and expect.tolerance is not None:
        near = (expect.value - expect.tolerance, expect.value + expect.tolerance)
        between = near if between is None else (max(near[0], between[0]), min(near[1], between[1]))
    return policy.Example(
        case=case.name,
        given=case.given,
        between=between,
        label=expect.label,
        probability=expect.probability,
        above=expect.above,
        below=expect.below,
    )


def _batches(rows: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _asked(probe: ServiceProbe, rows: list[dict[str, Any]]) -> list[policy.Answer]:
    """One answer a row; where the service gave none, why."""
    status, answer = probe.post("/invocations", golden.request_body(rows))
    predictions = answer.get("predictions") if isinstance(answer, dict) else None
    if status != _OK or not isinstance(predictions, list) or len(predictions) != len(rows):
        why = f"HTTP {status}" if status not in {0, _OK} else "no answer to each row"
        return [f"no prediction ({why})"] * len(rows)
    return [p if isinstance(p, dict) else {"prediction": p} for p in predictions]
