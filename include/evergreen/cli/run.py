"""Puts a file into a model's landing zone and watches it go around the loop: `make run`.

`python -m include.evergreen.cli.run --model bike_demand [--data rides.csv] [--timeout 1800]`

Starts Airflow and MLflow if they do not run. Without a file it asks for a training by hand. Exit
status: 0 a new version is verified in staging (what becomes of it in production is said, and not
waited for); 3 there is none, and that is right (the challenger lost, or it is too early: the reason
is said); 4 the file is in quarantine; 1 a task failed; 2 it was asked for wrongly; 5 it was still
going on after the timeout (and goes on).
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from include.evergreen import settings as installation
from include.evergreen.adapters.landing import open_landing
from include.evergreen.adapters.landing.delivery import deliver
from include.evergreen.cli.loop.outcome import Facts, Outcome, Status, outcome_of
from include.evergreen.cli.loop.screen import Row, Screen, screen
from include.evergreen.cli.loop.watch import LOOP, Watch, wait_for_dags
from include.evergreen.cli.stack import services, stack_settings, up
from include.evergreen.errors import EvergreenError, InputError
from include.evergreen.settings import Settings
from include.evergreen.spec import ModelSpec, load_specs

TIMEOUT_S = 1800.0
DAGS_TIMEOUT_S = 120.0
POLL_S = 1.0
#: Stages whose decisions say nothing of a training.
_OF_OTHERS = ("monitor", "release", "service", "staging_service")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    settings = installation.load()
    try:
        spec, data = _asked(options, settings)
    except EvergreenError as error:
        sys.stderr.write(f"{error}\n")
        return Status.REFUSED
    try:
        services.prepare_in_background(settings, spec.model)
        up(settings, print)
        with screen() as shown:
            outcome = _walk(stack_settings(settings), spec, data, options.timeout, shown)
    except EvergreenError as error:
        sys.stderr.write(f"{error}\n")
        return Status.FAILED
    except KeyboardInterrupt:
        sys.stderr.write("Not watched any more; the loop goes on in the background.\n")
        return 130
    print(f"{spec.model}: {outcome.reason} (status {outcome.status:d})")
    return outcome.status


def _asked(options: argparse.Namespace, settings: Settings) -> tuple[ModelSpec, Path | None]:
    """The spec and the file meant.

    Raises:
        InputError: there is no such model, or no such file; SpecError: its spec is refused.
    """
    loaded = load_specs(settings.models_dir)
    if options.model not in loaded.specs:
        refused = [refusal.message for refusal in loaded.refusals]
        known = ", ".join(sorted(loaded.specs)) or "none"
        message = (
            f"There is no model {options.model!r}; there are: {known}. "
            "`make model NAME= DATA= TARGET=` writes the spec of a new one."
        )
        raise InputError("\n".join([message, *refused]))
    data = Path(options.data).expanduser() if options.data else None
    if data is not None and not data.is_file():
        raise InputError(f"There is no file {data}.")
    return loaded.specs[options.model], data


def _walk(
    settings: Settings, spec: ModelSpec, data: Path | None, timeout_s: float, shown: Screen
) -> Outcome:
    """From the file (or the wish) to the end of the loop."""
    since = dt.datetime.now(dt.UTC)
    watch = Watch(settings, spec.model, since)
    wait_for_dags(watch, DAGS_TIMEOUT_S, lambda note: shown.show([], note))
    landed = {}
    if data is not None:
        landing = open_landing(spec.landing_uri(settings), settings)
        file, digest = deliver(data, landing, now=since)
        landed[file.uri] = digest
        shown.say(f"{data} is in the landing zone: {file.uri}")
    else:
        shown.say(_pending(watch))
        conf = {"reason": "asked for by hand, with make run"}
        watch.airflow().trigger(f"{spec.model}.train", conf, note="make run")
    asks = spec.deployment.approval == "required"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        facts = watch.facts(landed)
        shown.show(rows_of(facts, data), facts.note)
        if (outcome := outcome_of(facts, since, asks=asks)) is not None:
            return outcome
        time.sleep(POLL_S)
    return Outcome(
        Status.STILL_GOING,
        f"still going on after {timeout_s:.0f} s; it is not stopped, look into Airflow",
    )


def _pending(watch: Watch) -> str:
    waiting = watch.ledger.pending_requests(watch.model)
    if not waiting:
        return "No request to retrain is pending; one is asked for by hand."
    reasons = ", ".join(f"{request.reason} ({request.cause[:40]})" for request in waiting[:5])
    return f"{len(waiting)} requests to retrain are pending: {reasons}. They are claimed now."


def rows_of(facts: Facts, data: Path | None) -> list[Row]:
    """What is shown: a line a stage, with its newest run and the tasks that run in it."""
    rows = []
    for stage in LOOP:
        if stage == "ingest" and data is None:
            continue
        found = facts.runs.get(stage, ())
        if not found:
            rows.append(Row(stage, "waiting"))
            continue
        run = found[0]
        state = {"success": "done", "failed": "failed"}.get(run.state, "running")
        tasks = [name.split(".", 1)[1] for name in facts.running if name.startswith(f"{stage}.")]
        detail = ", ".join(tasks) if state == "running" else _said(stage, facts)
        rows.append(Row(stage, state, detail, _seconds(run.started_at, run.ended_at)))
    return rows


def _said(stage: str, facts: Facts) -> str:
    """What a finished stage has to tell."""
    if stage == "ingest" and facts.file is not None:
        file = facts.file
        return (
            f"{file.state}: {file.rows_appended:,} rows in, {file.rows_quarantined:,} quarantined"
        )
    if stage == "train" and facts.decisions:
        newest = next((d for d in facts.decisions if d.stage not in _OF_OTHERS), None)
        return f"{newest.verdict.replace('_', ' ')}: {newest.reason}" if newest else ""
    if stage == "deploy" and facts.deployment is not None:
        return f"v{facts.deployment.version} answers at {facts.deployment.service.endpoint}"
    return ""


def _seconds(started_at: str, ended_at: str) -> float | None:
    if not started_at:
        return None
    end = dt.datetime.fromisoformat(ended_at) if ended_at else dt.datetime.now(dt.UTC)
    return (end - dt.datetime.fromisoformat(started_at)).total_seconds()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="the name of a spec in include/models")
    parser.add_argument("--data", default="", help="a file of rows; left out: train by hand")
    parser.add_argument(
        "--timeout",
        type=lambda text: float(text) if text else TIMEOUT_S,
        default=TIMEOUT_S,
        help=f"seconds to watch, {TIMEOUT_S:.0f} if left out",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
