"""MongoDB servers for tests: mongod where it is on PATH, else a server of the same protocol from Maven Central.

The latter has no transactions and no change streams, and loses up to a second of acknowledged writes when it is killed
by SIGKILL: a test that restarts it stops it cleanly. `KATO_TEST_MONGODB_URI` names a server for the tests that only
talk to one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from tests.support.cluster.cache import CACHE, Part, ensure
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.machine import install, missing_packages
from tests.support.cluster.progress import run_logged
from tests.support.stores.server import STARTING, Server, StoresError

SOURCE = Path(__file__).parent / "mongo"
MAIN = "MongoProtocolServer"
PROGRAMS = {"javac": "default-jdk-headless", "java": "default-jdk-headless", "mvn": "maven"}
LOG = CACHE / "logs" / "mongo-protocol-server.log"
MEMORY = "-Xmx512m"
# More threads than connections, as mongod has it: a heartbeat does not wait behind another connection's scan.
THREADS = "-Dio.netty.eventLoopThreads=64"


def recipe() -> str:
    """Return a hash of everything that the built server depends on."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))).hexdigest()[:12]


def build(target: Path) -> None:
    """Fetch the libraries and compile the main class."""
    copied = ["mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies", f"--file={SOURCE / 'pom.xml'}"]
    run_logged([*copied, f"-DoutputDirectory={target}"], LOG)
    run_logged(["javac", "-cp", f"{target}/*", "-d", target, SOURCE / f"{MAIN}.java"], LOG)


@cache
def protocol_server() -> Path:
    """Return the directory of the server's classes, after building it when it is missing.

    Raises:
        StoresError: it cannot be built here.
    """
    missing = missing_packages(PROGRAMS)
    if missing and os.geteuid() != 0:
        raise StoresError(f"these tests need mongod on PATH, or {' and '.join(missing)}, or root to install those")
    try:
        install(missing)
        return ensure(Part("mongo-protocol-server", recipe(), build, 60))
    except ClusterError as error:
        raise StoresError(f"these tests need mongod on PATH, or what speaks its protocol: {error}") from error


def mongod_script(classes: str, *, address: str, memory: str) -> str:
    """Return a script by mongod's name: it takes its options and starts the server whose classes lie in `classes`."""
    return f"""\
#!/bin/sh
# Takes mongod's options and starts what speaks its protocol.
while [ $# -gt 0 ]; do
  case "$1" in
    --port) port=$2 ;;
    --dbpath) data=$2 ;;
  esac
  shift
done
exec java {memory} {THREADS} -cp "{classes}:{classes}/*" {MAIN} {address} "$port" "$data/data.mv"
"""


def mongod(directory: Path) -> Path:
    """Return a directory with a `mongod`: this machine's, or the script for what speaks its protocol."""
    if program := shutil.which("mongod"):
        return Path(program).parent
    script = directory / "mongod"
    script.write_text(mongod_script(str(protocol_server()), address="127.0.0.1", memory=MEMORY))
    script.chmod(0o755)
    return directory


class MongoServer(Server):
    """One MongoDB, or what speaks its protocol, which may use `memory`."""

    def __init__(self, directory: Path, memory: str = MEMORY) -> None:
        super().__init__(directory)
        self._memory = memory

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        if program := shutil.which("mongod"):
            return [program, "--port", str(self.port), "--bind_ip", "127.0.0.1", "--dbpath", str(self.directory)]
        classes = protocol_server()
        path = f"{classes}{os.pathsep}{classes}/*"
        return [
            "java",
            self._memory,
            THREADS,
            "-XX:+ExitOnOutOfMemoryError",
            "-cp",
            path,
            MAIN,
            "127.0.0.1",
            str(self.port),
            str(self.directory / "data.mv"),
        ]

    def client(self, *, patience: float = STARTING) -> pymongo.MongoClient[dict[str, object]]:
        """Return a client for the test's own looks and changes, which looks for the server for `patience` seconds."""
        return pymongo.MongoClient(self.url, serverSelectionTimeoutMS=round(patience * 1000))

    def answers(self) -> bool:
        with self.client(patience=1) as client:
            try:
                return bool(client.admin.command("ping"))
            except PyMongoError:
                return False
