"""Loads a user's estimator builder, and refuses one that the serving image could not answer with.

`include.models.<module>:<function>` names a function `build(params, task)` that returns a
scikit-learn estimator. Beside it the module may have `search_space(trial)`, which calls
`trial.suggest_float`, `suggest_int` and `suggest_categorical`: what it asks for is what `build`
gets as `params`. The file travels with the model, alone: it may import the standard library and
what the lock of the serving image with scikit-learn holds, and nothing else. That is checked on
its text, again while it is imported, and on the estimator it builds.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import re
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from include.evergreen.contracts import Task
from include.evergreen.errors import BuilderRefused
from include.evergreen.settings import PROJECT_ROOT

SERVING_LOCK = PROJECT_ROOT / "docker" / "serving" / "requirements-sklearn.lock"
#: What that image has at the least, where its lock is not at hand.
_ASSUMED = ("numpy", "scipy", "scikit-learn", "skops")
_IMPORT_NAMES = {"scikit-learn": "sklearn", "pyyaml": "yaml", "pillow": "PIL"}
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*==", re.MULTILINE)
_BY_NAME = frozenset({"__import__", "import_module", "exec", "eval", "compile"})


class Asks(Protocol):
    """The part of a trial that a search space is asked with."""

    def choice(self, name: str, values: Sequence[Any]) -> Any: ...
    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...
    def real(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...


@dataclass(frozen=True)
class Builder:
    """A user's builder, checked. `module` is its dotted name, `path` the file that travels."""

    name: str
    module: str
    path: Path
    namespace: types.ModuleType

    @property
    def encoding(self) -> Literal["ordinal", "linear"]:
        """`ENCODING` of the module: "ordinal" (for trees, the default) or "linear"."""
        wanted = getattr(self.namespace, "ENCODING", "ordinal")
        if wanted == "ordinal":
            return "ordinal"
        if wanted == "linear":
            return "linear"
        raise BuilderRefused(
            f"{self.path.name}: ENCODING is {wanted!r}; it must be 'ordinal' or 'linear'."
        )

    def suggest(self, trial: Asks) -> dict[str, Any]:
        """The parameters its search space asks for; none where it has no search space."""
        space = getattr(self.namespace, "search_space", None)
        asked = _AskedTrial(trial, self.name)
        if space is not None:
            space(asked)
        return asked.params

    def build(self, params: Mapping[str, Any], task: Task) -> Any:
        """A new estimator, all parts of it from what the serving image holds."""
        estimator = getattr(self.namespace, self.name.partition(":")[2])(dict(params), task)
        foreign = sorted(
            {kind for kind in _types(estimator) if kind.partition(".")[0] not in self._known}
        )
        if foreign:
            raise _refused(self.path, f"builds {', '.join(foreign[:10])}", "")
        return estimator

    @functools.cached_property
    def _known(self) -> frozenset[str]:
        return servable_modules() | {"include"}


def load_builder(name: str, models_dir: Path) -> Builder:
    """The builder `include.models.<module>:<function>`.

    Raises:
        BuilderRefused: there is no such file or function, it cannot be imported, or it needs
            what the serving image lacks.
    """
    module, _, function = name.partition(":")
    path = builder_path(name, models_dir)
    try:
        source = path.read_text("utf-8")
        tree = ast.parse(source, filename=path.name)
    except OSError as error:
        raise BuilderRefused(f"{name}: {path} cannot be read: {error.strerror}.") from error
    except (SyntaxError, ValueError) as error:
        raise BuilderRefused(f"{name}: {path.name} is no Python: {error}.") from error
    _check_text(tree, path)
    namespace = _imported(source, module, path)
    if not callable(getattr(namespace, function, None)):
        raise BuilderRefused(f"{name}: {path.name} has no function {function!r}.")
    return Builder(name, module, path, namespace)


def builder_path(name: str, models_dir: Path) -> Path:
    """The file of a builder, beside the specs."""
    parts = name.partition(":")[0].split(".")[2:]
    return models_dir.joinpath(*parts).with_suffix(".py")


@functools.cache
def servable_modules() -> frozenset[str]:
    """The top-level modules that a model may import where it is served."""
    pinned = _PINNED.findall(SERVING_LOCK.read_text()) if SERVING_LOCK.is_file() else _ASSUMED
    names = {_IMPORT_NAMES.get(pin.lower(), pin.lower().replace("-", "_")) for pin in pinned}
    return frozenset(names | sys.stdlib_module_names)


def _check_text(tree: ast.Module, path: Path) -> None:
    known = servable_modules()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = ["." * node.level + (node.module or "")]
        elif isinstance(node, ast.Call) and _called(node) in _BY_NAME:
            raise _refused(path, f"calls {_called(node)}, which hides what it needs", node.lineno)
        else:
            continue
        for module in modules:
            if module.partition(".")[0] not in known:
                raise _refused(path, f"imports {module!r}", node.lineno)


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _imported(source: str, module: str, path: Path) -> types.ModuleType:
    """Run the file under its dotted name, with an `import` that knows the image's limits."""
    known = servable_modules()

    def limited_import(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] not in known:
            raise _refused(path, f"imports {name!r} while it is imported", "")
        return builtins.__import__(name, *args, **kwargs)

    namespace = types.ModuleType(module)
    namespace.__file__ = str(path)
    namespace.__dict__["__builtins__"] = {**vars(builtins), "__import__": limited_import}
    importlib.import_module("include.models")
    sys.modules[module] = namespace  # where skops and dataclasses look a class of it up
    try:
        exec(compile(source, str(path), "exec"), namespace.__dict__)  # noqa: S102 - the user's own code
    except BuilderRefused:
        sys.modules.pop(module, None)
        raise
    except Exception as error:
        sys.modules.pop(module, None)
        raise BuilderRefused(f"{path.name} cannot be imported: {error!r}.") from error
    return namespace


def _types(estimator: Any) -> Iterator[str]:
    """The dotted type of an estimator and of all its parts."""
    parts = [estimator]
    if hasattr(estimator, "get_params"):
        parts += estimator.get_params(deep=True).values()
    flat = [p for part in parts for p in (part if isinstance(part, list | tuple) else (part,))]
    flat = [p for part in flat for p in (part if isinstance(part, list | tuple) else (part,))]
    for part in flat:
        yield f"{type(part).__module__}.{type(part).__qualname__}"


class _AskedTrial:
    """Optuna's way to ask, with the builder's name before each parameter's."""

    def __init__(self, trial: Asks, prefix: str) -> None:
        self._trial = trial
        self._prefix = prefix
        self.params: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        value = self._trial.real(f"{self._prefix}.{name}", low, high, log=log)
        return self.params.setdefault(name, value)  # type: ignore[no-any-return]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        value = self._trial.integer(f"{self._prefix}.{name}", low, high, log=log)
        return self.params.setdefault(name, value)  # type: ignore[no-any-return]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.params.setdefault(name, self._trial.choice(f"{self._prefix}.{name}", choices))


def _refused(path: Path, what: str, line: int | str) -> BuilderRefused:
    where = f"{path.name}, line {line}" if line else path.name
    return BuilderRefused(
        f"{where}: {what}, and the serving image lacks it. A builder travels alone with its model: "
        f"it may use the standard library and what {SERVING_LOCK.relative_to(PROJECT_ROOT)} pins "
        f"({', '.join(sorted(servable_modules() - sys.stdlib_module_names)[:10])}). Do without it, "
        "or add it to the lock."
    )
