"""The one error tree of the project; it knows no framework.

Every room raises these two kinds, and one file each maps them to HTTP (`kato_service.api.errors`), to Kopf and to
the command line's exit codes.
"""

from __future__ import annotations


class KatoError(Exception):
    """Base of every error that this project raises on purpose."""


class Transient(KatoError):
    """It may work later without any change: retry after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(KatoError):
    """It will never work as asked: `field` holds `value`, and `allowed` says what it may hold."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {shown(value)} is not allowed; allowed: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


def shown(value: object, limit: int = 80) -> str:
    """Return `value` as an error message shows it: Python's repr, cut at `limit` characters."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a {type(value).__name__} nested too deep to be shown"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
