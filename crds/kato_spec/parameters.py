"""Session parameters: their ranges, defaults and older spellings (spec: engine.md, section 5).

One model for the whole system: the service resolves a session's configuration with it, the CRDs carry the same
fields in camelCase, and `kato start` makes a flag of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from kato_spec.errors import KatoError, shown
from kato_spec.rules import ALLOWED

RankMetric = Literal[
    "potential",
    "similarity",
    "evidence",
    "confidence",
    "snr",
    "fragmentation",
    "frequency",
    "entropy",
    "normalized_entropy",
    "global_normalized_entropy",
    "itfdf_similarity",
    "confluence",
    "predictive_information",
    "bayesian_prior",
    "bayesian_likelihood",
    "bayesian_posterior",
    "tfidf_score",
    "weighted_similarity",
    "weighted_evidence",
    "weighted_confidence",
    "weighted_snr",
]
FilterName = Literal["length", "jaccard", "minhash", "bloom", "rapidfuzz"]

Ratio = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)]
PositiveCount = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Flag = Annotated[bool, Field(strict=True)]


class Parameters(BaseModel):
    """A session's configuration with every key resolved. Field names are the current HTTP spellings."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    recall_threshold: Ratio = Field(
        0.1, description="Least similarity at which a pattern is recalled, inclusive; 0 recalls every pattern."
    )
    max_predictions: Annotated[int, Field(ge=1, le=10000, strict=True)] = Field(
        100, description="Most predictions in one answer, after ranking."
    )
    max_pattern_length: Count = Field(
        0, description="Events in the short-term memory at which it is learned by itself; 0 turns auto-learning off."
    )
    persistence: Annotated[int, Field(ge=1, le=100, strict=True)] = Field(
        5, description="Emotive dictionaries that a pattern keeps, the newest ones."
    )
    quiescence: Count = Field(
        3, description="Observations in a row without a symbol after which the stream is reported at rest."
    )
    stm_mode: Literal["CLEAR", "ROLLING"] = Field(
        "CLEAR",
        description="What auto-learning leaves of the short-term memory: nothing (CLEAR), or its last"
        " `max_pattern_length` - 1 events (ROLLING).",
    )
    indexer_type: Literal["VI"] = Field("VI", description="The vector indexer; VI is the only one.")
    sort_symbols: Flag = Field(
        True, description="Sort the symbols of an event by code point; follows useTokenMatching unless it is set."
    )
    process_predictions: Flag = Field(True, description="Compute predictions on every observation.")
    use_token_matching: Flag = Field(
        True, description="Match whole symbols; false matches the characters of the joined text."
    )
    fuzzy_token_threshold: Ratio = Field(
        0.0, description="Similarity at which two different symbols count as equal; 0 turns fuzzy matching off."
    )
    rank_sort_algo: RankMetric = Field("potential", description="The metric by which predictions are ranked.")
    affinity_emotive: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        None, description="The emotive whose affinity weighs the symbols of the weighted metrics."
    )
    filter_pipeline: Annotated[list[FilterName], Field(max_length=16)] | None = Field(
        None, description="Filters that narrow the ensemble: length and jaccard by their bounds, the others not at all."
    )
    length_min_ratio: Factor | None = Field(
        None, description="Least length of a pattern as a multiple of the state's, in the length filter."
    )
    length_max_ratio: Factor | None = Field(
        None, description="Greatest length of a pattern as a multiple of the state's, in the length filter."
    )
    jaccard_threshold: Ratio | None = Field(
        None, description="Least share of common symbols of pattern and state, in the jaccard filter."
    )
    jaccard_min_overlap: Count | None = Field(
        None, description="Least number of common symbols of pattern and state, in the jaccard filter."
    )
    minhash_threshold: Ratio | None = Field(None, description="Accepted for older clients; changes nothing.")
    minhash_bands: PositiveCount | None = Field(None, description="Accepted for older clients; changes nothing.")
    minhash_rows: PositiveCount | None = Field(None, description="Accepted for older clients; changes nothing.")
    minhash_num_hashes: PositiveCount | None = Field(None, description="Accepted for older clients; changes nothing.")
    bloom_false_positive_rate: Ratio | None = Field(None, description="Accepted for older clients; changes nothing.")
    max_candidates_per_stage: PositiveCount | None = Field(
        None, description="Accepted for older clients; changes nothing."
    )
    enable_filter_metrics: Flag | None = Field(None, description="Accepted for older clients; changes nothing.")


