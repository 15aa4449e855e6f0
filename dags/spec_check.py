"""Raises on behalf of every refused spec, so that the UI shows one import error naming them all.

The stage files skip a refused spec and build the DAGs of all others; without this file a typing
error would only look like a model that vanished. It defines no DAG.

**When it fails:** the models named do not run; all others do. Mend the line it names.
"""

from airflow.sdk import get_parsing_context

from include.evergreen import settings
from include.evergreen.errors import SpecError
from include.evergreen.spec import load_specs

if get_parsing_context().dag_id is None:  # not inside a task: no task lives in this file
    refusals = load_specs(settings.load().models_dir).refusals
    if refusals:
        raise SpecError(
            f"{len(refusals)} refused, all other models run on.\n"
            + "\n".join(dict.fromkeys(refusal.message for refusal in refusals))
        )
