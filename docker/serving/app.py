"""Serves one model's bundle over HTTP: MLflow's scoring protocol, strictly checked.

`python app.py --host 127.0.0.1 --port 8080`, configured by `EVERGREEN_*` variables. Loads the
bundle before it listens: a service that answers is one whose every file was as recorded and whose
golden rows came out as at training. Exits with status 3 and the reason on stderr otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import gc
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

# Before numpy is imported: a pool of threads costs more than one small request.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
_HERE = str(Path(__file__).resolve().parent)
if _HERE not in sys.path:
    sys.path.insert(0, _HERE)

from application import build  # noqa: E402
from bundle_loader import BundleRefused, load_predictor  # noqa: E402
from prediction_log import LogOrder, PredictionLog  # noqa: E402
from service import GOLDEN_TOLERANCE, Service  # noqa: E402

log = logging.getLogger("evergreen.serving")

REFUSED = 3
GRACE_S = 6
_LIBRARIES = (
    "numpy", "onnxruntime", "scikit-learn", "scipy", "skops", "uvicorn", "starlette",
)  # fmt: skip


def make_service(environ: Mapping[str, str]) -> Service:
    """The service that the environment asks for.

    Raises:
        ValueError: the bundle is not what was recorded, predicts otherwise than it did at
            training, or a variable is no number.
    """
    directory = Path(environ.get("EVERGREEN_BUNDLE", "/bundle"))
    predictor = load_predictor(directory, environ.get("EVERGREEN_MANIFEST_DIGEST", ""))
    _make_quick()
    difference = predictor.golden_difference()
    if not difference <= GOLDEN_TOLERANCE:
        raise BundleRefused(
            f"The golden rows come out {difference:g} (relative) away from what they were at "
            f"training; at most {GOLDEN_TOLERANCE:g} is allowed. Compare /version's libraries "
            f"with those of the training: {predictor.info['libraries']}."
        )
    version = environ.get("EVERGREEN_VERSION", "0")
    return Service(
        predictor=predictor,
        model=environ.get("EVERGREEN_MODEL", predictor.info["model"]),
        version=version,
        libraries=_installed(_LIBRARIES),
        max_rows=int(environ.get("EVERGREEN_MAX_ROWS", "10000")),
        max_body_bytes=int(environ.get("EVERGREEN_MAX_BODY_BYTES", str(16 * 2**20))),
        body_timeout_s=float(environ.get("EVERGREEN_BODY_TIMEOUT_S", "15")),
        prediction_log=_prediction_log(environ, predictor, int(version)),
        started_at=dt.datetime.now(dt.UTC),
        private=_private(environ),
    )


def _installed(names: Sequence[str]) -> dict[str, str]:
    """The versions of those that this image has: it has either ONNX Runtime or scikit-learn."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _private(environ: Mapping[str, str]) -> dict[str, str]:
    return dict(json.loads(environ.get("EVERGREEN_LOG_PRIVATE", "{}")))


def _prediction_log(
    environ: Mapping[str, str], predictor: Any, version: int
) -> PredictionLog | None:
    folder = environ.get("EVERGREEN_SPOOL", "")
    if not folder:
        return None
    order = LogOrder(
        folder,
        predictor.contract,
        version,
        predictor.classes,
        segment_s=float(environ.get("EVERGREEN_SPOOL_SECONDS", "10")),
        max_disk_bytes=int(environ.get("EVERGREEN_SPOOL_MAX_BYTES", str(2**30))),
        private=_private(environ),
        salt=environ.get("EVERGREEN_LOG_SALT", ""),
    )
    return PredictionLog(order, share=float(environ.get("EVERGREEN_LOG_SHARE", "1")))


def _make_quick() -> None:
    """Skip scikit-learn's checks of what the row contract has checked: a tenth of a prediction."""
    if "sklearn" not in sys.modules:
        return
    import sklearn

    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        service = make_service(os.environ)
    except (OSError, ValueError) as error:
        log.error("Not served: %s", error)  # noqa: TRY400 - the message says it all
        return REFUSED
    import uvicorn
    from whole_answers import WholeAnswers

    # A thread that works hands the interpreter back to answers ten times sooner than usual.
    sys.setswitchinterval(0.0005)
    # What is loaded stays: the collector need not look at it again, in the middle of an answer.
    gc.collect()
    gc.freeze()
    # Nor at a thousand rows that are about to go by themselves: an answer leaves no cycles behind.
    gc.set_threshold(20_000, 20, 20)
    log.info("Serving %s v%s on port %d.", service.model, service.version, options.port)
    uvicorn.run(
        build(service),
        http=WholeAnswers,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_S,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
