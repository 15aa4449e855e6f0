"""Every public function of an adapter says whether it reads or changes; no effect is forgotten.

Public is what a class of an adapter offers by a name without an underscore, and each function
that code outside the adapter imports. What a class takes over from a vendor's base by name is
the vendor's.
"""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from include.evergreen import adapters
from include.evergreen.effects import mark_of

PREFIX = "include.evergreen.adapters."
#: Run as a program of its own, in a bare interpreter: `runtime.spawn` is its failpoint.
PROGRAMS = ("__main__", "migrations", ".detached")


def modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(adapters.__path__, PREFIX)
    names = [module.name for module in found if not any(p in module.name for p in PROGRAMS)]
    return [importlib.import_module(name) for name in names]


def imported_from_outside(root: Path) -> dict[str, set[str]]:
    """Names taken out of each adapter by code that is not part of it."""
    taken: dict[str, set[str]] = {}
    for folder in ("include", "dags", "plugins"):
        for path in (root / folder).rglob("*.py"):
            module = ".".join(path.relative_to(root).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.ImportFrom) and node.module):
                    continue
                adapter = node.module.removeprefix(PREFIX).split(".")[0]
                if node.module.startswith(PREFIX) and not module.startswith(PREFIX + adapter):
                    taken.setdefault(adapter, set()).update(alias.name for alias in node.names)
    return taken


def unmarked(module: ModuleType, taken: set[str]) -> Iterator[str]:
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__ or name.startswith("_"):
            continue
        if inspect.isclass(value):
            yield from _unmarked_methods(module, value)
        elif inspect.isfunction(value) and name in taken and mark_of(value) is None:
            yield f"{module.__name__}.{name}"


def _unmarked_methods(module: ModuleType, owner: type) -> Iterator[str]:
    if getattr(owner, "_is_protocol", False):
        return
    vendors = [base for base in owner.__mro__ if not base.__module__.startswith("include.")]
    for name, value in vars(owner).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        if mark_of(function) is None and not any(hasattr(base, name) for base in vendors):
            yield f"{module.__name__}.{owner.__name__}.{name}"


def test_every_public_function_of_an_adapter_is_marked(project_root: Path) -> None:
    taken = imported_from_outside(project_root)
    assert {"ledger", "lake", "landing", "registry", "runtime", "studies"} <= set(taken)
    missing = [
        name
        for module in modules()
        for name in unmarked(
            module, taken.get(module.__name__.removeprefix(PREFIX).split(".")[0], set())
        )
    ]
    assert missing == [], "say @read or @effect (include/evergreen/effects.py)"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("class Store:\n    def drop_all(self): ...", ["Store.drop_all"]),
        ("class Store:\n    @classmethod\n    def drop_all(cls): ...", ["Store.drop_all"]),
        ("def open_store(): ...", ["open_store"]),
        ("def helper_of_its_own(): ...", []),
        ("class Store:\n    @read\n    def size(self): ...", []),
        ("class Store:\n    def _drop_all(self): ...", []),
        ("class Words(dict):\n    def clear(self): ...", []),
        ("class Words(dict):\n    def empty(self): ...", ["Words.empty"]),
    ],
)
def test_a_forgotten_mark_is_found(source: str, found: list[str]) -> None:
    module = ModuleType("include.evergreen.adapters.store")
    imports = "from include.evergreen.effects import effect, read\n"
    exec(imports + textwrap.dedent(source), module.__dict__)
    assert list(unmarked(module, {"open_store"})) == [f"{module.__name__}.{name}" for name in found]
