"""The one file of Evergreen that Airflow executes as a plugin: it registers, and does nothing else.

Airflow runs every `.py` below `plugins/` and files it under its bare name, so all code lives in
`include/` and only this thin file is here (ADR 3).
"""

import os
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from include.evergreen import links


def _navigation() -> list[dict[str, Any]]:
    """Entries of Airflow's menu that lead out of it: MLflow, where its public address is known."""
    address = os.environ.get("EVERGREEN_MLFLOW_PUBLIC_URL", "")
    if not address.startswith(("http://", "https://")):
        return []
    return [{"name": "MLflow", "href": address, "destination": "nav", "category": "browse"}]


class EvergreenPlugin(AirflowPlugin):
    name = "evergreen"
    operator_extra_links: ClassVar[list[Any]] = [
        links.RunLink(),
        links.CardLink(),
        links.DriftReportLink(),
        links.EndpointLink(),
    ]
    external_views: ClassVar[list[Any]] = _navigation()
