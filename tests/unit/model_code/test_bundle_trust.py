"""Nothing of a changed bundle is loaded, and parity notices what digests cannot."""

import hashlib
import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.svm import LinearSVC

from include.evergreen.errors import ArtifactRefused
from include.evergreen.model_code import predictor as predictor_module
from include.evergreen.model_code.predictor import BundleRefused, Predictor
from include.evergreen.stages import bundle
from tests.unit.model_code.bundles import Made

FILES = ["contract.json", "estimator.skops", "feature_plan.json", "features.py", "golden.json",
         "one_row.py", "predictor.py", "row_contract.py"]  # fmt: skip


@pytest.fixture
def copy(rides: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(rides.directory, tmp_path / "copy"))


def forge(directory: Path) -> str:
    """Make the manifest agree with the files again, as somebody who may write it could."""
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["files"] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
        if path.name != "manifest.json"
    }
    return write_manifest(directory, manifest)


def write_manifest(directory: Path, manifest: dict) -> str:
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return hashlib.sha256((directory / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_in_any_file_refuses_the_bundle(rides, copy, name) -> None:
    with (copy / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(BundleRefused, match=f"the sha256 of {name} is"):
        Predictor.load(copy, rides.digest)


def test_a_forged_manifest_is_refused_by_its_recorded_digest(rides, copy) -> None:
    (copy / "features.py").write_text("raise SystemExit('forged code ran')\n")
    forge(copy)
    with pytest.raises(BundleRefused, match="the manifest's sha256 is"):
        Predictor.load(copy, rides.digest)


def test_feature_code_changed_after_training_fails_the_parity_check(copy) -> None:
    path = copy / "features.py"
    source = path.read_text()
    changed = source.replace("/ _HOUR_US", "/ _HOUR_US + 6")
    assert changed != source
    path.write_text(changed)
    assert Predictor.load(copy, forge(copy)).golden_difference() > 1e-3


def test_a_row_that_is_answered_otherwise_alone_fails_the_parity_check(copy) -> None:
    path = copy / "one_row.py"
    source = path.read_text()
    changed = source.replace("% _DAY_US / _HOUR_US", "% _DAY_US / _HOUR_US + 6")
    assert changed != source
    path.write_text(changed)
    assert Predictor.load(copy, forge(copy)).golden_difference() == np.inf


def test_a_bundle_that_predicts_otherwise_than_its_estimator_is_never_written(
    rides, tmp_path, monkeypatch
) -> None:
    code = tmp_path / "code"
    shutil.copytree(bundle.CODE_DIRECTORY, code)
    path = code / "features.py"
    path.write_text(path.read_text().replace("/ _HOUR_US", "/ _HOUR_US + 6"))
    monkeypatch.setattr(bundle, "CODE_DIRECTORY", code)
    with pytest.raises(ArtifactRefused, match="differ from the estimator's"):
        write(rides, tmp_path / "bundle", rides.estimator)


@pytest.mark.parametrize("name", ["extra.py", ".hidden", "evil.so"])
def test_an_unknown_file_is_refused(rides, copy, name) -> None:
    (copy / name).write_text("")
    with pytest.raises(BundleRefused, match="1 files are there or recorded but not both"):
        Predictor.load(copy, rides.digest)
    with pytest.raises(BundleRefused, match="the manifest lists"):
        Predictor.load(copy, forge(copy))


def test_a_missing_file_is_refused(rides, copy) -> None:
    (copy / "golden.json").unlink()
    with pytest.raises(BundleRefused, match=r"golden\.json"):
        Predictor.load(copy, rides.digest)


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_what_is_no_regular_file_is_not_opened(rides, copy, kind) -> None:
    path = copy / "features.py"
    content = path.read_bytes()
    path.unlink()
    if kind == "link":
        outside = copy.parent / "outside.py"
        outside.write_bytes(content)
        path.symlink_to(outside)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(BundleRefused, match=r"features\.py (cannot be opened|is no regular file)"):
        Predictor.load(copy, rides.digest)


@pytest.mark.parametrize("name", ["../outside.py", "/etc/passwd", "a/b.py", ".."])
def test_a_manifest_cannot_name_a_path_outside_the_bundle(copy, name) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"][name] = "0" * 64
    with pytest.raises(BundleRefused, match="the manifest lists"):
        Predictor.load(copy, write_manifest(copy, manifest))


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"[" * 100_000, b'{"format": 1, "files": 3}'])
def test_what_is_no_manifest_is_refused(copy, raw) -> None:
    (copy / "manifest.json").write_bytes(raw)
    with pytest.raises(BundleRefused, match="is no manifest"):
        Predictor.load(copy)


def test_a_bundle_of_another_format_is_refused(copy) -> None:
    manifest = json.loads((copy / "manifest.json").read_text()) | {"format": 2}
    with pytest.raises(BundleRefused, match="format 2; 1 is understood"):
        Predictor.load(copy, write_manifest(copy, manifest))


def test_a_file_over_the_limit_is_refused_unread(rides, copy, monkeypatch) -> None:
    monkeypatch.setattr(predictor_module, "MAX_FILE_BYTES", 1000)
    with pytest.raises(BundleRefused, match="at most 1,000 are loaded"):
        Predictor.load(copy, rides.digest)


@pytest.mark.parametrize(
    "name",
    ["builtins.eval", "os.system", "subprocess.Popen", "numpy.testing._private.utils.runstring",
     "numpy.f2py.compile", "sklearn.datasets.fetch_openml", "sklearnx.Evil", "numpyevil.x"],
)  # fmt: skip
def test_types_from_elsewhere_are_refused_although_the_manifest_lists_them(copy, name) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["trusted_types"].append(name)
    with pytest.raises(BundleRefused, match="types that may not be loaded"):
        Predictor.load(copy, write_manifest(copy, manifest))


def test_a_type_that_the_manifest_does_not_list_is_refused(copy) -> None:
    manifest = json.loads((copy / "manifest.json").read_text()) | {"trusted_types": []}
    with pytest.raises(BundleRefused, match="types nobody recorded"):
        Predictor.load(copy, write_manifest(copy, manifest))


def test_an_estimator_that_unpacks_to_a_giant_is_refused(copy, monkeypatch) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * 10_000_000)
    (copy / "estimator.skops").write_bytes(bomb.getvalue())
    monkeypatch.setattr(predictor_module, "MAX_FILE_BYTES", 1_000_000)
    with pytest.raises(BundleRefused, match="unpacks to 10,000,000 bytes"):
        Predictor.load(copy, forge(copy))


