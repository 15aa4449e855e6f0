"""The errors Evergreen raises, and whether trying again can help.

Every error of ours descends from `EvergreenError` and carries `retryable`. The retry rule of
`dag_kit` reads it along the chain of causes, so a stage never decides about retries itself:
it says what happened. What is not ours (a socket that closed, a database that was restarted)
is taken as retryable unless it is a programming error.
"""

from __future__ import annotations

import datetime as dt


class EvergreenError(Exception):
    """Root of all errors raised on purpose. `retryable` says whether a second try can help."""

    retryable = False


class SpecError(EvergreenError, ValueError):
    """A model's YAML was refused; the message says where, what was seen and what is allowed."""


class SettingsError(EvergreenError, ValueError):
    """The installation's own settings are missing or contradict each other."""


class InputError(EvergreenError, ValueError):
    """What a person typed into a trigger form or a command is out of bounds."""


class FileRefused(EvergreenError, ValueError):
    """A landed file cannot be taken; it is quarantined and the rest goes on.

    `rule` is the short name under which the quarantine table files it. The message may quote the
    file: what is no printable character is written as its escape, so that it can be stored.
    """

    def __init__(self, rule: str, message: str) -> None:
        plain = (c if c.isprintable() else ascii(c)[1:-1] for c in message)
        super().__init__("".join(plain))
        self.rule = rule


class FileUnreadable(EvergreenError, OSError):
    """The landing zone would not hand a file over (no permission): a person must act."""


class FileChanged(EvergreenError):
    """A file was changed or taken away between being listed and being read: look again later."""


class FileStillGrowing(EvergreenError, TimeoutError):
    """Somebody has been writing to a landed file for longer than the spec is willing to wait."""


class QuarantineOverflow(EvergreenError):
    """Too large a share of a file broke the contract: the file stops, nothing of it is appended."""


class BuilderRefused(EvergreenError, ValueError):
    """A user's estimator builder cannot be served: it imports what the serving image lacks."""


class TrainingFailed(EvergreenError):
    """A search ended without one trial that can be used: the data or the spec must change."""


class ArtifactRefused(EvergreenError, ValueError):
    """A model's files are not what was recorded when they were made, or not what may be loaded."""


class VerificationFailed(EvergreenError):
    """The candidate container did not prove itself; the earlier one still answers."""


class NotApproved(EvergreenError):
    """A version that somebody has to approve was not: production is as it was."""


class ReleaseAborted(EvergreenError):
    """A version's strategy ended with no: what answered before it answers every request."""


class ReleaseRolledBack(EvergreenError):
    """A version that had been released does not answer any more; the message says what does."""


class NotInLake(EvergreenError, LookupError):
    """A table, a version of one or a part of a snapshot was asked for that the lake has not."""


class Busy(EvergreenError):
    """Somebody else holds this piece of work; `until` is when their lease ends unless renewed."""

    retryable = True

    def __init__(self, message: str, until: dt.datetime) -> None:
        super().__init__(message)
        self.until = until


class LeaseLost(EvergreenError):
    """Somebody else took over this piece of work while we were away: stop without an effect."""


class LedgerConflict(EvergreenError):
    """What was asked contradicts what the ledger holds; doing it again cannot help."""


class Unavailable(EvergreenError, ConnectionError):
    """A service we depend on does not answer now. A retry can help."""

    retryable = True


class Unsupported(EvergreenError):
    """What was asked cannot be had of this runtime at all; the caller does without, and says so."""


class DriftReportFailed(EvergreenError):
    """The report could not be made; the verdict stands in the ledger. A retry makes it only."""

    retryable = True


class MaintenanceIncomplete(EvergreenError):
    """Some removals failed, and all of them are named; the others were done. A retry takes up the
    rest.
    """

    retryable = True


def is_retryable(error: BaseException) -> bool:
    """Whether a second try can help, read along the chain of causes.

    The first error of ours in the chain decides. Without one, programming errors (TypeError,
    AttributeError, NameError, ImportError, AssertionError) do not retry, and all else does.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, EvergreenError):
            return seen.retryable
        seen = seen.__cause__ or seen.__context__
    return not isinstance(
        error, TypeError | AttributeError | NameError | ImportError | AssertionError
    )
