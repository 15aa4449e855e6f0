"""Which errors retry."""

import pytest

from include.evergreen.errors import (
    Busy,
    DriftReportFailed,
    EvergreenError,
    InputError,
    MaintenanceIncomplete,
    Unavailable,
    VerificationFailed,
    is_retryable,
)


def test_only_what_waiting_can_mend_is_retryable() -> None:
    retryable = {cls for cls in EvergreenError.__subclasses__() if cls.retryable}
    assert retryable == {Busy, Unavailable, DriftReportFailed, MaintenanceIncomplete}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unavailable("down"), True),
        (VerificationFailed("slow"), False),
        (InputError("no"), False),
        (OSError("disk"), True),
        (AttributeError("a bug"), False),
    ],
)
def test_the_error_itself_decides(error: Exception, expected: bool) -> None:
    assert is_retryable(error) is expected


def test_the_first_error_of_ours_along_the_causes_decides() -> None:
    outer = RuntimeError("outer")
    outer.__cause__ = InputError("inner")
    assert not is_retryable(outer)
