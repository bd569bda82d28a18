"""What the API server's answers mean: the one map from HTTP to the error tree.

Called by `rest` (spec: house.md, "Domain errors know no framework").
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from kato_operator.reconcile.ports import INVALID, Conflict, Refused
from kato_spec.errors import KatoError, Transient

# Refusals that no retry changes; a quota is one, for the user hears of it and its end is noticed by the next try.
FOR_GOOD = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY})


def error_of(status: int, subject: str, answer: Mapping[str, Any], retry_after: str | None) -> KatoError:
    """Return the error that an answer of the API server amounts to; `subject` says what was asked for."""
    message = str(answer.get("message") or HTTPStatus(status).phrase)
    if status == HTTPStatus.CONFLICT:
        return Conflict(f"{subject}: {message}", retry_after=0.2)
    if status in FOR_GOOD:
        return Refused(subject, _reason(str(answer.get("reason") or "Refused"), message), message)
    wait = float(retry_after) if retry_after and retry_after.isdigit() else 1.0
    return Transient(f"{subject}: {status} {message}", retry_after=wait)


def _reason(reason: str, message: str) -> str:
    """Return a word for a condition; the API server says `Forbidden` of a quota too, and tells it in the message."""
    if "exceeded quota" in message:
        return "QuotaExceeded"
    return INVALID if reason == "Invalid" else reason
