"""The registry answers or says why not, and its login stays its own."""

import http.server
import json
import os
import socket
import threading

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.registry import RawColumn, RawColumns, Registry
from include.evergreen.adapters.registry.connection import without_login
from include.evergreen.errors import ArtifactRefused, SettingsError, Unavailable


def registry_at(tmp_path, uri: str, **login) -> Registry:
    environ = {"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_MLFLOW_URI": uri, **login}
    return Registry(evergreen_settings.load(environ))


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Registry:
    home = tmp_path_factory.mktemp("registry")
    return Registry(evergreen_settings.load({"EVERGREEN_HOME": str(home)}))


class _Server(http.server.BaseHTTPRequestHandler):
    status = 200
    seen: list[str] = []  # noqa: RUF012

    def do_GET(self):
        self.seen.append(self.headers.get("Authorization", ""))
        absent = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}
        body = json.dumps(absent).encode() if self.status == 404 else b"You shall not pass."
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the server's own way

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    kind = type("Server", (_Server,), {"seen": []})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield kind, f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()
    thread.join()


def test_a_login_reaches_the_server_and_nobody_else(server, tmp_path):
    kind, uri = server
    kind.status = 404
    login = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "s3cret"}
    before = {name for name in os.environ if name.startswith("MLFLOW_")}
    assert registry_at(tmp_path, uri, **login).version_of("m", "champion") is None
    assert kind.seen[-1] == "Basic YW5uOnMzY3JldA=="
    assert {name for name in os.environ if name.startswith("MLFLOW_")} == before
    registry_at(tmp_path, uri).version_of("m", "champion")
    assert kind.seen[-1] == ""


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_is_a_settings_error_that_names_the_connection(server, tmp_path, status):
    kind, uri = server
    kind.status = status
    with pytest.raises(SettingsError, match="evergreen_mlflow") as raised:
        registry_at(tmp_path, uri).version_of("m", "champion")
    assert not raised.value.retryable


def test_a_server_that_is_not_there_is_unavailable_soon(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unavailable, match="does not answer") as raised:
        registry_at(tmp_path, uri, MLFLOW_TRACKING_PASSWORD="s3cret").version_of("m", "champion")
    assert raised.value.retryable
    assert "s3cret" not in str(raised.value)


def test_a_server_error_is_unavailable(server, tmp_path):
    kind, uri = server
    kind.status = 500
    with pytest.raises(Unavailable):
        registry_at(tmp_path, uri).find_version("m", "key")


def test_an_address_is_shown_without_its_login():
    assert without_login("http://ann:s3cret@host:5000/x") == "http://host:5000/x"
    assert without_login("sqlite:////home/x/mlflow.db").endswith("/home/x/mlflow.db")


def test_a_run_is_found_by_its_training_key(registry):
    first = registry.start_run("rides", "key-1", "train-1")
    assert registry.start_run("rides", "key-1", "another name") == first
    assert registry.start_run("rides", "key-2", "train-2") != first
    assert registry.find_run("rides", "key-3") is None
    assert registry.find_run("other_model", "key-1") is None


def test_values_logged_twice_are_there_once(registry):
    run = registry.start_run("rides", "key-4", "train")
    for _ in range(2):
        registry.log_values(run, params={"a": 1}, metrics={"m": 0.5}, tags={"t": "x"}, at_ms=1)
    found = registry._client.get_run(run).data
    assert (found.params, found.metrics) == ({"a": "1"}, {"m": 0.5})
    assert found.tags["evergreen.t"] == "x"
    assert len(registry._client.get_metric_history(run, "m")) == 1


def test_reports_and_texts_are_kept_with_the_run(registry, tmp_path):
    run = registry.start_run("rides", "key-5", "train")
    (tmp_path / "report.html").write_text("<p>drift</p>")
    registry.log_report(run, [tmp_path / "report.html"], "drift/1")
    registry.log_text(run, "why", "drift/why.txt")
    folder = registry.download_folder(run, "drift", tmp_path / "to")
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")) == [
        "1/report.html",
        "why.txt",
    ]
    assert registry.run_url(run).endswith(f"/runs/{run}")


def test_a_text_of_a_run_is_read_back_and_one_that_is_not_there_is_none(registry):
    run = registry.start_run("texts", "key-1", "train-1")
    registry.log_text(run, "at the root", "note.txt")
    registry.log_text(run, "m\u00e9t\u00e9o", "acceptance/result.json")
    assert registry.read_text(run, "note.txt") == "at the root"
    assert registry.read_text(run, "acceptance/result.json") == "m\u00e9t\u00e9o"
    assert registry.read_text(run, "acceptance/other.json") is None
    assert registry.read_text(run, "nowhere/result.json") is None


def test_an_alias_that_nobody_set_is_none_and_a_version_that_is_gone_is_refused(registry):
    assert registry.version_of("never_heard_of", "champion") is None
    with pytest.raises(ArtifactRefused, match="is not in the registry"):
        registry.version_info("never_heard_of", 3)


def test_what_may_be_missing_is_a_double_and_a_time_is_a_datetime():
    columns = RawColumns(
        {
            "n": RawColumn("integer", nullable=True),
            "f": RawColumn("boolean"),
            "c": RawColumn("category", integer_values=True),
            "at": RawColumn("timestamp"),
        },
        {"prediction": RawColumn("float")},
        [{"n": None, "f": True, "c": 3, "at": "2024-01-01T00:00:00+00:00"}],
    )
    kinds = {spec.name: spec.type.name for spec in columns.signature().inputs}
    assert kinds == {"n": "double", "f": "boolean", "c": "long", "at": "datetime"}
    frame = columns.example_frame()
    assert str(frame["n"].dtype) == "float64"
    assert frame["at"].dt.tz is None
