"""A service on the fast matcher: it sends the engine's own bytes and tells how much memory the knowledge takes."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from kato_service.engine.rust import RustMatcher
from kato_spec.parameters import Parameters
from tests.exact.cases import Case, Shape
from tests.support.service_process import ServiceProcess
from tests.unit.engine.kb import learning_of

SHAPE = Shape(seed=3, alphabet=12, patterns=60, longest=6, widest=2, state=5, words=True, kin=0.5)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with ServiceProcess(tmp_path_factory.mktemp("served")).start() as service, service.client() as client:
        yield client


def learn(api: httpx.Client, matcher: RustMatcher, sequences: list[list[list[str]]]) -> str:
    """Teach the service over HTTP, and a matcher of our own, the same; return the session's path."""
    session = f"/sessions/{api.post('/sessions', json={'user_id': 'u'}).json()['session_id']}"
    for sequence in sequences:
        body = {"observations": [{"strings": event} for event in sequence], "learn_at_end": True}
        assert api.post(f"{session}/observe-sequence", json=body).status_code == 200
        learning = learning_of(sequence)
        if learning is not None:
            matcher.apply(learning)
    return session


def test_an_answer_is_the_engines_bytes(api: httpx.Client) -> None:
    case, matcher = Case(SHAPE), RustMatcher()
    session = learn(api, matcher, [[list(event) for event in case._kin()] for _ in range(40)])
    asked = [tuple(tuple(sorted(event)) for event in case.state()) for _ in range(20)]
    for stm in asked:
        own = matcher.predict(stm, Parameters())
        sent = api.post(f"{session}/predictions", json={"stm": stm})
        assert sent.content.startswith(own[:-1] + b",")
        assert sent.json()["session_id"]


def test_memory_grows_with_what_is_learned(api: httpx.Client) -> None:
    def served() -> dict[str, object]:
        (found,) = api.get("/status").json()["processors"].values()
        assert found["matcher"] == "rust"
        return dict(found)

    before = served()["memory_bytes"]
    learn(api, RustMatcher(), [[["begin"], [f"new {number}"] * 50] for number in range(100)])
    after = served()["memory_bytes"]
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert after - before > 100 * 50
