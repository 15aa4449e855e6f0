"""A failpoint strikes where and when it was told to, and cannot be armed by anything but the
environment.
"""

import ast
import os
import signal
import subprocess
import sys
import timeit
from pathlib import Path

import pytest

from include.evergreen import effects, fencing
from include.evergreen.effects import POINTS, Armed, FailpointReached, effect, mark_of, read
from include.evergreen.errors import LeaseLost
from include.evergreen.fencing import fenced

PROGRAM = """
from include.evergreen.effects import effect

@effect
def step(n):
    print("step", n, flush=True)

step(1)
step(2)
print("end", flush=True)
"""


def run(root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_process_dies_before_or_after_the_very_hit(project_root: Path) -> None:
    seen = {
        moment: run(project_root, EVERGREEN_FAILPOINT=f"__main__.step:{moment}")
        for moment in ("before", "after", "before:2", "after:2", "after:3")
    }
    killed = {moment: done.returncode == -signal.SIGKILL for moment, done in seen.items()}
    said = {moment: done.stdout.split("\n")[:-1] for moment, done in seen.items()}
    assert killed == {
        "before": True,
        "after": True,
        "before:2": True,
        "after:2": True,
        "after:3": False,
    }
    assert said == {
        "before": [],
        "after": ["step 1"],
        "before:2": ["step 1"],
        "after:2": ["step 1", "step 2"],
        "after:3": ["step 1", "step 2", "end"],
    }


def test_it_strikes_once_where_it_is_told_to(project_root: Path, tmp_path: Path) -> None:
    once = {"EVERGREEN_FAILPOINT_ONCE": str(tmp_path / "once")}
    armed = {"EVERGREEN_FAILPOINT": "__main__.step:after"}
    assert run(project_root, **armed, **once).returncode == -signal.SIGKILL
    assert run(project_root, **armed, **once).returncode == 0


def test_a_stopped_process_is_frozen_and_goes_on(project_root: Path) -> None:
    frozen = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=project_root,
        env={**os.environ, "EVERGREEN_FAILPOINT": "__main__.step:after:1:stop"},
        stdout=subprocess.PIPE,
        text=True,
    )
    _, status = os.waitpid(frozen.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.kill(frozen.pid, signal.SIGCONT)
    said, _ = frozen.communicate(timeout=30)
    assert said.split("\n")[-2] == "end"


def test_every_failpoint_passed_is_logged(project_root: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run(project_root, EVERGREEN_FAILPOINT_LOG=str(log)).returncode == 0
    passed = [line.split(" ", 1)[1] for line in log.read_text().splitlines()]
    assert passed == ["__main__.step before", "__main__.step after"] * 2


@effect
def some_effect(value: int) -> int:
    return value + 1


@read
def some_read(value: int) -> int:
    return value + 1


def test_an_armed_failpoint_can_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_FAILPOINT", "test_effects.some_effect:after:1:raise")
    with pytest.raises(FailpointReached, match=r"test_effects\.some_effect:after"):
        some_effect(1)


@pytest.mark.parametrize(
    "text",
    ["", "registry.set_alias", "a.b:during", "a.b:after:0", "a.b:after:1:explode", "a.b:after:x:y"],
)
def test_what_cannot_be_read_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="write point:before"):
        Armed.parse(text)


def test_marks_are_told_apart() -> None:
    assert (mark_of(some_read), mark_of(some_effect), mark_of(print)) == ("read", "effect", None)
    assert (some_effect(1), some_effect.__name__) == (2, "some_effect")


def test_without_its_lease_an_effect_does_nothing() -> None:
    def over() -> None:
        raise LeaseLost("somebody else took it")

    asking = effect(lambda: pytest.fail("it ran without its lease"))
    with fenced(over), pytest.raises(LeaseLost):
        asking()


def test_inside_of_two_leases_both_are_asked() -> None:
    asked: list[str] = []

    def outer() -> None:
        asked.append("outer")

    def inner() -> None:
        asked.append("inner")

    with fenced(outer):
        with fenced(inner):
            fencing.still_ours()
        fencing.still_ours()
    assert asked == ["outer", "inner", "outer"]


def test_the_ledger_asks_in_its_own_transaction() -> None:
    def over() -> None:
        pytest.fail("this question is itself an effect of the ledger")

    def write() -> str:
        return "written"

    write.__module__ = "include.evergreen.adapters.ledger.requests"
    try:
        with fenced(over):
            assert effect(write)() == "written"
    finally:
        del POINTS["ledger.write"]


def test_unarmed_it_costs_microseconds() -> None:
    repeats = 2_000
    seconds = min(timeit.repeat(lambda: some_effect(1), number=repeats, repeat=5))
    assert seconds / repeats < 50e-6, "generous: a busy machine; 2 microseconds on a quiet one"


def test_nothing_but_the_environment_arms_it(project_root: Path) -> None:
    """It imports nothing that knows specs, params or connections, and nobody else names it."""
    tree = ast.parse(Path(effects.__file__).read_text())
    imported = {
        name if name == fencing.__name__ else name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert imported <= {*sys.stdlib_module_names, "__future__", fencing.__name__}
    naming = [
        path
        for folder in ("include", "dags", "plugins", "config")
        for path in (project_root / folder).rglob("*.py")
        if "EVERGREEN_FAILPOINT" in path.read_text(encoding="utf-8")
        or "effects.ARMED" in path.read_text(encoding="utf-8")
    ]
    assert naming == [Path(effects.__file__)]
    assert "FAILPOINT" not in (project_root / "airflow_settings.yaml").read_text()
