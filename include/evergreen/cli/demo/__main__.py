"""Shows the whole loop on simulated rides: `make demo`. Takes no arguments; may be run again.

Starts Airflow and MLflow, lets a first model be trained, staged and released, lets the world drift,
and waits until a better model has taken over in production without a request lost. All of it stays
up until `make down`. The figures are in `.evergreen/demo/summary.json`.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.evergreen import settings as installation
from include.evergreen.cli.demo import world
from include.evergreen.cli.demo.clock import Steps
from include.evergreen.cli.demo.story import STACK, STEPS, Ending, Story
from include.evergreen.cli.loop.screen import screen
from include.evergreen.cli.loop.watch import Watch
from include.evergreen.cli.stack import StackState, services, stack_settings, up
from include.evergreen.cli.stack.state import USER, read_password
from include.evergreen.errors import EvergreenError
from include.evergreen.settings import Settings
from include.evergreen.spec import load_specs
from include.evergreen.stages.resources import Resources

SUMMARY = "demo/summary.json"


def main() -> int:
    """0 when a better model has taken over, 1 when not, with the reason."""
    settings = installation.load()
    began = time.monotonic()
    ending, steps, failure = Ending(), None, ""
    try:
        with screen() as shown:
            steps = Steps(STEPS, shown)
            with steps.step(STACK) as step:
                services.prepare_in_background(settings, world.MODEL)
                state = up(settings, lambda _: None)
                step.detail = f"{state.airflow_url}, {state.mlflow_url}"
            settings = stack_settings(settings)
            spec = load_specs(settings.models_dir, only=world.MODEL).specs[world.MODEL]
            watch = Watch(settings, spec.model, dt.datetime.now(dt.UTC))
            story = Story(Resources(spec, settings), watch, steps)
            ending = story.ending
            story.tell()
    except EvergreenError as error:
        failure = str(error)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; the loop goes on. `make demo` takes it up again.\n")
        return 130
    _write_summary(settings, steps, ending, failure)
    if steps is not None:
        _show_ending(settings, steps, ending, failure, time.monotonic() - began)
    return 1 if failure else 0


def _urls(settings: Settings, ending: Ending) -> dict[str, str]:
    from include.evergreen.cli.stack import read_state

    state: StackState | None = read_state(settings.home)
    return {
        "airflow": state.airflow_url if state else "",
        "mlflow": state.mlflow_url if state else "",
        "endpoint": ending.endpoint,
        "staging": ending.staging,
        "drift_report": ending.drift_report,
    }


def _write_summary(settings: Settings, steps: Steps | None, ending: Ending, failure: str) -> None:
    document: dict[str, Any] = {
        "ok": not failure,
        "runtime": ending.runtime,
        "steps": steps.as_json() if steps else [],
        "versions": ending.versions,
        "metric": ending.metric,
        "metric_before": ending.metric_before,
        "metric_after": ending.metric_after,
        "shares": [
            {"share": share.share, "at": share.at.isoformat(), "why": share.why}
            for share in ending.shares
        ],
        "requests_while_it_took_over": {"answered": ending.answered, "lost": ending.lost},
        "journal": ending.journal,
        "urls": _urls(settings, ending),
    }
    if failure:
        document["failure"] = failure
    path = settings.home / SUMMARY
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _table(steps: Steps) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Step")
    table.add_column("Seconds", justify="right")
    for step in steps.as_json():
        table.add_row(str(step["name"]), f"{step['seconds']}")
    return table


def _show_ending(
    settings: Settings, steps: Steps, ending: Ending, failure: str, seconds: float
) -> None:
    console = Console(highlight=False)
    if failure:
        console.print(Text(f"\nThe demo did not get to its end: {failure}", "red"), soft_wrap=True)
        console.print("The logs of the parts are under .evergreen/logs; `make down` stops it all.")
        return
    if ending.runtime == "process":
        console.print(
            "\nNo container engine answers here (or it has no base image): the models run as "
            "plain processes."
        )
    console.print()
    if not console.is_terminal:  # there the live table has stayed
        console.print(_table(steps))
        console.print()
    urls = _urls(settings, ending)
    better = (
        f"{ending.metric} {ending.metric_before:.2f} before, {ending.metric_after:.2f} after, "
        "on the same fresh days"
    )
    asked = f"{ending.answered:,} requests answered while it took over, {ending.lost} lost"
    login = f"{urls['airflow']}   user {USER}, password {read_password(settings.home)}"
    for name, value in (
        ("Versions", " -> ".join(f"v{version}" for version in ending.versions)),
        ("Better", better),
        ("Release", ending.release),
        ("Requests", asked),
        ("Drift", ending.drift_reason),
        ("Airflow", login),
        ("MLflow", urls["mlflow"]),
        ("Production", urls["endpoint"]),
        ("Staging", urls["staging"]),
        ("Journal", ending.journal),
        ("Drift report", urls["drift_report"]),
    ):
        # Addresses stay in one piece, to be clicked or copied.
        console.print(Text.assemble((f"{name:<13}", "bold"), value), soft_wrap=True)
    console.print(Text(f"\n{ending.curl}\n"), soft_wrap=True)
    console.print(f"Took {seconds:.0f} s. Everything stays up until `make down`.")


if __name__ == "__main__":
    sys.exit(main())
