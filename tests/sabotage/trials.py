"""Trains a saboteur beside a champion, and has it judged: as it is, and without its gate."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.studies import Study
from include.evergreen.contracts import Fitted, GateName, Judgement, Snapshot
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.training import judge, run_gates
from include.evergreen.stages.training.contest import Contest
from tests.sabotage.saboteurs import GATE_NAMES, Saboteur
from tests.sabotage.worlds import Frame, World
from tests.unit.stages.training.conftest import Loop

MODELS = Path(__file__).parent / "models"
#: For the training of a champion that no gate would let through today.
NO_GATES = {"modes": dict.fromkeys(GATE_NAMES, "off")}


def hollow(contest: Contest) -> Finding:
    """A gate that lets everything through."""
    del contest
    return Finding(True, "whatever it is", "nothing")


@dataclass(frozen=True)
class Trial:
    """What became of a saboteur: the judge's word, and what it would have been without the gate.

    Args:
        loop: the home it was trained in.
        snapshot: its training.
        fitted: its model.
        word: the judge's, which stands in the ledger.
        off: of the same contest with the saboteur's gate turned off in the spec.
        hollowed: of the same with the gate's place in `GATES` taken by one that always passes.
    """

    loop: Loop
    snapshot: Snapshot
    fitted: Fitted
    word: Judgement
    off: Judgement
    hollowed: Judgement


class Homes:
    """Homes with a champion. Each champion is trained once, and each saboteur gets a copy."""

    def __init__(self, under: Path, empty_mlflow: Path) -> None:
        self._under = under
        self._empty_mlflow = empty_mlflow
        self._made: dict[tuple[str, ...], Path] = {}

    def copy_for(self, saboteur: Saboteur, to: Path) -> Path:
        """A new home with the champion whose place the saboteur wants."""
        rows = saboteur.world.known()
        name = (str(saboteur.world.spec["model"]), saboteur.champion)
        if saboteur.since_ever:
            rows, name = saboteur.tamper(rows), (*name, saboteur.tamper.__name__)
        if name not in self._made:
            home = self._under / "-".join(name)
            self._made[name] = self._crown(saboteur.world, saboteur.champion, rows, home)
        shutil.copytree(self._made[name], to)
        return to

    def _crown(self, world: World, champion: str, rows: Frame, home: Path) -> Path:
        (home / "mlflow").mkdir(parents=True)
        shutil.copyfile(self._empty_mlflow, home / "mlflow" / "mlflow.db")
        loop = loop_in(home, world.made(champion, NO_GATES, {}))
        loop.ingest(rows)
        _, _, word, candidate = loop.train()
        assert word.verdict == "won", word.reason
        loop.crown(candidate)
        return home


def loop_in(home: Path, spec: ModelSpec) -> Loop:
    settings = evergreen_settings.load({"EVERGREEN_HOME": str(home)})
    return Loop(spec, dataclasses.replace(settings, models_dir=MODELS))


def try_saboteur(saboteur: Saboteur, home: Path, patch: pytest.MonkeyPatch) -> Trial:
    """The real steps of a training up to the judge's word, in a home with a champion."""
    world = saboteur.world
    loop = loop_in(home, world.made(saboteur.build, saboteur.strict, saboteur.training))
    loop.appended = loop.runs = 1  # the champion's
    loop.ingest(saboteur.tamper(world.new()))
    snapshot = loop.freeze(loop.claim())
    assert snapshot is not None, loop.last_reason()
    loop.tune(snapshot)
    fitted = loop.fit(snapshot)
    others: list[Judgement] = []

    def judge_thrice(contest: Contest) -> Judgement:
        """While the challenger's bundle is there: it is deleted when it has lost."""
        others.extend(without(saboteur.gate, contest, patch))
        return run_gates.judge_contest(contest)

    patch.setattr(run_gates, "GATES", {name: once(gate) for name, gate in run_gates.GATES.items()})
    patch.setattr(judge, "judge_contest", judge_thrice)
    word = loop.judge(snapshot, fitted)
    return Trial(loop, snapshot, fitted, word, *others)


def once(gate: Callable[[Contest], Finding]) -> Callable[[Contest], Finding]:
    """A gate that measures the first time it is asked; the contest is the same each time."""
    found: list[Finding] = []

    def ask(contest: Contest) -> Finding:
        if not found:
            found.append(gate(contest))
        return found[0]

    return ask


def without(gate: GateName, contest: Contest, patch: pytest.MonkeyPatch) -> list[Judgement]:
    """The judge's word with this gate off in the spec, and with a hollow one in its place."""
    gates = contest.spec.gates
    modes = gates.model_copy(update={"modes": {**gates.modes, gate: "off"}})
    spec = contest.spec.model_copy(update={"gates": modes})
    off = run_gates.judge_contest(dataclasses.replace(contest, spec=spec))
    with patch.context() as other:
        other.setattr(run_gates, "GATES", {**run_gates.GATES, gate: hollow})
        return [off, run_gates.judge_contest(contest)]


TrySaboteur = Callable[[Saboteur], Trial]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Homes:
    return Homes(tmp_path_factory.mktemp("champions"), empty_mlflow)


@pytest.fixture
def tried(homes: Homes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrySaboteur:
    """Trains a saboteur beside its champion and has it judged."""
    # Drawing a study of one trial takes longer than the rest of its training.
    monkeypatch.setattr(Study, "write_plots", lambda study, folder: folder.mkdir(parents=True))

    def trial(saboteur: Saboteur) -> Trial:
        home = homes.copy_for(saboteur, tmp_path / "home")
        return try_saboteur(saboteur, home, monkeypatch)

    return trial
