"""The serving app with a model that goes wrong when it is told to; runs inside a container.

It is told by a file `.fault` in the service's spool: `{"nan": true}` and every prediction is NaN,
`{"slow_s": 0.1}` and each takes so much longer. Without the file it is the product's app.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import Any

import app
import numpy as np

FAULT = os.path.join(os.environ["EVERGREEN_SPOOL"], ".fault")  # noqa: PTH118 - asked every time
honest_build = app.build


class Faulty:
    """A predictor between the real one and whoever asks it."""

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def predict_one(self, row: Any) -> Any:
        alone, fault = self._predictor.predict_one(row), told()
        if alone is not None and fault:
            time.sleep(fault.get("slow_s", 0.0))
            if "nan" in fault:
                return alone[0], dict.fromkeys(alone[1], float("nan"))
        return alone

    def predict(self, columns: Any) -> Any:
        answer, fault = self._predictor.predict(columns), told()
        time.sleep(fault.get("slow_s", 0.0))
        return {k: np.full_like(v, np.nan) for k, v in answer.items()} if "nan" in fault else answer


def told() -> dict[str, Any]:
    if not os.path.exists(FAULT):  # noqa: PTH110
        return {}
    with contextlib.suppress(FileNotFoundError), open(FAULT) as file:  # noqa: PTH123
        return dict(json.load(file))
    return {}


def build(service: Any) -> Any:
    service.predictor = Faulty(service.predictor)
    return honest_build(service)


if __name__ == "__main__":
    app.build = build
    sys.exit(app.main())
