"""The steps of the demo with their times, shown while they run and kept for the summary."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from include.evergreen.cli.loop.screen import Row, Screen


@dataclass
class Step:
    name: str
    state: str = "waiting"
    detail: str = ""
    began: float = 0.0
    seconds: float | None = None


class Steps:
    """All steps in their order; one at a time runs."""

    def __init__(self, names: Sequence[str], shown: Screen) -> None:
        self._steps = {name: Step(name) for name in names}
        self._screen = shown
        self._note = ""

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """The step runs for as long as the block; an exception marks it failed."""
        step = self._steps[name]
        step.state, step.began = "running", time.monotonic()
        self.refresh()
        try:
            yield step
        except BaseException:
            step.state = "failed"
            raise
        else:
            step.state = "done"
        finally:
            step.seconds = (step.seconds or 0.0) + time.monotonic() - step.began
            self._note = ""
            self.refresh()

    def skip(self, name: str, why: str) -> None:
        step = self._steps[name]
        step.state, step.detail = "skipped", why
        self.refresh()

    def tell(self, step: Step, detail: str, note: str = "") -> None:
        """What a running step is at; a note is shown below the table."""
        step.detail, self._note = detail, note
        self.refresh()

    def refresh(self) -> None:
        now = time.monotonic()
        rows = [
            Row(
                step.name,
                step.state,
                step.detail,
                now - step.began if step.state == "running" else step.seconds,
            )
            for step in self._steps.values()
        ]
        self._screen.show(rows, self._note)

    def as_json(self) -> list[dict[str, object]]:
        """The steps that ran, each with its seconds."""
        return [
            {"name": step.name, "seconds": round(step.seconds, 1)}
            for step in self._steps.values()
            if step.seconds is not None
        ]
