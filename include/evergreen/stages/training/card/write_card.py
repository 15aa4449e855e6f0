"""Writes the card of a judged challenger into its MLflow run, won or lost, and adds to it later.

The card stays what it was whenever it is written again, with what the journal has of its version.
Nothing waits for it: a version is registered and deployed without, and a card that could not be
written is a task that failed.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from include.evergreen.contracts import Fitted, Judgement, Snapshot
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.leases import holding
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.card.contest_again import contest_again
from include.evergreen.stages.training.card.decisions import decisions_in, with_entry
from include.evergreen.stages.training.card.facts import card_of
from include.evergreen.stages.training.card.kept import card_url, describe, keep, read_card, subject

log = logging.getLogger(__name__)


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
    with holding(resources, subject(run_id), clock=clock):
        with tempfile.TemporaryDirectory(prefix="evergreen-card-") as folder:
            contest = contest_again(resources, snapshot, fitted, judgement, Path(folder))
            card = card_of(resources, snapshot, fitted, judgement, candidate, contest)
        earlier = read_card(resources, run_id)
        if earlier is not None:
            card["decisions"] = earlier["decisions"]
        if candidate is not None:
            for entry in decisions_in(resources.ledger.journal(resources.model), candidate.version):
                card = with_entry(card, entry)
        keep(resources, run_id, card)
        if candidate is not None:
            describe(resources, card, candidate.version)
    log.info("%s: the card of training %s is written", snapshot.model, snapshot.key[:12])
    return card_url(resources, run_id)
