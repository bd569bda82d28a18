"""The one mapping from domain errors to HTTP, and the one shape of an error that old and new clients can read.

Called by the front door and by both applications (spec: service.md, "Errors").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.routing import Match

from kato_service.api.context import request_id
from kato_service.api.json import Json
from kato_service.engine.limits import VectorDimension
from kato_service.processor import errors
from kato_spec.errors import KatoError, Rejected, Transient, shown
from kato_spec.parameters import InvalidParameters

log = structlog.get_logger()
_REFERENCE = "#/components/schemas/{model}"


class ErrorDetails(BaseModel):
    """What went wrong, for programs. More keys by code: `field`, `value`, `allowed`, `session_id`..."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    code: str
    message: str


class ErrorBody(BaseModel):
    """Every error of the API."""

    model_config = ConfigDict(
        defer_build=True,
        json_schema_extra={
            "example": {
                "detail": "session_id: 'kato.x' is not allowed; allowed: the id of a session that exists",
                "error": {"code": "SESSION_NOT_FOUND", "message": "...", "session_id": "kato.x"},
                "request_id": "b0a6e5c1f2d34c7e",
            }
        },
    )

    detail: str | dict[str, Any]
    error: ErrorDetails
    request_id: str


@dataclass(frozen=True, slots=True)
class Rule:
    """The status and code of a kind of error."""

    status: int
    code: str


RULES: Mapping[type[KatoError], Rule] = {
    errors.SessionNotFound: Rule(404, "SESSION_NOT_FOUND"),
    errors.PatternNotFound: Rule(404, "PATTERN_NOT_FOUND"),
    errors.DeclarationNotFound: Rule(404, "DECLARATION_NOT_FOUND"),
    errors.EmptyMemory: Rule(400, "EMPTY_STM"),
    VectorDimension: Rule(400, "VectorDimensionError"),
    InvalidParameters: Rule(400, "INVALID_CONFIGURATION"),
    errors.InvalidRecord: Rule(400, "INVALID_RECORD"),
    errors.InvalidExport: Rule(422, "INVALID_EXPORT"),
    errors.MemoryNotEmpty: Rule(409, "MEMORY_NOT_EMPTY"),
    errors.StaleGeneration: Rule(409, "STALE_GENERATION"),
    errors.KeyReused: Rule(422, "IDEMPOTENCY_KEY_REUSED"),
    errors.TooManySessions: Rule(429, "TOO_MANY_SESSIONS"),
    errors.StillLoading: Rule(503, "LOADING"),
    errors.StoreUnavailable: Rule(503, "STORE_UNAVAILABLE"),
    Transient: Rule(503, "UNAVAILABLE"),
    Rejected: Rule(422, "VALIDATION_ERROR"),
    KatoError: Rule(500, "INTERNAL_ERROR"),
}
STATUS_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
}
# By pydantic's type of error; what stands in braces is the context that it gives.
WORDS = {
    "string_type": "a string",
    "string_too_short": "a string of at least {min_length} characters",
    "string_too_long": "a string of at most {max_length} characters",
    "list_type": "a list",
    "dict_type": "an object",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "greater_than_equal": "a number of at least {ge}",
    "less_than_equal": "a number of at most {le}",
    "missing": "a body; it is required",
    "value_error": "{error}",
}
# An error of each kind that routes document.
SAMPLES: Sequence[KatoError] = (
    InvalidParameters({"recall_threshold": "2 is not allowed; allowed: number 0..1"}),
    errors.InvalidRecord("uid", "b", "'a', which the path names"),
    errors.EmptyMemory(),
    VectorDimension("vectors", 3, 2),
    errors.SessionNotFound("kato.gone"),
    errors.PatternNotFound("PTRN|none", "alice"),
    errors.DeclarationNotFound("gone"),
    errors.MemoryNotEmpty("alice", 3),
    errors.StaleGeneration(3, live=4),
    Rejected("strings[0]", 7, "a string"),
    errors.KeyReused("retry-1"),
    errors.InvalidExport("line 2", "{}", "a line of a node, a vector of it, a pattern of it, or the end"),
    errors.TooManySessions(1000),
    errors.StillLoading(),
    errors.StoreUnavailable("memory.db: database is locked"),
)
# By code, what is no error of ours: an example's status, detail and fields beside them in `error`.
EXAMPLES: Mapping[str, tuple[int, str | dict[str, Any], dict[str, Any]]] = {
    "UNAUTHORIZED": (401, "Send a known token as Authorization: Bearer", {}),
    "NOT_FOUND": (404, "No data available for metric 'kato_patterns' in the last 10 minutes", {}),
    "REQUEST_TIMEOUT": (408, "The body did not come in time; send it again", {}),
    "BODY_TOO_LARGE": (413, "The body is larger than 10485760 bytes; send less at once", {"allowed": 10485760}),
    "OVERLOADED": (
        503,
        "1000 requests are being answered, which is this processor's limit; ask again later",
        {"allowed": 1000},
    ),
    "NOT_READY": (503, "memory.db: database is locked", {}),
}
# What a status stands for among the refusals of a route.
USUAL = {
    400: "INVALID_CONFIGURATION",
    401: "UNAUTHORIZED",
    404: "SESSION_NOT_FOUND",
    408: "REQUEST_TIMEOUT",
    413: "BODY_TOO_LARGE",
    422: "VALIDATION_ERROR",
    429: "TOO_MANY_SESSIONS",
    503: "STORE_UNAVAILABLE",
}
EVERYWHERE = (401, 408, 413, 422, 503)
MEANINGS = {
    400: "The request asks for something that cannot be: an empty STM, a value out of range, a vector's dimension.",
    401: "No bearer token, or none that is known here.",
    404: "No such session, pattern or path.",
    408: "The body did not come in time.",
    409: "Something newer is live, or the memory to import into is not empty.",
    413: "The body is larger than `max_body_bytes`.",
    422: "The body or query is malformed: JSON, types, missing fields.",
    429: "The processor's session limit is reached; retry later.",
    503: "The processor is loading or a store is away; retry later.",
}


