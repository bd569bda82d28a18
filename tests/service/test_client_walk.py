"""Both clients, every method, against a real service; and a service that goes away and comes back meanwhile."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from kato_client import ApiError, AsyncKatoClient, KatoClient
from tests.support.service_process import ServiceProcess
from tests.support.stores.server import free_port

Processes = Callable[..., ServiceProcess]
EVENTS = [["a"], {"strings": ["b"], "emotives": {"joy": 0.5}, "unique_id": "u2"}, ["c"]]


class Awaiting:
    """The asynchronous client, each call awaited: so that one walk goes over both."""

    def __init__(self, kato: AsyncKatoClient) -> None:
        self._kato = kato

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a method
        method = getattr(self._kato, name)

        async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the method's own
            found = method(*args, **kwargs)
            return [each async for each in found] if inspect.isasyncgen(found) else await found

        return call


class Plain:
    """The synchronous client behind the same face."""

    def __init__(self, kato: KatoClient) -> None:
        self._kato = kato

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a method
        method = getattr(self._kato, name)

        async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the method's own
            found = method(*args, **kwargs)
            return list(found) if inspect.isgenerator(found) else found

        return call


@pytest.fixture(params=["sync", "async"])
async def kato(request: pytest.FixtureRequest, service: ServiceProcess) -> AsyncIterator[Any]:
    if request.param == "sync":
        with KatoClient(service.url) as client:
            yield Plain(client)
    else:
        async with AsyncKatoClient(service.url) as client:
            yield Awaiting(client)


async def test_a_walk_over_every_method(kato: Any, user: str) -> None:  # noqa: ANN401 - either client
    assert (await kato.ping())["id"] == "p1"
    assert (await kato.health())["status"] == "healthy"
    assert (await kato.status())["base_processor_id"] == "p1"
    assert (await kato.metrics())["performance"]["total_requests"] > 0
    made = await kato.create_session(user, ttl_seconds=500, metadata={"app": "x"}, config={"max_predictions": 7})
    session = made["session_id"]
    assert (await kato.session(session))["metadata"] == {"app": "x"}
    assert await kato.session_exists(session) is True
    assert await kato.session_count() >= 1
    assert [each["session_id"] for each in await kato.sessions(user)] == [session]
    assert (await kato.extend_session(session, 900))["ttl_seconds"] == 900
    assert (await kato.config(session))["max_predictions"] == 7
    assert (await kato.update_config(session, max_predictions=None, persistence=3))["max_predictions"] == 100
    seen = await kato.observe(["a"], session_id=session, emotives={"joy": 1}, metadata={"b": "c"}, unique_id="u1")
    assert (seen["stm_length"], seen["unique_id"]) == (1, "u1")
    assert (await kato.percept_data(session))["unique_id"] == "u1"
    assert (await kato.cognition_data(session))["symbols"] == ["a"]
    await kato.clear_stm(session)
    assert (await kato.stm(session))["length"] == 0
    learned = await kato.observe_sequence(EVENTS, session_id=session, learn_at_end=True)
    name = learned["final_learned_pattern"]
    assert (await kato.finalize_training(session))["patterns_processed"] == 1
    assert (await kato.pattern(name, node_id=user))["pattern_data"] == [["a"], ["b"], ["c"]]
    assert [each["name"] for each in await kato.patterns(node_id=user, contains="b")] == [name]
    assert (await kato.symbols(node_id=user))["totals"]["total_unique_patterns"] == 1
    assert await kato.affinity("b", node_id=user) == {"joy": 0.5}
    asked = await kato.predictions(session, stm=[["a"]], max_predictions=1, recall_threshold=0.1)
    assert asked["predictions"][0]["future"] == [["b"], ["c"]]
    await kato.observe(["a"], session_id=session)
    assert (await kato.predictions(session, rank_sort_algo="frequency"))["count"] == 1
    await kato.clear_stm(session)
    with pytest.raises(ApiError, match="EMPTY_STM"):
        await kato.learn(session)
    await kato.delete_session(session)
    assert await kato.session_exists(session) is False
    with pytest.raises(ApiError) as caught:
        await kato.stm(session)
    assert (caught.value.status, caught.value.code) == (404, "SESSION_NOT_FOUND")


async def test_a_memory_goes_out_and_in(kato: Any, user: str) -> None:  # noqa: ANN401 - either client
    session = (await kato.create_session(user))["session_id"]
    await kato.observe_sequence([["a"], ["b"]], session_id=session, learn_at_end=True)
    exported = b"".join(await kato.export(user))

    def lines() -> Iterator[bytes]:
        return iter([exported[:50], exported[50:]])

    async def asynchronous() -> AsyncIterator[bytes]:
        for each in lines():
            yield each

    source = asynchronous if isinstance(kato, Awaiting) else lines
    assert (await kato.import_memory(source, node_id=f"{user}-copy"))["patterns"] == 1
    for _ in range(2):
        await kato.import_memory(source, merge=True, key=f"{user}-key")
    assert (await kato.symbols(node_id=user))["totals"]["total_pattern_frequencies"] == 2
    await kato.clear_all(session)
    assert await kato.patterns(node_id=user) == []
    exported = b"{}"
    with pytest.raises(ApiError, match="INVALID_EXPORT"):
        await kato.import_memory(source)


def test_both_clients_have_the_same_methods() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in methods if not name.startswith("_")}

    assert public(KatoClient) == public(AsyncKatoClient)
    assert len(public(KatoClient)) >= 30


def test_a_client_outlives_a_restart_of_the_service(processes: Processes) -> None:
    service = processes(port=str(free_port())).start()
    with KatoClient(service.url, attempts=9) as kato:
        session = kato.create_session("u")["session_id"]
        kato.observe(["a"], session_id=session)
        assert service.stop() == 0
        service.spawn()
        assert kato.observe(["b"], session_id=session)["stm_length"] == 2
        assert kato.learn(session)["status"] == "learned"
