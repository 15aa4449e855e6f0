"""A model card as it is kept in the MLflow run of its training: read, drawn anew, added to.

Light to import: whoever adds a decision has no training's libraries to wait for.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from include.evergreen.effects import effect
from include.evergreen.errors import ArtifactRefused
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.leases import holding
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.card.decisions import CardEntry, with_entry
from include.evergreen.stages.training.card.html import render_html
from include.evergreen.stages.training.card.markdown import render_markdown, render_short

log = logging.getLogger(__name__)

#: The format of the document; another one is not read.
FORMAT = 1
#: The folder of a run's artifacts with the card.
CARD_PATH = "card"
DOCUMENT, PAGE, TEXT = "card.json", "model_card.html", "model_card.md"


def add_decisions(
    resources: Resources,
    run_id: str,
    entries: Sequence[CardEntry],
    *,
    clock: Clock = utc_now,
) -> None:
    """Add who decided what to the card of a run, and draw it anew; told twice, it stands once.

    A card that has all of it already is left as it is.

    Args:
        resources: registry and ledger.
        run_id: of the training whose version it is about.
        entries: the decisions.
        clock: for the lease.

    Raises:
        ArtifactRefused: the run has no card (yet).
        Busy: the card is being written at this moment.
    """
    card = _card_with(resources, run_id, entries)
    if card is None:
        return
    with holding(resources, subject(run_id), clock=clock, wait=False):
        card = _card_with(resources, run_id, entries)
        if card is None:
            return
        keep(resources, run_id, card)
        if card["version"] is not None:
            describe(resources, card, card["version"])
    log.info("The model card of run %s has %d decisions", run_id, len(card["decisions"]))


def _card_with(
    resources: Resources, run_id: str, entries: Sequence[CardEntry]
) -> dict[str, Any] | None:
    """The card with these decisions; None where it has them already."""
    card = read_card(resources, run_id)
    if card is None:
        told = ", ".join(entry.what for entry in entries[:10])
        raise ArtifactRefused(
            f"Run {run_id} of {resources.model} has no model card to add '{told}' to. Clear "
            "'write_model_card' in the run of train that made it: it takes them from the journal."
        )
    told_all = card
    for entry in entries:
        told_all = with_entry(told_all, entry)
    return None if told_all["decisions"] == card["decisions"] else told_all


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
def keep(resources: Resources, run_id: str, card: dict[str, Any]) -> None:
    """The pages first and the document last: whoever finds the document finds its pages."""
    with tempfile.TemporaryDirectory(prefix="evergreen-card-") as name:
        folder = Path(name)
        (folder / PAGE).write_text(render_html(card), encoding="utf-8")
        (folder / TEXT).write_text(render_markdown(card), encoding="utf-8")
        resources.registry.log_folder(run_id, folder, CARD_PATH)
    document = json.dumps(card, indent=1, allow_nan=False)
    resources.registry.log_text(run_id, document, f"{CARD_PATH}/{DOCUMENT}")


def describe(resources: Resources, card: dict[str, Any], version: int) -> None:
    """The short card is the version's description, and a tag says where the whole one lies."""
    url = card_url(resources, card["lineage"]["run_id"])
    model = resources.model
    resources.registry.set_version_tags(model, version, {"model_card": url})
    resources.registry.describe_version(model, version, render_short(card, url))


def subject(run_id: str) -> str:
    """Whose lease is held while a card is written."""
    return f"card:{run_id}"
