"""The base of what the API answers: models for the document alone.

Used by `answers`, `findings` and `reports`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base of all answers. What checks by them is built when it is asked for: the service itself never does."""

    model_config = ConfigDict(defer_build=True)


def example(**fields: Any) -> ConfigDict:  # noqa: ANN401 - any JSON value
    """Return the configuration of a model with this example."""
    return ConfigDict(json_schema_extra={"example": fields})
