"""From a YAML document to a validated section, or to a refusal: for every kind of file we read.

Secrets are looked for before anything is validated, so that no message ever repeats one.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from include.evergreen.errors import SpecError
from include.evergreen.spec.base import Section
from include.evergreen.spec.document import Document, Location
from include.evergreen.spec.messages import describe_errors, refusal_sheet
from include.evergreen.spec.secret_scan import SPEC_FREE_KEYS, find_secrets

Kind = TypeVar("Kind", bound=Section)


def validated(
    document: Document,
    kind: type[Kind],
    *,
    nothing: str,
    free_keys: tuple[Location, ...] = SPEC_FREE_KEYS,
) -> Kind:
    """The document as a `kind`.

    Args:
        document: as it was read.
        kind: what it must be.
        nothing: what a document that is no mapping is told.
        free_keys: the places whose keys are names that the data brings.

    Raises:
        SpecError: with every problem found, at most ten shown.
    """
    if not isinstance(document.content, dict):
        raise SpecError(nothing)
    secrets = find_secrets(document, free_keys=free_keys)
    if secrets:
        raise SpecError(refusal_sheet(document.name, secrets))
    try:
        return kind.model_validate(document.content)
    except ValidationError as error:
        problems = describe_errors(error, document, kind)
        raise SpecError(refusal_sheet(document.name, problems)) from None
