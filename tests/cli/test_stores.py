"""`kato stores`, and what `kato stop` does with them: a real Redis, started, used, stopped, its data kept."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kato_operator.local import processes
from kato_operator.local.home import Home
from kato_operator.local.stores import Stores
from tests.support.cli import Kato
from tests.support.cluster.machine import install
from tests.support.stores.mongo_server import mongod
from tests.support.stores.replicas import Stores as SharedStores
from tests.support.stores.replicas import running_stores
from tests.support.terminal import on_a_terminal


@pytest.fixture
def path(kato: Kato) -> Iterator[str]:
    """A PATH with a Redis server on it; stores that a test leaves running are stopped."""
    names = os.environ["PATH"]
    if shutil.which("redis-server") is None:
        # Debian's redis-tools has the server under another of its names, and starts no service by being installed.
        if shutil.which("redis-check-rdb") is None:
            install(["redis-tools"])
        programs = kato.directory / "bin"
        programs.mkdir()
        (programs / "redis-server").symlink_to(shutil.which("redis-check-rdb") or "")
        names = f"{programs}:{names}"
    yield names
    Stores(kato.home).stop()


def ask(port: int, *words: str) -> str:
    """Send one command to a Redis and return the first of its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(" ".join(words).encode() + b"\r\n")
        return connection.recv(64).decode()


def of_redis(kato: Kato) -> dict[str, object]:
    """Return what `kato stores status` says of the Redis."""
    found: dict[str, object] = next(one for one in kato.json("stores", "status")["stores"] if one["name"] == "redis")
    return found


def test_stores_start_keep_their_data_and_stop_when_asked(kato: Kato, path: str) -> None:
    assert "redis started (redis://127.0.0.1:" in kato("stores", "start", PATH=path).out
    begun = of_redis(kato)
    assert (begun["status"], begun["url"]) == ("running", f"redis://127.0.0.1:{begun['port']}")
    assert ask(int(str(begun["port"])), "SET", "kept", "yes") == "+OK\r\n"
    assert f"redis runs already ({begun['url']})\n" in kato("stores", "start", PATH=path).out
    kato("start", "--id", "a")
    assert "redis" not in kato("stop", "--all").out  # nobody can be asked: the stores stay
    kato("start", "--id", "a")
    assert "redis" not in kato("stop", "a", "--no-mongo").out
    assert of_redis(kato)["status"] == "running"
    assert f"redis stopped (data kept in {kato.home.stores / 'redis'})" in kato("stop", "--all", "--with-mongo").out
    assert "redis stopped" not in kato("stores", "stop").out
    assert kato("stop", "--all", "--with-stores").err.endswith("kato: no store of kato's runs\n")
    kato("stores", "start", PATH=path)
    again = of_redis(kato)
    assert again["pid"] != begun["pid"]
    assert ask(int(str(again["port"])), "GET", "kept").endswith("yes\r\n")


def test_a_terminal_asks_about_the_stores(kato: Kato, path: str) -> None:
    kato("stores", "start", PATH=path)
    for answer, stays in (("n", True), ("y", False)):
        with on_a_terminal(kato, "stop", "--all") as terminal:
            terminal.wait_for(
                "Stop the stores too (redis)?" if shutil.which("mongod") is None else "Stop the stores too"
            )
            terminal.type(f"{answer}\n")
            terminal.finish()
        assert ("redis" in Stores(kato.home).running()) == stays


def test_a_store_of_somebody_else_is_never_touched(kato: Kato, path: str) -> None:
    kato("stores", "start", PATH=path)
    elsewhere = Kato(Home(kato.directory / "elsewhere"), kato.directory)
    assert elsewhere("stores", "stop").err == "kato: no store of kato's runs\n"
    store = Stores(kato.home).running()["redis"]
    assert processes.alive(store.identity)
    assert elsewhere("stores", "start", PATH=path).out.startswith("redis started")  # on the next free port
    assert Stores(elsewhere.home).running()["redis"].port != store.port
    elsewhere("stores", "stop")
    assert processes.alive(store.identity)


