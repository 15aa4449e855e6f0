"""What every section of a spec is built from: names, shares, and the closed, frozen base."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from include.evergreen.spec.problems import Problem

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
ColumnName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]+$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of every section: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SpecFile(Section):
    """A section that is a whole file, and may name others beside it."""

    def read_beside(self, directory: Path) -> list[Problem]:  # noqa: ARG002 - none are named here
        """Take in the files that this one names; what is wrong with their names, empty if nothing.

        Raises:
            SpecError: such a file is there and breaks a rule.
        """
        return []
