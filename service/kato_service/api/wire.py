"""What clients send: the bodies of the API, with an example each. Called by the routes, and shown in `/docs`.

Extra keys are ignored. Both spellings of a user are accepted; sizes and magnitudes are the engine's (`engine.limits`).
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from kato_service.engine import limits
from kato_service.processor.model import Observation
from kato_spec.errors import Rejected

MAX_OBSERVATIONS = 10_000  # of one call: they are learned together, and other calls wait meanwhile
MAX_DEPTH = 32  # of a session's metadata
MAX_TTL = 10 * 365 * 24 * 3600
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Seconds = Annotated[int, Field(ge=1, le=MAX_TTL, strict=True)]
UserName = Annotated[str, Field(min_length=1, max_length=1024)]


def _shallow(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [child.values() if isinstance(child, dict) else child for child in level]
        level = [each for children in inner for each in children if isinstance(each, dict | list)]
        if not level:
            return value
    raise ValueError(f"an object nested at most {MAX_DEPTH} deep")


def _text_or_texts(value: object, check: ValidatorFunctionWrapHandler) -> object:
    try:
        return check(value)
    except ValidationError as error:
        raise ValueError("a string or a list of strings") from error


Shallow = Annotated[dict[str, Any], AfterValidator(_shallow)]
Texts = Annotated[str | list[str], WrapValidator(_text_or_texts)]


class Body(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class NewSession(Body):
    """A session to be made. `user_id` and `node_id` are two names of one thing; one of them is needed."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"user_id": "alice", "ttl_seconds": 3600, "config": {"recall_threshold": 0.3}}}
    )

    user_id: UserName | None = None
    node_id: UserName | None = None
    metadata: Shallow | None = None
    ttl_seconds: Seconds | None = None
    config: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_user(self) -> Self:
        if self.user_id is None and self.node_id is None:
            raise ValueError("user_id or node_id, a non-empty string")
        if self.user_id and self.node_id and self.user_id != self.node_id:
            raise ValueError("user_id and node_id that are equal, or one of them")
        return self

    @property
    def node(self) -> str:
        """The node, whichever way it was spelt."""
        return self.node_id or self.user_id or ""


class Observing(Body):
    """One observation."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"strings": ["hello", "world"], "emotives": {"joy": 0.5}, "metadata": {"book": "one"}}
        }
    )

    strings: list[str] = []
    vectors: list[list[Number]] = []
    emotives: dict[str, Number] = {}
    metadata: dict[str, Texts] = {}
    unique_id: str | None = None

    def accepted(self, place: str = "") -> Observation:
        """Return the observation within the engine's limits; `place` stands in front of a field's name.

        Raises:
            Rejected, VectorDimension: with the field, its value and what is allowed.
        """
        return Observation(
            strings=limits.strings(f"{place}strings", self.strings),
            vectors=limits.vectors(f"{place}vectors", self.vectors, None),
            emotives=limits.emotives(f"{place}emotives", self.emotives),
            metadata=limits.metadata(f"{place}metadata", self.metadata),
            unique_id=self.unique_id,
        )


class ObservingSequence(Body):
    """Observations one after the other; all of them count or none."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"observations": [{"strings": ["a"]}, {"strings": ["b"]}], "learn_at_end": True}}
    )

    observations: list[Observing]
    learn_after_each: Flag = False
    learn_at_end: Flag = False
    clear_stm_between: Flag = False

    def accepted(self) -> list[Observation]:
        """Return the observations within the engine's limits, as `Observing.accepted`, at most `MAX_OBSERVATIONS`."""
        if len(self.observations) > MAX_OBSERVATIONS:
            found = f"{len(self.observations)} observations"
            raise Rejected("observations", found, f"at most {MAX_OBSERVATIONS} observations in one call")
        return [body.accepted(f"observations[{index}].") for index, body in enumerate(self.observations)]


class Extending(Body):
    """A session's new time to live, counted from now."""

    model_config = ConfigDict(json_schema_extra={"example": {"ttl_seconds": 7200}})

    ttl_seconds: Seconds | None = None


class Predicting(Body):
    """What to predict from instead of the session's STM, and overrides for this answer alone."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"stm": [["hello"], ["world"]], "max_predictions": 5, "recall_threshold": 0.2}}
    )

    stm: list[list[str]] | None = None
    max_predictions: Any = None
    recall_threshold: Any = None
    rank_sort_algo: Any = None

    def overrides(self) -> dict[str, Any]:
        """Return the overrides that are given."""
        values = self.model_dump(include={"max_predictions", "recall_threshold", "rank_sort_algo"})
        return {name: value for name, value in values.items() if value is not None}
