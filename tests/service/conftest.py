"""One service process for the tests that need no other, and fresh sessions on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.service_process import ServiceProcess
from tests.support.stores.replicas import Replicas, Stores, running_stores

Sessions = Callable[..., str]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("service"), {"KATO_PROCESSOR_ID": "p1"}).start() as running:
        yield running


@pytest.fixture(scope="session")
def api(service: ServiceProcess) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


_users = count()


@pytest.fixture
def user() -> str:
    """A user that no other test has."""
    return f"user-{next(_users)}"


@pytest.fixture
def session(api: httpx.Client, user: str) -> Sessions:
    """Return a maker of sessions, of a fresh user unless told otherwise."""

    def make(user_id: str = user, **config: Any) -> str:  # noqa: ANN401 - parameters of a session
        answer = api.post("/sessions", json={"user_id": user_id, "config": config})
        assert answer.status_code == 200, answer.text
        session_id: str = answer.json()["session_id"]
        return session_id

    return make


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """A Redis and a MongoDB that no test stops."""
    with running_stores(tmp_path_factory.mktemp("stores")) as running:
        yield running


@pytest.fixture
def replicas(stores: Stores, tmp_path: Path) -> Iterator[Replicas]:
    """A maker of replicas of one processor, which end with the test."""
    made = Replicas(tmp_path, stores)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Return a maker of service processes that end with the test."""
    made: list[ServiceProcess] = []

    def make(**settings: str) -> ServiceProcess:
        directory = tmp_path / f"process-{len(made)}"
        directory.mkdir()
        made.append(ServiceProcess(directory, {f"KATO_{name.upper()}": value for name, value in settings.items()}))
        return made[-1]

    yield make
    for each in made:
        if each.process is not None and each.process.poll() is None:
            each.kill()


@pytest.fixture(params=["SQLite", "Redis and MongoDB"])
def on_each_store(request: pytest.FixtureRequest) -> ServiceProcess:
    """A process on each kind of store, not started yet."""
    if request.param == "SQLite":
        made: ServiceProcess = request.getfixturevalue("processes")()
        return made
    replicas: Replicas = request.getfixturevalue("replicas")
    return replicas.add()
