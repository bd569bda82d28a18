"""The answer of a prediction as bytes of JSON.

Called by `oracle`; the service sends these bytes as they are. The form, which the Rust twin reproduces byte by byte:

- no space and no line break between tokens; UTF-8; escaped are only the quotation mark, the reverse solidus and the
  control characters below U+0020: by their letters b, t, n, f, r, the others by u and four lower-case hex digits;
- integers without a point; floats as the shortest decimal that reads back as the same double: with a point and at
  least one digit behind it from 1e-5 on in magnitude, below that as `9e-6` or `1.5e-6`; none reaches 1e16;
- the answer: `predictions`, `future_potentials`;
- a prediction: `type`, `name`, the fields of `metrics.Metrics` in their order, `emotives`, `metadata`, `matches`,
  `missing`, `extras`, `past`, `present`, `future`, `sequence`, `anomalies`;
- emotives and metadata by name, metadata values too, sorted by code point;
- an anomaly: `observed`, `expected`, `similarity`, one for each pair in the order of S;
- a future: the fields of `ensemble.FuturePotential` in their order, the symbols of its events sorted.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from kato_service.engine.ensemble import FuturePotential
from kato_service.engine.fold import mean_emotives
from kato_service.engine.metrics import Metrics
from kato_service.engine.rank import Candidate

_METRICS = tuple(Metrics.__dataclass_fields__)


def render(predictions: Iterable[Candidate], futures: list[FuturePotential]) -> bytes:
    """Return the JSON object `{"predictions": [...], "future_potentials": [...]}`."""
    return orjson.dumps({"predictions": [_shown(found) for found in predictions], "future_potentials": futures})


def _shown(candidate: Candidate) -> dict[str, object]:
    record, alignment, metrics = candidate.found.record, candidate.alignment, candidate.metrics
    return {
        "type": "prototypical",
        "name": record.name,
        **{name: getattr(metrics, name) for name in _METRICS},
        "emotives": mean_emotives(record.emotives),
        "metadata": dict(sorted(record.metadata.items())),
        "matches": alignment.matches,
        "missing": alignment.missing,
        "extras": alignment.extras,
        "past": alignment.past,
        "present": alignment.present,
        "future": alignment.future,
        "sequence": record.events,
        "anomalies": alignment.anomalies,
    }
