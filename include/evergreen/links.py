"""Links on a task in the Airflow UI: its MLflow run, model card, drift report, endpoint.

A task calls `show` once it knows the address; Airflow asks for the links in the same process
when the task ends, whether it succeeded or failed, and keeps the answer.
"""

from __future__ import annotations

from airflow.sdk import BaseOperatorLink
from airflow.sdk.bases.operator import BaseOperator

_shown: dict[str, str] = {}


class _ShownLink(BaseOperatorLink):
    """A link whose address the task itself published with `show`."""

    def get_link(self, operator: BaseOperator, *, ti_key: object) -> str:  # noqa: ARG002 - Airflow's signature
        return _shown.get(self.xcom_key, "")


class RunLink(_ShownLink):
    name = "MLflow run"


class DriftReportLink(_ShownLink):
    name = "Drift report"


class CardLink(_ShownLink):
    name = "Model card"


class EndpointLink(_ShownLink):
    name = "Running endpoint"


def show(link: type[_ShownLink], url: str) -> None:
    """Put `url` behind the link of the task that is running."""
    _shown[link().xcom_key] = url
