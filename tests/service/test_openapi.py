"""The OpenAPI document is complete, its examples are true, and the service does what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.support.service_process import ServiceProcess

HOOKS = Path(__file__).parents[1] / "support" / "schemathesis_hooks.py"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method"
)

ERROR = {"$ref": "#/components/schemas/ErrorBody"}
BAD = {"recall_threshold": 2}
UNEVEN = {"vectors": [[1], [1, 2]]}
# What some routes refuse: the route, the code, what is sent to a path of a fresh session or of a name that is unknown.
REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST /sessions", "INVALID_CONFIGURATION", {"json": {"user_id": "refused", "config": BAD}}),
    ("PUT /sessions/{session_id}/config", "INVALID_CONFIGURATION", {"json": BAD}),
    ("POST /sessions/{session_id}/config", "INVALID_CONFIGURATION", {"json": BAD}),
    ("GET /sessions/{session_id}/predictions", "INVALID_CONFIGURATION", {"params": BAD}),
    ("POST /sessions/{session_id}/predictions", "INVALID_CONFIGURATION", {"json": BAD}),
    ("GET /predictions", "INVALID_CONFIGURATION", {"params": BAD}),
    ("POST /sessions/{session_id}/observe", "VectorDimensionError", {"json": UNEVEN}),
    ("POST /sessions/{session_id}/observe-sequence", "VectorDimensionError", {"json": {"observations": [UNEVEN]}}),
    ("POST /observe", "VectorDimensionError", {"json": UNEVEN}),
    ("POST /sessions/{session_id}/learn", "EMPTY_STM", {}),
    ("POST /learn", "EMPTY_STM", {}),
    ("GET /pattern/{name}", "PATTERN_NOT_FOUND", {}),
    ("GET /metrics/{name}", "NOT_FOUND", {}),
    ("POST /import", "INVALID_EXPORT", {"content": b"{}"}),
]
# The same where it takes more than one call, or a service that is not ready.
REFUSED_LATER = {
    ("POST /sessions", "TOO_MANY_SESSIONS"),
    ("POST /sessions/{session_id}/learn", "VectorDimensionError"),
    ("POST /learn", "VectorDimensionError"),
    ("POST /sessions/{session_id}/observe", "IDEMPOTENCY_KEY_REUSED"),
    ("POST /sessions/{session_id}/observe-sequence", "IDEMPOTENCY_KEY_REUSED"),
    ("POST /sessions/{session_id}/learn", "IDEMPOTENCY_KEY_REUSED"),
    ("POST /observe", "IDEMPOTENCY_KEY_REUSED"),
    ("POST /learn", "IDEMPOTENCY_KEY_REUSED"),
    ("POST /import", "VectorDimensionError"),
    ("POST /import", "MEMORY_NOT_EMPTY"),
    ("GET /readyz", "NOT_READY"),
    ("GET /startupz", "LOADING"),
}
# The status that each code comes with (service.md, "Errors").
STATUSES = {
    "INVALID_CONFIGURATION": 400,
    "VectorDimensionError": 400,
    "EMPTY_STM": 400,
    "UNAUTHORIZED": 401,
    "SESSION_NOT_FOUND": 404,
    "PATTERN_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "REQUEST_TIMEOUT": 408,
    "MEMORY_NOT_EMPTY": 409,
    "BODY_TOO_LARGE": 413,
    "VALIDATION_ERROR": 422,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "INVALID_EXPORT": 422,
    "TOO_MANY_SESSIONS": 429,
    "STORE_UNAVAILABLE": 503,
    "OVERLOADED": 503,
    "NOT_READY": 503,
    "LOADING": 503,
}


@pytest.fixture(scope="module")
def document(api: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = api.get("/openapi.json").raise_for_status().json()
    return answer


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            yield f"{verb.upper()} {path}", operation


def contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every body of every operation, asked and answered, with where it stands."""
    for name, operation in operations(document):
        bodies = {
            **operation["responses"],
            **({"body": operation["requestBody"]} if "requestBody" in operation else {}),
        }
        for place, body in bodies.items():
            for kind, content in body.get("content", {}).items():
                yield f"{name} {place} {kind}", content


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def examples(document: dict[str, Any], content: dict[str, Any]) -> list[Any]:
    if content["schema"] == ERROR:  # what is common to all errors shows none of them
        return [example["value"] for example in content["examples"].values()]
    schema = resolved(document, content["schema"])
    branches = [resolved(document, each) for each in schema.get("anyOf", ())]
    found = [holder["example"] for holder in (content, schema, *branches) if "example" in holder]
    return [*found, *schema.get("examples", ())]


def refusals(operation: dict[str, Any]) -> dict[tuple[int, str], Any]:
    """Return the examples of an operation's errors by status and code."""
    return {
        (int(status), code): example["value"]
        for status, answer in operation["responses"].items()
        if status != "200"
        for code, example in answer["content"]["application/json"]["examples"].items()
    }


