"""Model cards tell who let their versions out, and what became of them: copied from the journal.

The journal is the record and a card its picture. So what keeps a card from being told (there is
none, somebody is writing it, MLflow is away) is logged, and stops no release: the next decision
on the model brings what is missing, and so does writing the card again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from include.evergreen.contracts import JournalLink
from include.evergreen.errors import Unavailable
from include.evergreen.policy.journal import contents
from include.evergreen.stages.deploy.build import recorded_candidate
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.card.decisions import ITSELF, decisions_in
from include.evergreen.stages.training.card.kept import add_decisions

log = logging.getLogger(__name__)

#: The versions that so many of the newest entries are about are looked at: a few releases.
LOOK_BACK = 40


def tell_cards(resources: Resources) -> None:
    """The cards of the versions decided on lately have all that the journal says of them.

    Repeated, it changes nothing. Nothing that goes wrong with a card is an error here.
    """
    journal = resources.ledger.journal(resources.model)
    for version in _decided_on(journal[-LOOK_BACK:]):
        try:
            run = recorded_candidate(resources, version).run_id
            add_decisions(resources, run, decisions_in(journal, version))
        except Unavailable as error:
            log.warning("Model cards are told of the last decisions with the next one: %s", error)
            return
        except Exception as error:  # noqa: BLE001 - a release does not depend on its picture
            log.warning(
                "The model card of %s v%d is not told of the last decisions: %s: %s",
                *(resources.model, version, type(error).__name__, error),
            )


def _decided_on(entries: Sequence[JournalLink]) -> Iterator[int]:
    """The versions that these entries decide on, each once, the last one first."""
    seen: set[int] = set()
    for entry in reversed(entries):
        said = contents(entry.document)
        if said.get("kind") in ITSELF:
            continue
        for version in (said.get("to_version"), said.get("from_version")):
            if isinstance(version, int) and version not in seen:
                seen.add(version)
                yield version
