"""SHAP without numba's compiler, which costs each process 5.4 s of CPU and saves it none.

What shap compiles are loops over a few dozen masks; as plain Python they take milliseconds. So the
compiler is off while shap is imported, and on again for whoever else uses numba.
"""

from __future__ import annotations

import warnings
from typing import Any

import numba

_switches: Any = numba.config
_compiler = _switches.DISABLE_JIT
_switches.DISABLE_JIT = True
try:
    with warnings.catch_warnings():
        # shap makes its colour maps in a way that matplotlib is going to deprecate.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        import shap
finally:
    _switches.DISABLE_JIT = _compiler

__all__ = ["Independent", "PermutationExplainer"]

Independent: Any = shap.maskers.Independent
PermutationExplainer: Any = shap.PermutationExplainer
