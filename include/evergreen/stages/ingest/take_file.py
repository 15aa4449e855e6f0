"""Takes one landed file in, whatever happens in between: claimed, recorded, then acknowledged.

The order of effects makes a crash at any point harmless: claim, bad rows to quarantine, good rows
to the lake, request to retrain, claim finished, file acknowledged. What runs again finds each of
them done: both commits carry the file's digest and the contract's as their transaction.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from include.evergreen.contracts import FileOutcome, LandedFile
from include.evergreen.errors import FileRefused, LeaseLost
from include.evergreen.stages.ingest.append_batches import Taken, append_file, put_aside
from include.evergreen.stages.ingest.file_content import too_large
from include.evergreen.stages.ingest.parse_files import parse_file
from include.evergreen.stages.ingest.quarantine_table import Origin
from include.evergreen.stages.ingest.row_contract import RowContract
from include.evergreen.stages.leases import renewing
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

_REFUSED = {
    "symlink": "is a symbolic link",
    "fifo": "is a FIFO",
    "socket": "is a socket",
    "device": "is a device",
    "unreadable_directory": "is a directory that may not be listed",
    "too_deep": "lies in folders nested too deep",
}


@dataclass
class Intake:
    """What taking files needs: one model, an owner of claims, and a clock that starts at a time."""

    resources: Resources
    owner: str
    started_at: dt.datetime
    _started: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> dt.datetime:
        """The time it would be on the clock that was handed in."""
        return self.started_at + dt.timedelta(seconds=time.monotonic() - self._started)

    @cached_property
    def contract_digest(self) -> str:
        return self.resources.spec.contract_digest()

    @cached_property
    def contracts(self) -> dict[str, RowContract]:
        """By kind of file: rows, labels."""
        spec = self.resources.spec
        return {"rows": RowContract(spec), "labels": RowContract(spec, "labels")}

    def take(self, file: LandedFile) -> FileOutcome | None:
        """Take one file; None if somebody else holds it now (then it is not acknowledged).

        Raises:
            FileUnreadable: no permission.
            FileChanged: it is not what was listed any more.
        """
        limit = self.resources.spec.data.limits.max_bytes
        if file.refused:
            reason = f"{file.uri} {_REFUSED.get(file.refused, 'is no regular file')}. Not opened."
            return self._take_as(file, _unopened(file), FileRefused(file.refused, reason))
        if file.size_bytes > limit:
            return self._take_as(file, _unopened(file), too_large(file.uri, limit))
        landing = self.resources.landing
        if file.kind == "labels" and self.resources.label_landing is not None:
            landing = self.resources.label_landing
        with tempfile.TemporaryDirectory(dir=self._work_dir(), prefix="file-") as work:
            copy = Path(work, "landed")
            return self._take_as(file, landing.download(file, copy), copy)

    def postpone(self, file: LandedFile) -> None:
        """Let all others go first the next time: the file could not be read."""
        ledger, model = self.resources.ledger, self.resources.model
        ledger.postpone_landed(model, file.uri, file.fingerprint, self.now)

    def _take_as(
        self, file: LandedFile, digest: str, content: Path | FileRefused
    ) -> FileOutcome | None:
        origin = Origin(file.uri, digest, file.kind, self.contract_digest, self.now)
        outcome = self.once(origin, lambda: self._ingest(origin, content))
        if outcome is not None:
            self.resources.ledger.acknowledge_landed(
                self.resources.model, file.uri, file.fingerprint, digest, self.now
            )
        return outcome

    def once(self, origin: Origin, work: Callable[[], Taken]) -> FileOutcome | None:
        """Do `work` under a claim, once ever for the file's digest and the contract's.

        The claim is renewed while the work goes on, however long the file is, and ends soon after
        its process did: another run need not wait for long.
        """
        ledger, model = self.resources.ledger, self.resources.model
        lease_s = self.resources.lease_s
        key = (model, origin.digest, origin.contract_digest)
        claim = ledger.claim_file(*key, origin.uri, origin.kind, self.owner, self.now, lease_s)
        if claim.state == "busy":
            log.warning("%s: another run is taking it in, and it is left to that run", origin.uri)
            return None
        if claim.state == "known":
            return _known(origin, claim.outcome)
        with renewing(
            lambda: ledger.renew_file(*key, claim.fence, self.now, lease_s),
            what=origin.uri,
            lease_s=lease_s,
        ):
            taken = work()
        outcome = taken.outcome
        if outcome.rows_appended:
            details = {"rows": outcome.rows_appended, "uri": origin.uri, "kind": origin.kind}
            cause = f"{origin.kind}:{origin.digest}:{origin.contract_digest}"
            ledger.request_retrain(model, "new_data", cause, details, self.now)
        try:
            ledger.finish_file(*key, claim.fence, outcome, taken.data_version, self.now)
        except LeaseLost as error:
            log.warning("%s: %s", origin.uri, error)
            return None
        _log(outcome)
        return outcome

    def _ingest(self, origin: Origin, content: Path | FileRefused) -> Taken:
        try:
            if isinstance(content, FileRefused):
                raise content
            return self._read(origin, content)
        except FileRefused as refusal:
            return put_aside(self.resources, origin, refusal)

    def _read(self, origin: Origin, path: Path) -> Taken:
        data, contract = self.resources.spec.data, self.contracts[origin.kind]
        parsed = parse_file(
            path,
            uri=origin.uri,
            data_format=data.format,
            wanted=contract.names,
            limits=data.limits,
        )
        extra = contract.check_header(origin.uri, parsed.columns)
        if extra:
            names = ", ".join(name[:80] for name in extra[:10])
            log.info("%s: %d columns that the contract does not name are kept out: %s",
                     origin.uri, len(extra), names)  # fmt: skip
        return append_file(self.resources, contract, origin, parsed.batches)

    def _work_dir(self) -> Path:
        directory = self.resources.settings.work_dir / "ingest"
        directory.mkdir(parents=True, exist_ok=True)
        return directory


def _unopened(file: LandedFile) -> str:
    """What stands for the digest of a file that is never opened: its address and fingerprint."""
    return hashlib.sha256(f"unopened:{file.uri}:{file.fingerprint}".encode()).hexdigest()


def _known(origin: Origin, earlier: FileOutcome | None) -> FileOutcome:
    before = earlier or FileOutcome(origin.uri, origin.digest, "known")
    if before.state == "stopped" and before.uri == origin.uri:
        return before  # a retry after a crash: somebody still has to be told
    reason = f"The same content was {before.state} before, as {before.uri}; nothing was done."
    log.info("%s: %s", origin.uri, reason)
    return FileOutcome(
        origin.uri, origin.digest, "known", rule=before.rule, reason=reason, kind=origin.kind
    )


def _log(outcome: FileOutcome) -> None:
    level = logging.INFO if outcome.state == "appended" else logging.WARNING
    log.log(level, "%s: %s, %d rows appended, %d quarantined. %s", outcome.uri, outcome.state,
            outcome.rows_appended, outcome.rows_quarantined, outcome.reason)  # fmt: skip
