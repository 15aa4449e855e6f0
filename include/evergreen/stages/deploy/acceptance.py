"""The acceptance examples, asked of the candidate; what came of each is kept with its version."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from include.evergreen.contracts import AcceptanceResult, BuiltImage, Check
from include.evergreen.policy import acceptance as policy
from include.evergreen.spec import AcceptanceCase, AcceptanceExamples, ModelSpec
from include.evergreen.spec.acceptance_rules import contract_columns
from include.evergreen.stages.deploy import golden
from include.evergreen.stages.deploy.acceptance_page import render_markdown, render_page
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.card.markdown import link

#: The folder of the version's MLflow run, and what lies in it.
FOLDER = "acceptance"
RESULT, TABLE, PAGE = "acceptance.json", "acceptance.md", "acceptance.html"
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
    _keep(resources, image, examples, check, results)
    return (check,)


def acceptance_table(resources: Resources, version: int) -> str:
    """Expected and got side by side, as Markdown, as it was kept when the version was verified.

    Where nothing was kept it says why: the spec names no examples, or the version was not verified
    since it does.

    Raises:
        ArtifactRefused: the registry has no such version.
    """
    examples, named = resources.spec.acceptance, resources.spec.deployment.acceptance
    run = resources.registry.version_info(resources.model, version).run_id
    kept = resources.registry.read_text(run, f"{FOLDER}/{RESULT}")
    if kept is None:
        why = f"not verified since it names {named}" if named else "the spec names none"
        return f"No acceptance examples were asked of {resources.model} v{version}: {why}."
    document = json.loads(kept)
    table = render_markdown(document, [AcceptanceResult.from_json(r) for r in document["results"]])
    if examples is not None and examples.digest != document["digest"]:
        table += f"\n{examples.file} was edited since: these are the examples as they were then.\n"
    page = resources.registry.run_url(run)
    page += f"/artifacts/{FOLDER}/{PAGE}" if page.startswith(("http://", "https://")) else ""
    return f"{table}\n{link('Every case, with the row that was sent', page)}\n"


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


def _keep(
    resources: Resources,
    image: BuiltImage,
    examples: AcceptanceExamples,
    check: Check,
    results: tuple[AcceptanceResult, ...],
) -> None:
    """Put result, table and page into the version's run; those of an earlier look give way."""
    document = {
        "model": image.model,
        "version": image.version,
        "image_digest": image.digest,
        "file": examples.file,
        "digest": examples.digest,
        "mode": resources.spec.deployment.acceptance_mode,
        "passed": check.passed,
        "seen": check.seen,
        "results": [result.as_json() for result in results],
    }
    written = {
        RESULT: json.dumps(document, indent=1, ensure_ascii=False) + "\n",
        TABLE: render_markdown(document, results),
        PAGE: render_page(document, results),
    }
    run = resources.registry.version_info(image.model, image.version).run_id
    with tempfile.TemporaryDirectory(prefix="acceptance-") as name:
        files = [Path(name) / file for file in written]
        for file in files:
            file.write_text(written[file.name], encoding="utf-8")
        resources.registry.log_report(run, files, FOLDER)