def test_every_body_has_an_example_that_is_true(document: dict[str, Any]) -> None:
    checked = 0
    for place, content in contents(document):
        found = examples(document, content)
        assert found, f"{place} has no example"
        schema = {**content["schema"], "components": document["components"]}
        for example in found:
            errors = [error.message for error in Draft202012Validator(schema).iter_errors(example)]
            assert not errors, (place, errors)
            checked += 1
    assert checked > 300


@pytest.mark.parametrize(("route", "code", "sent"), REFUSED)
def test_what_a_route_refuses_is_an_example_of_its_own(
    api: httpx.Client,
    document: dict[str, Any],
    session: Callable[..., str],
    route: str,
    code: str,
    sent: dict[str, Any],
) -> None:
    api.post("/clear-stm").raise_for_status()
    method, path = route.split()
    answer = api.request(method, path.format(session_id=session(), name="none"), **sent)
    error = answer.json()["error"]
    assert error["code"] == code
    example = refusals(document["paths"][path][method.lower()])[answer.status_code, code]["error"]
    assert (example["code"], example.keys()) == (code, error.keys())


def test_every_error_has_examples_that_its_route_can_answer(document: dict[str, Any]) -> None:
    own = REFUSED_LATER | {(route, code) for route, code, _ in REFUSED}
    own_codes = {code for _, code in own}
    for name, operation in operations(document):
        shown = refusals(operation)
        codes = {code for _, code in shown}
        assert {(STATUSES[code], code) for code in codes} == shown.keys(), name
        assert all(example["error"]["code"] == code for (_, code), example in shown.items()), name
        assert codes & own_codes == {code for route, code in own if route == name}, name
        on_a_session = "{session_id}" in name and not name.endswith("exists")
        assert ("SESSION_NOT_FOUND" in codes) == on_a_session, name
        without_store = operation["tags"] == ["monitoring"] or name in {"GET /", "GET /ping", "GET /health"}
        assert ("OVERLOADED" in codes) == without_store, name


def test_every_operation_says_what_it_does_and_answers(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["description"], name
        assert operation["responses"]["200"]["content"], name
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])


def test_a_wrong_method_names_the_right_ones(api: httpx.Client) -> None:
    assert api.put("/sessions").headers["allow"] == "GET, POST"


@pytest.mark.timeout(600)
def test_the_service_does_what_the_document_says(processes: Callable[..., ServiceProcess], tmp_path: Path) -> None:
    with processes().start() as service, service.client() as api:
        api.post("/observe", json={"strings": ["hello"]}).raise_for_status()
        ran = schemathesis(service.url, tmp_path, examples=6)
        assert ran.returncode == 0, ran.stdout[-10_000:]
        assert "Tested: " in ran.stdout
        lines = [line for line in service.lines() if line["event"] == "request"]
        assert len(lines) > 1000
        assert not [line for line in lines if line["status"] >= 500]
        assert not [line for line in service.lines() if line["event"] == "unexpected_error"]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_service_does_what_the_document_says_at_length(
    processes: Callable[..., ServiceProcess], tmp_path: Path
) -> None:
    with processes().start() as service, service.client() as api:
        api.post("/observe", json={"strings": ["hello"]}).raise_for_status()
        ran = schemathesis(service.url, tmp_path, examples=300)
        assert ran.returncode == 0, ran.stdout[-10_000:]


def schemathesis(url: str, directory: Path, *, examples: int) -> subprocess.CompletedProcess[str]:
    """Ask every operation of the document what it takes and what it does not, the same each time."""
    program = Path(sys.executable).with_name("schemathesis")
    options = ["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples)]
    fixed = ["--generation-deterministic", "--no-color", "--suppress-health-check", "all", "--request-timeout", "60"]
    alone = directory / "schemathesis.toml"  # no settings of a directory above
    alone.write_text(f'hooks = "{HOOKS}"\n')
    return subprocess.run(
        [program, "--config-file", alone, "run", f"{url}/openapi.json", *options, *fixed],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_document_that_lies_is_found_out(tmp_path: Path, api: httpx.Client, document: dict[str, Any]) -> None:
    lying = json.loads(json.dumps(document))
    lying["paths"] = {"/ping": lying["paths"]["/ping"]}
    lying["components"]["schemas"]["Ping"]["properties"]["id"] = {"type": "integer"}
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(lying))
    program = Path(sys.executable).with_name("schemathesis")
    command = [program, "run", str(path), "--url", str(api.base_url), "--checks", CHECKS, "--max-examples", "2"]
    ran = subprocess.run([*command, "--no-color"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stdout
    assert "Response violates schema" in ran.stdout
