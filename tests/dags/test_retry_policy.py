"""Which errors retry, as Airflow's task runner asks."""

import pytest
from airflow.sdk import RetryAction

from include.evergreen.dag_kit import RetryWhatCanHelp
from include.evergreen.errors import FileRefused, SpecError, Unavailable


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (SpecError("refused"), RetryAction.FAIL),
        (FileRefused("encoding", "not UTF-8"), RetryAction.FAIL),
        (Unavailable("MLflow is down"), RetryAction.DEFAULT),
        (ConnectionResetError("reset"), RetryAction.DEFAULT),
        (TypeError("a bug"), RetryAction.FAIL),
        (raised_from(RuntimeError("wrapped"), SpecError("refused")), RetryAction.FAIL),
        (raised_from(RuntimeError("wrapped"), Unavailable("down")), RetryAction.DEFAULT),
    ],
)
def test_a_retry_happens_only_where_it_can_help(error: BaseException, action: RetryAction) -> None:
    decision = RetryWhatCanHelp().evaluate(error, try_number=1, max_tries=3)
    assert decision.action is action
