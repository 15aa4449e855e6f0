"""Whatever a spec file holds, reading it gives a spec or a SpecError, and nothing else."""

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.evergreen.errors import SpecError
from include.evergreen.spec import ModelSpec
from include.evergreen.spec.document import parse_document
from include.evergreen.spec.loading import validate

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JUNK = [
    *"{}[]:'\"#|>-~%@`\t\n\x00\x85\ud7ff\U0001f600",
    *("- ", "&a ", "*a", "!!", "1e999", ".inf", "? ", "<<: "),
]


def _refusal(read) -> str:
    """Why it was refused, the file named first; '' if it was taken. Any other error is a bug."""
    try:
        read()
    except SpecError as error:
        return str(error)
    return ""


def _read(text: str) -> None:
    why = _refusal(lambda: validate(parse_document(text, "x.yaml"), ModelSpec))
    assert not why or why.startswith("x.yaml")


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_spec_or_refused(text):
    _read(text)


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_spec_is_a_spec_or_refused(valid, seed):
    chance, text = random.Random(seed), valid
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice([*JUNK, ""]) + text[at + chance.randint(0, 12) :]
    _read(text)


@given(
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    st.sampled_from(list(ModelSpec.model_fields)),
)
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_value_in_any_section_is_taken_or_refused(valid, value, section):
    document = parse_document(valid, "x.yaml")
    document.content[section] = value
    why = _refusal(lambda: validate(document, ModelSpec))
    assert not why or why.startswith("x.yaml")
