"""The Grafana dashboard: whole, readable, and every query of it answers in a real Prometheus."""

import itertools
import json
import math
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import PROJECT_ROOT
from tests.unit.serving import prometheus
from tests.unit.serving.conftest import started
from tests.unit.serving.prometheus import Prometheus, scraping

FOLDER = PROJECT_ROOT / "docker" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "serving.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
#: Over so much the tests' traffic is looked at.
WINDOW = "15s"
#: What Grafana puts in for the two choices; `ALL` is the dashboard's own value for it.
ALL = {name: VARIABLES[name]["allValue"] for name in ("model", "version")}
CHOSEN = {"model": "(rides|weather)", "version": "7"}


def substituted(expression: str, chosen: dict[str, str]) -> str:
    for name, value in {"__rate_interval": WINDOW, **chosen}.items():
        expression = re.sub(rf"\$({name}\b|\{{{name}\}})", value, expression)
    assert "$" not in expression, f"a variable that the dashboard does not have: {expression}"
    return expression


def check(running: Prometheus, expression: str) -> None:
    """Fails unless the query is understood and gives at least one number."""
    result = running.ask("query", query=expression)["result"]
    assert result, f"Nothing answers {expression}"
    numbers = [float(series["value"][1]) for series in result]
    assert not all(map(math.isnan, numbers)), f"No number in {len(numbers)} answers: {expression}"


def send(services, stop: threading.Event) -> None:
    """Every kind of answer to both models, some each tenth of a second, until `stop`."""
    for turn in itertools.count():
        for running in services:
            rows = [dict(row) for row in running.made.rows]
            rows[0] |= {"temperature": None, "season": 99}
            running.post({"dataframe_records": rows[turn % 30 :]})
            running.post({"dataframe_records": rows[:3]})
            running.post({"inputs": {**rows[1], "humidity": 500}})
            running.send(b"{")
        if stop.wait(0.1):
            return


@pytest.fixture(scope="module")
def watched(rides, weather, tmp_path_factory, free_port):
    """A Prometheus that has seen some seconds of traffic to a regression and a multiclass model."""
    prometheus.program()
    folder = tmp_path_factory.mktemp("watched")
    (folder / "rides").mkdir()
    (folder / "weather").mkdir()
    logs = {"EVERGREEN_SPOOL_SECONDS": "1"}
    stop = threading.Event()
    with (
        started(rides, folder / "rides", free_port(), **logs) as first,
        started(weather, folder / "weather", free_port(), **logs) as second,
        scraping([first.port, second.port], folder, free_port()) as running,
    ):
        sender = threading.Thread(target=send, args=([first, second], stop))
        sender.start()
        try:
            time.sleep(5)
            yield running
        finally:
            stop.set()
            sender.join()


@pytest.mark.parametrize("chosen", [ALL, CHOSEN], ids=["all", "chosen"])
@pytest.mark.parametrize("expression", QUERIES)
def test_every_query_answers(watched, expression, chosen) -> None:
    check(watched, substituted(expression, chosen))


@pytest.mark.parametrize("model", ["rides", "weather"])
def test_a_choice_of_one_model_leaves_the_other_out(watched, model) -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            query = substituted(target["expr"], {"model": model, "version": "7"})
            result = watched.ask("query", query=query)["result"]
            assert {r["metric"].get("model", model) for r in result} <= {model}, panel["title"]


@pytest.mark.parametrize(("name", "values"), [("model", ["rides", "weather"]), ("version", ["7"])])
def test_the_variables_offer_what_is_served(watched, name, values) -> None:
    asked = substituted(VARIABLES[name]["query"]["query"], ALL)
    selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", asked).groups()
    assert watched.ask(f"label/{label}/values", **{"match[]": selector}) == values


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("sum(rate(evergreen_rows_total[15s])", "unclosed left parenthesis"),
        ("rate(evergreen_rows_total)", "expected type range vector"),
        ("evergreen_rows", "Nothing answers"),
        ('evergreen_rows_total{model="nobody"}', "Nothing answers"),
        ("0 * evergreen_rows_total / (0 * evergreen_rows_total)", "No number in 2 answers"),
    ],
)
def test_the_check_sees_a_query_that_is_broken(watched, broken, says) -> None:
    with pytest.raises(AssertionError, match=says):
        check(watched, broken)


def test_a_variable_nobody_defined_is_seen() -> None:
    with pytest.raises(AssertionError, match="a variable that the dashboard does not have"):
        substituted('evergreen_rows_total{model=~"$nobody"}', ALL)


def test_nothing_is_measured_that_the_dashboard_does_not_show(watched) -> None:
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    names = watched.ask("label/__name__/values", **{"match[]": '{__name__=~"evergreen_.+"}'})
    roots = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    assert [root for root in sorted(roots) if root not in shown] == []


def test_all_jobs_of_the_example_and_the_rule_of_the_guide_are_understood(tmp_path) -> None:
    """Also those that are commented out: `promtool` reads them as Prometheus would."""
    promtool = Path(prometheus.program()).with_name("promtool")
    text = (FOLDER / "prometheus.yml").read_text()
    everything = re.sub(r"^  # (- job_name|  )", r"  \1", text, flags=re.MULTILINE)
    assert len(yaml.safe_load(everything)["scrape_configs"]) == 2
    (rule,) = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    for kind, content in (("config", everything), ("rules", rule)):
        path = tmp_path / f"{kind}.yml"
        path.write_text(content)
        done = subprocess.run(
            [promtool, "check", kind, path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_guide_names_every_metric_there_is(watched) -> None:
    guide = (FOLDER / "README.md").read_text().replace("`…_", "`evergreen_prediction_log_")
    names = watched.ask("label/__name__/values", **{"match[]": '{__name__=~"evergreen_.+"}'})
    roots = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    assert [root for root in sorted(roots) if f"`{root}`" not in guide] == []


def test_without_the_program_ci_fails_and_others_skip(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("EVERGREEN_PROMETHEUS", raising=False)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Debian's package has it"):
        prometheus.program()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no prometheus on PATH"):
        prometheus.program()


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        ):
            other = taken.setdefault(cell, panel["title"])
            assert other == panel["title"], f"{other!r} and {panel['title']!r} overlap"


def test_every_panel_says_what_it_shows_and_asks_for_it() -> None:
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(set(titles)) == len(titles)
    for panel in PANELS:
        assert len(panel["description"]) > 80, panel["title"]
        assert panel["targets"], panel["title"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), panel["title"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert "$model" in target["expr"], panel["title"]
            assert "$version" in target["expr"], panel["title"]


def test_a_panel_that_a_description_points_to_exists() -> None:
    titles = {panel["title"] for panel in PANELS}
    for panel in PANELS:
        for named in re.findall(r"'([A-Z][A-Za-z %():]+)'", panel["description"]):
            assert named in titles, f"{panel['title']} points to {named!r}"


def test_it_can_be_imported_anywhere() -> None:
    assert DASHBOARD["schemaVersion"] >= 38
    assert DASHBOARD["uid"]
    assert DASHBOARD["title"]
    assert "id" not in DASHBOARD, "an id is of one installation"
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"
