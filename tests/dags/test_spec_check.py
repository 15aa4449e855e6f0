"""`dags/spec_check.py` raises on behalf of refused specs, and only for them."""

import runpy

import pytest

from include.evergreen.errors import SpecError

GOOD = """\
model: {name}
task: regression
data: {{landing: landing/x, target: y, columns: {{x: {{type: float}}, y: {{type: float}}}}}}
training: {{metric: rmse}}
"""


@pytest.fixture
def run_file(tmp_path, monkeypatch, project_root):
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(tmp_path))
    return lambda: runpy.run_path(str(project_root / "dags" / "spec_check.py"))


def test_without_a_refusal_the_file_is_silent(tmp_path, run_file):
    (tmp_path / "a.yaml").write_text(GOOD.format(name="a"))
    assert run_file()["refusals"] == ()


def test_every_refused_spec_is_named_in_one_import_error(tmp_path, run_file):
    (tmp_path / "good.yaml").write_text(GOOD.format(name="good"))
    (tmp_path / "typo.yaml").write_text(GOOD.format(name="typo").replace("metric", "metrik"))
    (tmp_path / "twin.yaml").write_text(GOOD.format(name="twin"))
    (tmp_path / "twin_2.yaml").write_text(GOOD.format(name="twin"))
    with pytest.raises(SpecError) as caught:
        run_file()
    message = str(caught.value)
    assert "3 refused, all other models run on" in message
    assert "typo.yaml" in message
    assert "Did you mean 'metric'?" in message
    assert "twin.yaml" in message
    assert "twin_2.yaml" in message
    assert "good.yaml" not in message
    assert message.count("'twin' is in 2 specs") == 1