# Older spelling -> current one, accepted over HTTP and in instance files, never in manifests.
OLDER_NAMES: Mapping[str, str] = {
    "max_seq_length": "max_pattern_length",
    "max_sequence_length": "max_pattern_length",
}


def _adapter(info: FieldInfo) -> TypeAdapter[Any]:
    """Build the checker of one parameter's value, without its default and spellings."""
    kind: Any = info.annotation
    return TypeAdapter(Annotated[kind, *info.metadata] if info.metadata else kind)


_ADAPTERS = {name: _adapter(info) for name, info in Parameters.model_fields.items()}


@dataclass(frozen=True, slots=True)
class Overrides:
    """A configuration update as a client sent it, sorted into what it sets, resets and may be told about.

    `values`: current name -> value; `resets`: names set back to the layer below; `ignored`: keys that mean nothing.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    resets: frozenset[str] = frozenset()
    ignored: tuple[str, ...] = ()


class InvalidParameters(KatoError):
    """At least one value is out of range. `problems`: field as the client spelt it -> what is wrong and allowed."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in sorted(problems.items())))
        self.problems = dict(problems)


def parse_overrides(raw: Mapping[str, Any]) -> Overrides:
    """Check an update in HTTP spelling (older names too); None resets a key.

    Raises:
        InvalidParameters: naming every bad field, its value and its range; nothing of the update is to be applied.
    """
    values: dict[str, Any] = {}
    resets: set[str] = set()
    ignored: list[str] = []
    problems: dict[str, str] = {}
    for key, value in raw.items():
        name = OLDER_NAMES.get(key, key)
        if name not in _ADAPTERS:
            ignored.append(key)
        elif name in values or name in resets:
            problems[key] = f"given twice, also as {name} or another older spelling of it"
        elif value is None:
            resets.add(name)
        else:
            try:
                values[name] = _ADAPTERS[name].validate_python(value)
            except ValidationError:
                problems[key] = f"{shown(value)} is not allowed; allowed: {allowed(name)}"
    if problems:
        raise InvalidParameters(problems)
    return Overrides(values, frozenset(resets), tuple(sorted(ignored)))


def resolve(*layers: Mapping[str, Any]) -> Parameters:
    """Lay overrides over the defaults, later layers winning (processor first, then session).

    `sort_symbols` follows `use_token_matching` to false unless some layer sets it (engine.md, section 3).
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    if not merged.get("use_token_matching", True):
        merged.setdefault("sort_symbols", False)
    return Parameters.model_validate(merged)


def allowed(name: str) -> str:
    """Say in words what values the parameter `name` may hold, for error messages and help texts."""
    return describe_schema(_ADAPTERS[name].json_schema())


def describe_schema(schema: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema allows; `x-kato-allowed` in it is the words themselves."""
    if ALLOWED in schema:
        return str(schema[ALLOWED])
    if "anyOf" in schema:
        return " or ".join(describe_schema(branch) for branch in schema["anyOf"])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    kind = str(schema.get("type", "any value"))
    describe = {"array": _describe_list, "object": _describe_object, "string": _describe_text}.get(kind)
    return describe(schema) if describe else kind + _bounds(schema.get("minimum"), schema.get("maximum"))


def _describe_list(schema: Mapping[str, Any]) -> str:
    """Say in words what a list may hold, and how many."""
    most = f", at most {schema['maxItems']}" if "maxItems" in schema else ""
    return f"a list of {describe_schema(schema['items'])}{most}"


def _describe_object(schema: Mapping[str, Any]) -> str:
    """Say in words which keys a mapping may have, and how many."""
    if "properties" in schema:
        return "a mapping with " + ", ".join(schema["properties"])
    most = f" of at most {schema['maxProperties']} keys" if "maxProperties" in schema else ""
    values = schema.get("additionalProperties")
    return f"a mapping{most}" + (f" to {describe_schema(values)}" if isinstance(values, Mapping) else "")


def _describe_text(schema: Mapping[str, Any]) -> str:
    """Say in words how long a string may be, and what it must match."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    length = f" of {least} to {most} characters" if most is not None else ""
    pattern = f" matching {schema['pattern']}" if "pattern" in schema else ""
    return f"string{length}{pattern}"


def _bounds(low: float | None, high: float | None) -> str:
    """Say in words between which bounds a number may lie."""
    if low is None and high is None:
        return ""
    return f" {low}..{high}" if high is not None else f" >= {low}"


def default_of(name: str) -> object:
    """Return the default of the parameter `name`."""
    default: object = Parameters.model_fields[name].default
    return default
