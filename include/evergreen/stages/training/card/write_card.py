"""Writes the card of a judged challenger into its MLflow run, won or lost, and adds to it later.

The card stays what it was whenever it is written again, with the decisions that were added since.
Nothing waits for it: a version is registered and deployed without, and a card that could not be
written is a task that failed.
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

from include.evergreen.contracts import Fitted, Judgement, Snapshot
from include.evergreen.effects import effect
from include.evergreen.errors import ArtifactRefused
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.leases import holding
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.card.contest_again import contest_again
from include.evergreen.stages.training.card.decisions import CardEntry, with_entry
from include.evergreen.stages.training.card.facts import FORMAT, card_of
from include.evergreen.stages.training.card.html import render_html
from include.evergreen.stages.training.card.markdown import render_markdown, render_short

log = logging.getLogger(__name__)

#: The folder of a run's artifacts with the card.
CARD_PATH = "card"
DOCUMENT, PAGE, TEXT = "card.json", "model_card.html", "model_card.md"


def write_card(
    resources: Resources,
    snapshot: Snapshot,
    fitted: Fitted,
    judgement: Judgement,
    *,
    clock: Clock = utc_now,
) -> str | None:
    """Where a person looks at the card; None where nothing was judged ("not yet").

    A second call writes the same card once more.

    Raises:
        NotInLake: the rows it was judged on were cleared away.
    """
    if judgement.verdict == "not_yet":
        return None
    run_id = fitted.run_id
    record = resources.ledger.training(snapshot.key)
    candidate = record.candidate if record else None
    with holding(resources, _subject(run_id), clock=clock):
        with tempfile.TemporaryDirectory(prefix="evergreen-card-") as folder:
            contest = contest_again(resources, snapshot, fitted, judgement, Path(folder))
            card = card_of(resources, snapshot, fitted, judgement, candidate, contest)
        earlier = read_card(resources, run_id)
        if earlier is not None:
            card["decisions"] = earlier["decisions"]
        _log(resources, run_id, card)
        if candidate is not None:
            _describe(resources, card, candidate.version)
    log.info("%s: the card of training %s is written", snapshot.model, snapshot.key[:12])
    return card_url(resources, run_id)


def add_decision(
    resources: Resources, run_id: str, entry: CardEntry, *, clock: Clock = utc_now
) -> None:
    """Add who decided what to the card of a run, and draw it anew; told twice, it stands once.

    Args:
        resources: registry and ledger.
        run_id: of the training whose version it is about.
        entry: the decision.
        clock: for the lease.

    Raises:
        ArtifactRefused: the run has no card (yet).
    """
    with holding(resources, _subject(run_id), clock=clock):
        card = read_card(resources, run_id)
        if card is None:
            raise ArtifactRefused(
                f"Run {run_id} of {resources.model} has no model card to add '{entry.what}' to. "
                "Clear 'write_model_card' in the run of train that made it, then try again."
            )
        card = with_entry(card, entry)
        _log(resources, run_id, card)
        if card["version"] is not None:
            _describe(resources, card, card["version"])


def card_url(resources: Resources, run_id: str) -> str:
    """Where a person opens the card: in MLflow, or the run where MLflow has no server."""
    page = resources.registry.run_url(run_id)
    if page.startswith(("http://", "https://")):
        return f"{page}/artifacts/{CARD_PATH}/{PAGE}"
    return page


def read_card(resources: Resources, run_id: str) -> dict[str, Any] | None:
    """The card's document as it stands in the run; None where none was written.

    Raises:
        ArtifactRefused: what is there is no card of this format.
    """
    text = resources.registry.read_text(run_id, f"{CARD_PATH}/{DOCUMENT}")
    if text is None:
        return None
    try:
        card: dict[str, Any] = json.loads(text)
        found = card["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactRefused(
            f"{CARD_PATH}/{DOCUMENT} of run {run_id} is no model card: {error!r}. Remove it, then "
            "clear 'write_model_card' in the run of train that made it."
        ) from error
    if found != FORMAT:
        raise ArtifactRefused(
            f"{CARD_PATH}/{DOCUMENT} of run {run_id} has format {found}; {FORMAT} is understood."
        )
    return card


@effect
def _log(resources: Resources, run_id: str, card: dict[str, Any]) -> None:
    """The pages first and the document last: whoever finds the document finds its pages."""
    with tempfile.TemporaryDirectory(prefix="evergreen-card-") as name:
        folder = Path(name)
        (folder / PAGE).write_text(render_html(card), encoding="utf-8")
        (folder / TEXT).write_text(render_markdown(card), encoding="utf-8")
        resources.registry.log_folder(run_id, folder, CARD_PATH)
    document = json.dumps(card, indent=1, allow_nan=False)
    resources.registry.log_text(run_id, document, f"{CARD_PATH}/{DOCUMENT}")


def _describe(resources: Resources, card: dict[str, Any], version: int) -> None:
    """The short card is the version's description, and a tag says where the whole one lies."""
    url = card_url(resources, card["lineage"]["run_id"])
    model = resources.model
    resources.registry.set_version_tags(model, version, {"model_card": url})
    resources.registry.describe_version(model, version, render_short(card, url))


def _subject(run_id: str) -> str:
    return f"card:{run_id}"