def test_an_estimator_that_is_no_skops_file_is_refused(copy) -> None:
    (copy / "estimator.skops").write_bytes(b"\x80\x04pickle")
    with pytest.raises(BundleRefused, match="is no skops file"):
        Predictor.load(copy, forge(copy))


def test_a_graph_that_was_changed_is_refused_before_it_is_parsed(
    rides_graph, tmp_path, monkeypatch
) -> None:
    copy = Path(shutil.copytree(rides_graph.directory, tmp_path / "copy"))
    path = copy / "estimator.onnx"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"TreeEnsemble", b"TreeEnsembel"))
    monkeypatch.setattr(predictor_module, "OnnxEstimator", None)
    with pytest.raises(BundleRefused, match=r"the sha256 of estimator\.onnx is"):
        Predictor.load(copy, rides_graph.digest)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 1000])
def test_what_is_no_graph_is_refused(rides_graph, tmp_path, content) -> None:
    copy = Path(shutil.copytree(rides_graph.directory, tmp_path / "copy"))
    (copy / "estimator.onnx").write_bytes(content)
    with pytest.raises(BundleRefused, match=r"estimator\.onnx is no graph that can be run"):
        Predictor.load(copy, forge(copy))


def test_stages_get_an_error_that_does_not_retry(rides, copy) -> None:
    (copy / "golden.json").write_text("{}")
    with pytest.raises(ArtifactRefused) as caught:
        bundle.load_predictor(copy, rides.digest)
    assert not caught.value.retryable


