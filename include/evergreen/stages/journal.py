"""What the journal holds is anchored outside of the ledger: in MLflow and in the task's log.

An entry is made with what it tells of, in one transaction; its anchors come after. A process that
dies in between leaves an entry that is not anchored yet: the next one that passes here, or
`maintain`, anchors it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from include.evergreen.contracts import JournalAnchor, JournalLink
from include.evergreen.errors import Unavailable
from include.evergreen.policy.journal import contents
from include.evergreen.policy.journal_export import Exported
from include.evergreen.stages.stores import Stores

log = logging.getLogger(__name__)

#: The form of an anchor in a log: `journal-anchor model=rides number=12 digest=<64 hex digits>`.
_LINE = re.compile(r"journal-anchor model=(\S+) number=(\d+) digest=([0-9a-f]{64})")


def anchor_entries(stores: Stores, model: str, *, now: dt.datetime) -> None:
    """Anchor every entry that is not anchored yet, the first one first.

    What is anchored with another digest is told as an error and left as it is: `make journal` says
    more. A registry that is away is told as a warning: nobody waits for it here.
    """
    for entry in stores.ledger.unanchored(model):
        try:
            anchor_entry(stores, model, entry, now=now)
        except Unavailable as error:
            log.warning("Entry %d of the journal is anchored later: %s", entry.number, error)
            return


def anchor_entry(stores: Stores, model: str, entry: JournalLink, *, now: dt.datetime) -> None:
    """Write an entry's digest to this log and to MLflow; again is harmless.

    Raises:
        Unavailable: MLflow does not answer; the log has it.
    """
    said = contents(entry.document)
    log.info("journal-anchor model=%s number=%d digest=%s", model, entry.number, entry.digest)
    anchor = stores.registry.anchor_journal(
        model,
        entry.number,
        entry.digest,
        version=said.get("to_version"),
        run_id=said.get("mlflow_run") or "",
    )
    if anchor.digest != entry.digest:
        log.error(
            "The journal of %s contradicts its anchor: entry %d has the digest %s, and %s holds "
            "%s. Somebody wrote the past anew, or the ledger was put back from a backup: see "
            "make journal MODEL=%s.",
            *(model, entry.number, entry.digest[:12], anchor.where, anchor.digest[:12], model),
        )
        return
    stores.ledger.mark_anchored(model, entry.number, now)


def collected(stores: Stores, model: str, logs: Path | None = None) -> Exported:
    """A model's journal with all anchors that are found, also while somebody appends to it.

    Entries are read after the anchors, so that no anchor is of one that is not among them; which
    of them were anchored is read before, so that none has an anchor that was not looked for.

    Raises:
        Unavailable: ledger or MLflow does not answer.
    """
    before = {entry.number for entry in stores.ledger.journal(model) if entry.anchored_at}
    anchors = stores.registry.journal_anchors(model)
    if logs is not None:
        anchors += anchors_in_logs(logs, model)
    entries = [
        entry if entry.number in before else dataclasses.replace(entry, anchored_at=None)
        for entry in stores.ledger.journal(model)
    ]
    return Exported(model, entries, anchors)


def anchors_in_logs(folder: Path, model: str) -> Iterator[JournalAnchor]:
    """Every anchor of a model that the logs below a folder hold."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                for found in _LINE.finditer(line):
                    if found[1] == model:
                        yield JournalAnchor(int(found[2]), found[3], f"{path}, line {number}")