def documented(*refusals: int | str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route, with an example of each refusal: a code, or a status with a usual one.

    Of what may happen `EVERYWHERE`, a code of the same status takes the place.
    """
    examples = _examples()
    by_status: dict[int, list[str]] = {}
    for refusal in refusals:
        code = USUAL[refusal] if isinstance(refusal, int) else refusal
        by_status.setdefault(examples[code][0], []).append(code)
    for status in EVERYWHERE:
        by_status.setdefault(status, [USUAL[status]])
    return {
        status: _documented(status, {code: _body(code, *examples[code][1:]) for code in by_status[status]})
        for status in sorted(by_status)
    }


@cache
def _examples() -> Mapping[str, tuple[int, str | dict[str, Any], dict[str, Any]]]:
    """Return `EXAMPLES` and those that are made of `SAMPLES`; once, as every route asks for them at the start."""
    samples = {_rule(error).code: (_rule(error).status, _detail(error), _fields(error)) for error in SAMPLES}
    return {**samples, **EXAMPLES}


def _documented(status: int, bodies: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    shown_as = {code: {"value": {**body, "request_id": "5f0c2b7a9d1e-1a"}} for code, body in bodies.items()}
    content = {"application/json": {"schema": {"$ref": _REFERENCE.format(model="ErrorBody")}, "examples": shown_as}}
    return {"description": MEANINGS[status], "content": content}


def _body(code: str, detail: str | Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    message = detail if isinstance(detail, str) else detail["error"]
    return {"detail": detail, "error": {"code": code, "message": message, **fields}}


def schemas() -> dict[str, Any]:
    """Return the schemas that `documented` refers to, by name: given as models, FastAPI makes each of them by route."""
    body = ErrorBody.model_json_schema(ref_template=_REFERENCE, mode="serialization")
    return {**body.pop("$defs"), "ErrorBody": body}


def answer(
    status: int,
    code: str,
    detail: str | Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Json:
    """Return an error in the one shape; `fields` join `error`."""
    return Json({**_body(code, detail, fields or {}), "request_id": request_id()}, status, headers)


def install(app: FastAPI) -> None:
    """Let `app` answer every error in the one shape."""
    app.add_exception_handler(KatoError, _domain)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _domain(_: Request, error: Exception) -> Json:
    rule = _rule(error)
    headers = {"Retry-After": str(max(1, round(error.retry_after)))} if isinstance(error, Transient) else None
    return answer(rule.status, rule.code, _detail(error), headers=headers, fields=_fields(error))


def _rule(error: Exception) -> Rule:
    return next(RULES[kind] for kind in type(error).__mro__ if kind in RULES)


def _detail(error: Exception) -> str | dict[str, Any]:
    if isinstance(error, InvalidParameters):
        return {"error": "Invalid configuration; nothing was changed", "validation_errors": error.problems}
    if isinstance(error, errors.EmptyMemory):
        return "Cannot learn from empty STM; observe something first"
    if isinstance(error, errors.SessionNotFound):
        return f"Session {shown(error.session_id)} does not exist or has expired; create one with POST /sessions"
    return str(error)


def _fields(error: Exception) -> dict[str, Any]:
    if isinstance(error, errors.SessionNotFound):
        return {"session_id": error.session_id}
    if isinstance(error, VectorDimension):
        return {"expected_dimension": error.expected, "actual_dimension": error.actual}
    if isinstance(error, InvalidParameters):
        return {"validation_errors": error.problems}
    if isinstance(error, Rejected):
        return {"field": error.field, "value": shown(error.value), "allowed": error.allowed}
    return {}


async def _malformed(_: Request, error: Exception) -> Json:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    first = problems[0]
    if first["type"] == "json_invalid":
        why = first["ctx"]["error"]
        return _refused("body", f"not valid JSON at character {first['loc'][-1]} ({why})", "JSON; NaN is none")
    if first["type"] == "missing" and len(first["loc"]) > 1:
        return _refused(_place(first["loc"]), "nothing", "a value; it is required")
    json_wanted = isinstance(first["input"], bytes)
    allowed = "JSON, under Content-Type: application/json" if json_wanted else _allowed(first)
    return _refused(_place(first["loc"]), shown(first["input"]), allowed)


def _allowed(problem: Mapping[str, Any]) -> str:
    """Say in words what pydantic would have taken."""
    words = WORDS.get(problem["type"])
    return words.format_map(problem.get("ctx", {})) if words else str(problem["msg"])


def _refused(field: str, value: str, allowed: str) -> Json:
    detail = f"{field}: {value} is not allowed; allowed: {allowed}"
    return answer(422, "VALIDATION_ERROR", detail, fields={"field": field, "value": value, "allowed": allowed})


def _place(location: Sequence[int | str]) -> str:
    """Write `("body", "strings", 0)` as `strings[0]`, the way a client would point at it."""
    inner = location[1:] or location
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in inner).lstrip(".")


async def _http(request: Request, error: Exception) -> Json:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_allowed_methods(request))}
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return too_large(request.app.state.max_body_bytes)
    if isinstance(error, HTTPException) and error.detail != HTTPStatus(status).phrase:
        return answer(status, STATUS_CODES.get(status, "HTTP_ERROR"), str(error.detail), headers=headers)
    if status == HTTPStatus.REQUEST_TIMEOUT:
        detail = "The body did not come in time; send it again"
        return answer(status, STATUS_CODES[status], detail, headers={"Connection": "close"})
    detail = f"{request.method} {request.url.path}: {HTTPStatus(status).phrase}; /docs lists what there is"
    return answer(status, STATUS_CODES.get(status, "HTTP_ERROR"), detail, headers=headers)


def _allowed_methods(request: Request) -> list[str]:
    """Return every method of the path: each is a route of its own, and the first that fits knows of no other."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE]
    return sorted({method for route in routes for method in getattr(route, "methods", None) or ()})


def too_large(limit: int) -> Json:
    """Return the answer to a body of more than `limit` bytes; the rest of it is not read."""
    detail = f"The body is larger than {limit} bytes; send less at once"
    return answer(413, "BODY_TOO_LARGE", detail, headers={"Connection": "close"}, fields={"allowed": limit})


def overloaded(limit: int) -> Json:
    """Return the answer to a request beyond the `limit` that are worked on at once."""
    detail = f"{limit} requests are being answered, which is this processor's limit; ask again later"
    return answer(503, "OVERLOADED", detail, headers={"Retry-After": "1"}, fields={"allowed": limit})


def unready(code: str, detail: str, more: Mapping[str, Any]) -> Json:
    """Return a probe's 503, with what it tells besides."""
    error = {"code": code, "message": detail}
    body = {**more, "detail": detail, "error": error, "request_id": request_id()}
    return Json(body, 503, {"Retry-After": "1"})


async def _unexpected(request: Request, error: Exception) -> Json:
    log.error("unexpected_error", path=request.url.path, request_id=request_id(), exc_info=error)
    return answer(
        500, "INTERNAL_ERROR", "Something is wrong inside the service; its log says more under the request id"
    )
