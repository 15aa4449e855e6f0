"""What came of the acceptance examples, kept in the run of the version, and shown to who decides.

Light: the task that asks a person imports it.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from include.evergreen.contracts import AcceptanceResult, BuiltImage, Check
from include.evergreen.spec import AcceptanceExamples
from include.evergreen.stages.deploy.acceptance_page import render_markdown, render_page
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.card.markdown import link

#: The folder of the version's MLflow run, and what lies in it.
FOLDER = "acceptance"
RESULT, TABLE, PAGE = "acceptance.json", "acceptance.md", "acceptance.html"


def keep_results(
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
