"""Tells a webhook when a run failed or a service is ill, and whether anybody has to get up.

The address comes from the Airflow connection `evergreen_alerts` (or `EVERGREEN_ALERT_WEBHOOK`);
without one nothing is sent and the log says so. The body is `{"text": …}`, which Slack,
Mattermost and most chat systems take as it is.
"""

from __future__ import annotations

import http.client
import json
import logging
import re
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow.sdk.configuration import conf
from airflow.sdk.log import redact

log = logging.getLogger(__name__)
TIMEOUT_S = 10.0
MAX_REASON = 2000
_LOGIN = re.compile(r"(?<=://)[^\s/@]+@")
_OF_A_TASK = ("ti", "task_instance", "exception")

#: stage -> what its failure means for the person on call.
MEANING = {
    "ingest": "New data waits or is in quarantine; the champion goes on serving. "
    "It can wait until morning.",
    "train": "No new challenger; the champion goes on serving. It can wait until morning.",
    "deploy": "The candidate was not staged; the earlier version still answers in staging. "
    "It can wait until morning.",
    "release": "Either what answered before does so again, or the new version answers and goes on "
    "being watched by the next run; the first line says which. Get up only if it says: Look now.",
    "rollback": "Somebody wanted another version back, and it is not certain that it answers: the "
    "first line says. Get up.",
    "retire": "The model is retired and some of it may still stand; the next try clears it away. "
    "It can wait until morning.",
    "maintain": "Some of what nobody needs was not cleared away; every model goes on serving. "
    "It can wait until morning.",
    "monitor": "Drift was not checked; the champion serves unwatched. Look within the day.",
}


def failure_text(context: Mapping[str, Any]) -> str:
    """What failed and why, what it means for the person on call, and where to look. No secrets."""
    run = context.get("dag_run")
    dag_id = str(getattr(run, "dag_id", None) or getattr(context.get("dag"), "dag_id", "unknown"))
    run_id = str(getattr(run, "run_id", None) or context.get("run_id") or "?")
    stage = dag_id.rsplit(".", 1)[-1]
    instance = context.get("ti") or context.get("task_instance")
    task_id = getattr(instance, "task_id", None)
    where = f"{dag_id}.{task_id}" if task_id else dag_id
    cause = context.get("exception") or context.get("reason") or "no reason given"
    look = getattr(instance, "log_url", None) or _run_url(dag_id, run_id)
    said = f"{where} failed in run {run_id}: {_without_secrets(str(cause))}"
    return "\n".join(line for line in (said, MEANING.get(stage, ""), f"Look at {look}") if line)


def _run_url(dag_id: str, run_id: str) -> str:
    base = str(conf.get("api", "base_url", fallback="http://localhost:8080/"))
    return f"{base.rstrip('/')}/dags/{dag_id}/runs/{quote(run_id)}"


def _without_secrets(reason: str) -> str:
    """A reason as it may leave the house: no login in an address, nothing that Airflow masks."""
    masked = str(redact(_LOGIN.sub("***@", reason)))
    return masked if len(masked) <= MAX_REASON else f"{masked[:MAX_REASON]} …"


def report_failure(context: Mapping[str, Any]) -> None:
    """Airflow's `on_failure_callback`: post the failure where a webhook is configured."""
    tell(failure_text(context))


def tell(text: str) -> None:
    """Post `text` where a webhook is configured, else say in the log that nobody was told."""
    from include.evergreen.airflow_lookup import alert_webhook

    webhook = alert_webhook()
    if not webhook:
        log.info("No alert sent, no webhook is configured (connection evergreen_alerts): %s", text)
        return
    post(webhook, text)


def report_failed_run(context: Mapping[str, Any]) -> None:
    """For a DAG: every run that failed. A task that was killed cannot report itself; this does."""
    report_failure({name: value for name, value in context.items() if name not in _OF_A_TASK})


def post(webhook: str, text: str) -> None:
    """Send `text`; an alert that cannot be delivered is logged as an error, never raised."""
    if not webhook.startswith(("http://", "https://")):
        log.error(
            "Alert not sent: the webhook of connection evergreen_alerts is no http(s) address."
        )
        return
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked above
        webhook, data=body, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            log.info("Alert sent, the webhook answered %s.", answer.status)
    except (OSError, http.client.HTTPException, ValueError) as error:
        # No traceback: it would carry the address, which is a secret.
        log.error("Alert not delivered (%s): %s", type(error).__name__, text)  # noqa: TRY400