def test_a_store_whose_port_is_lost_between_its_choice_and_its_start_is_started_again(kato: Kato, path: str) -> None:
    """The program that takes it ends as soon as the store has met it."""
    lost = kato.directory / "lost"
    wrapped = kato.directory / "wrapped"
    wrapped.mkdir()
    (wrapped / "redis-server").write_text(
        f"""#!{sys.executable}
import os, pathlib, socket, subprocess, sys
server, marker = {shutil.which("redis-server", path=path)!r}, pathlib.Path({str(lost)!r})
if not marker.exists():
    marker.write_text(sys.argv[sys.argv.index("--port") + 1])
    with socket.create_server(("127.0.0.1", int(marker.read_text()))):
        sys.exit(subprocess.run([server, *sys.argv[1:]]).returncode)
os.execv(server, [server, *sys.argv[1:]])
"""
    )
    (wrapped / "redis-server").chmod(0o755)
    assert "redis started (redis://127.0.0.1:" in kato("stores", "start", PATH=f"{wrapped}:{path}").out
    assert lost.read_text().isdecimal()
    found = of_redis(kato)
    assert found["status"] == "running"
    assert ask(int(str(found["port"])), "PING") == "+PONG\r\n"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[SharedStores]:
    """A Redis and a MongoDB that kato did not start."""
    with running_stores(tmp_path / "servers") as running:
        yield running


def test_instances_on_shared_stores_share_nothing_and_find_their_memory_again(
    kato: Kato, servers: SharedStores
) -> None:
    where = ["--mongodb-uri", servers.mongo.url, "--redis-url", servers.redis.url]
    for name in ("a", "b"):
        kato("start", "--id", name, *where)
    kato("observe", "a", "--each", "x", "y")
    kato("learn", "a")
    assert not list(kato.home.data("a").glob("*.db"))
    kato.home.registry.unlink()  # found again by the process, wherever its memory lies
    counted = {key: view["patterns"] for key, view in kato.json("list")["instances"].items()}
    assert counted == {"a": 1, "b": 0}
    kato("stop", "--all", "--with-stores")
    assert servers.redis.answers()
    kato("start", "--id", "a")
    assert kato.json("status", "a")["patterns"] == 1
    kato("stop", "a")
    assert "a has its memory elsewhere now" in kato("start", "--id", "a", "--no-stores").err
    assert kato.json("status", "a")["patterns"] == 0


def test_instances_on_kato_s_own_redis_and_mongod_find_their_memory_again(
    kato: Kato, path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = f"{mongod(tmp_path_factory.mktemp('mongod'))}:{path}"
    started = kato("stores", "start", PATH=names).out
    assert "redis started (redis://127.0.0.1:" in started
    assert "mongodb started (mongodb://127.0.0.1:" in started
    for name in ("a", "b"):
        kato("start", "--id", name, "--stores")
    kato("observe", "a", "--each", "x", "y")
    kato("learn", "a")
    assert not list(kato.home.data("a").glob("*.db"))
    stopped = kato("stop", "--all", "--with-stores").out
    for store in ("redis", "mongodb"):
        assert f"{store} stopped (data kept in {kato.home.stores / store})" in stopped
    assert [one["status"] for one in kato.json("stores", "status", PATH=names)["stores"]] == ["stopped"] * 2
    kato("stores", "start", PATH=names)
    for name in ("a", "b"):
        kato("start", "--id", name, "--stores")
    counted = {key: view["patterns"] for key, view in kato.json("list")["instances"].items()}
    assert counted == {"a": 1, "b": 0}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--redis-url", "redis://127.0.0.1:1"], 2, "--mongodb-uri and --redis-url are needed together"),
        (["--stores"], 1, "does not run: redis, mongodb. `kato stores start` starts what is installed"),
        (
            ["--mongodb-uri", "http://x", "--redis-url", "redis://x"],
            1,
            "a did not start: --mongodb-uri (KATO_MONGODB_URI): Value error, does not begin with mongodb://",
        ),
    ],
)
def test_stores_that_cannot_be_used_are_named(kato: Kato, words: list[str], code: int, message: str) -> None:
    ran = kato("start", "--id", "a", *words, code=code)
    assert message in ran.err
    assert ran.err.count("\n") == 1
    assert list(processes.discover(kato.home)) == []


def test_a_machine_without_a_mongod_gets_a_redis_and_is_told(kato: Kato, path: str, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "redis-server").symlink_to(shutil.which("redis-server", path=path) or "")
    started = kato("stores", "start", PATH=str(alone))
    assert started.out.startswith("redis started (redis://127.0.0.1:")
    assert started.err == (
        "kato: no mongodb on this machine: left out. `kato start --stores` needs both; --mongodb-uri and --redis-url "
        "name stores elsewhere\n"
    )
    shown = kato("stores", "status", PATH=str(alone)).out
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [["redis", "running"], ["mongodb", "not"]]
    assert "does not run: mongodb." in kato("start", "--id", "a", "--stores", code=1, PATH=str(alone)).err


def test_a_machine_without_a_redis_is_told_what_to_install(kato: Kato, tmp_path: Path) -> None:
    told = kato("stores", "start", code=1, PATH=str(tmp_path)).err
    assert told == "kato: no redis on this machine: install redis-server or valkey-server, or put it on PATH\n"