# --- what may be written ------------------------------------------------------------------------


def write(made: Made, directory: Path, estimator, **arguments) -> str:
    return bundle.write_bundle(
        directory,
        **{
            "spec": made.spec,
            "estimator": estimator,
            "encoding": "ordinal",
            "plan": made.plan,
            "training_key": "k",
            "golden": made.rows,
            **arguments,
        },
    )


def test_golden_rows_that_break_the_contract_are_refused(rides, tmp_path) -> None:
    bad = {**rides.rows[1], "humidity": 101}
    with pytest.raises(ArtifactRefused, match=r"golden rows break the contract: .*'humidity'"):
        write(rides, tmp_path / "b", rides.estimator, golden=[bad])
    with pytest.raises(ArtifactRefused, match="There are no golden rows"):
        write(rides, tmp_path / "c", rides.estimator, golden=[])


def test_a_classifier_without_probabilities_is_refused(weather, tmp_path) -> None:
    fitted = LinearSVC().fit(np.zeros((3, 8)), ["clear", "mist", "rain"])
    with pytest.raises(ArtifactRefused, match="LinearSVC has no predict_proba"):
        write(weather, tmp_path / "b", fitted)


class Doubled(RegressorMixin, BaseEstimator):
    """An estimator of a user's own module."""

    def fit(self, x, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, x):
        return np.full(len(x), 2 * self.mean_)


def test_an_estimator_of_unknown_origin_is_refused(rides, tmp_path) -> None:
    fitted = Doubled().fit(np.zeros((3, 8)), [1.0, 2.0, 3.0])
    with pytest.raises(ArtifactRefused, match=r"types that may not be loaded: .*Doubled"):
        write(rides, tmp_path / "b", fitted)


BUILDER = """
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

FACTOR = 2


class Doubled(RegressorMixin, BaseEstimator):
    def fit(self, x, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, x):
        return np.full(len(x), FACTOR * self.mean_)


def build(params, task):
    return Doubled()
"""


def test_a_users_builder_travels_and_is_used_in_its_own_version(
    rides, tmp_path, monkeypatch
) -> None:
    import sys
    import types

    name = "include.models.made_by_hand"
    source = tmp_path / "made_by_hand.py"
    source.write_text(BUILDER)
    module = types.ModuleType(name)
    exec(BUILDER, module.__dict__)
    monkeypatch.setitem(sys.modules, name, module)
    fitted = module.build({}, "regression").fit(np.zeros((3, 8)), [1.0, 2.0, 3.0])
    digest = write(rides, tmp_path / "b", fitted, builder_path=source, builder_module=name)
    # The project's own builder has moved on since: the bundle's is what counts.
    module.FACTOR = 7
    module.Doubled = DummyRegressor
    loaded = Predictor.load(tmp_path / "b", digest)
    assert loaded.golden["predictions"]["prediction"][0] == 4.0
    assert loaded.golden_difference() == 0.0
    monkeypatch.delitem(sys.modules, name)
    assert Predictor.load(tmp_path / "b", digest).golden_difference() == 0.0
    assert name not in sys.modules


def test_the_same_inputs_write_the_same_contract_plan_and_code(rides, tmp_path) -> None:
    write(rides, tmp_path / "b", rides.estimator, training_key="k" * 64)
    for name in set(FILES) - {"estimator.skops"}:
        assert (tmp_path / "b" / name).read_bytes() == (rides.directory / name).read_bytes(), name


def test_skops_lists_as_trusted_only_what_the_manifest_records(rides) -> None:
    content = (rides.directory / "estimator.skops").read_bytes()
    recorded = bundle.read_manifest(rides.directory)["trusted_types"]
    assert sorted(skops.io.get_untrusted_types(data=content)) == recorded
    assert "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor" in recorded
