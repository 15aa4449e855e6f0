"""What a run of `maintain` did or would do, in words: to the log and to the ledger's decisions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.evergreen.policy.retention_facts import Decided
from include.evergreen.stages.maintain.parts import NOBODY, Installation

if TYPE_CHECKING:
    from include.evergreen.stages.maintain.maintain import Outcome

log = logging.getLogger(__name__)

STAGE = "maintain"
#: Under this name stands in the ledger what belongs to no model.
NO_MODEL = "(no model)"
SHOWN = 50
_NAMED = 10


def tell(outcome: Outcome, *, dry_run: bool) -> None:
    """One line a decision, before anything is done."""
    would = "would " if dry_run else ""
    for decided in outcome.done:
        log.info("%s%s", would, _line(decided))
    for decided in outcome.kept:
        log.info("%s", _line(decided))
    count = len(outcome.done)
    log.info("%d to be %sdone, %d kept.", count, would, len(outcome.kept))


def record(
    installation: Installation, models: Sequence[str], outcome: Outcome, *, dry_run: bool
) -> None:
    """One decision a model; the same one again is counted, not repeated."""
    for model in models:
        done = [decided for decided in outcome.done if decided.thing.model == model]
        kept = [decided for decided in outcome.kept if decided.thing.model == model]
        failed = [f"{what}: {why}" for of, what, why in outcome.failed if of == model]
        if model == NOBODY and not (done or failed):
            continue
        details: dict[str, Any] = {
            "done": [_line(decided) for decided in done[:SHOWN]],
            "kept": [_line(decided) for decided in kept[:SHOWN]],
            "kept_in_all": len(kept),
            "failed": failed[:SHOWN],
            "retention_days": installation.rules.retention.total_seconds() / 86_400,
        }
        verdict = "dry_run" if dry_run else "incomplete" if failed else "done"
        installation.ledger.record_decision(
            model or NO_MODEL, STAGE, verdict, summary(done, failed), details, installation.now
        )


def summary(done: Sequence[Decided], failed: Sequence[str] = ()) -> str:
    """`2 removed (1 image, 1 study), 1 finished (1 run)`."""
    words = []
    for action, past in (("remove", "removed"), ("finish", "finished")):
        kinds = Counter(d.thing.kind.replace("_", " ") for d in done if d.action == action)
        if kinds:
            listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
            words.append(f"{kinds.total()} {past} ({listed})")
    if failed:
        words.append(f"{len(failed)} failed")
    return ", ".join(words) or "nothing to remove or to finish"


def failure_message(outcome: Outcome) -> str:
    """Everything that failed, ten at most by name, and what to do."""
    lines = [f"- {what}: {why}" for _, what, why in outcome.failed[:_NAMED]]
    more = len(outcome.failed) - _NAMED
    lines += [f"- and {more} more"] if more > 0 else []
    return (
        f"{len(outcome.failed)} could not be done, {len(outcome.done)} were:\n"
        + "\n".join(lines)
        + "\nThe next run tries them again; clear the task to try now."
    )


def _line(decided: Decided) -> str:
    thing = decided.thing
    of = f" of {thing.model}" if thing.model else ""
    return f"{decided.action} {thing.kind.replace('_', ' ')} {thing.name}{of}: {decided.reason}"
