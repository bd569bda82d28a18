"""The composition root: settings in, a serving process out.

Called by the command line's `kato serve` and by tests. Everything real is made here: sockets, stores, clock, ids,
matcher; two servers run on one event loop, the API and the operator's side door.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import setproctitle
import structlog
import uvloop
from pydantic import ValidationError
from starlette.types import ASGIApp

from kato_service import logs
from kato_service.api import applications
from kato_service.api.front_door import Guard
from kato_service.api.monitor import Monitor
from kato_service.api.server import BACKLOG, Config, Server
from kato_service.engine.matcher import new_matcher
from kato_service.processor import background
from kato_service.processor.errors import InvalidRecord
from kato_service.processor.ports import MemoryStore, SessionStore, Sharing
from kato_service.processor.processor import Processor
from kato_service.processor.world import RandomIds, SystemClock
from kato_service.settings import Settings
from kato_service.stores.directory import DataDirectory
from kato_service.stores.index_files import IndexFiles
from kato_service.stores.memory import VolatileMemory, VolatileSessions
from kato_service.stores.sqlite_memory import SqliteMemory
from kato_service.stores.sqlite_sessions import SqliteSessions
from kato_spec.errors import KatoError, Rejected
from kato_spec.keys import child_name
from kato_spec.records import ParametersRecord

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Listener:
    """An application and the listening socket it is served on."""

    app: ASGIApp
    socket: socket.socket

    @property
    def port(self) -> int:
        """The port of the socket."""
        port: int = self.socket.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a processor keeps what it knows, and what it shares with others on the same stores."""

    memory: MemoryStore
    sessions: SessionStore
    sharing: Sharing | None = None


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight, fold the memory and return.

    What keeps the process from starting is said in one line on standard error, and the process exits with 1.
    """
    logs.configure(settings.log_level, settings.log_format)
    setproctitle.setproctitle(child_name(settings.processor_id))
    try:
        with ExitStack() as held:
            record = _read_record(settings.parameters_file)
            processor = create_processor(settings, held)
            monitor = applications.new_monitor(processor, settings.data_dir)
            listeners = create_listeners(settings, monitor, held)
            if processor.matcher_kind != "rust":
                log.warning("slow_matcher", matcher=processor.matcher_kind, help="install it with cargo")
            uvloop.run(_serve(settings, monitor, record, listeners))
        log.info("stopped", processor=processor.id)
    except KatoError as error:
        sys.stderr.write(f"{child_name(settings.processor_id)} cannot start: {error}\n")
        sys.exit(1)


def create_processor(settings: Settings, held: ExitStack) -> Processor:
    """Open the stores and put a processor on them; `held` keeps the data directory locked.

    Raises:
        DataDirectoryInUse, UnsupportedSchema, StoreDamaged.
        InvalidRecord: a connection string is none.
    """
    stores = _open_stores(settings, held)
    return Processor(
        settings.processor_id,
        settings.processor_name,
        memory=stores.memory,
        sessions=stores.sessions,
        sharing=stores.sharing,
        clock=SystemClock(),
        ids=RandomIds(settings.processor_id),
        make_matcher=new_matcher,
    )


def create_app(settings: Settings, monitor: Monitor) -> ASGIApp:
    """Return the API of the monitored processor under `settings`."""
    guard = Guard(
        settings.api_tokens,
        settings.max_body_bytes,
        settings.processor_id,
        settings.max_concurrent_requests,
        settings.receive_seconds,
    )
    return applications.api(monitor, guard)


def create_listeners(settings: Settings, monitor: Monitor, held: ExitStack) -> list[Listener]:
    """Listen for the API and, where the settings open it, the side door; `held` closes both.

    Raises:
        Rejected: another program listens there, or what was inherited is no socket that listens.
    """
    api = held.enter_context(_listen("port", settings.host, settings.port, settings.port_fd))
    listeners = [Listener(create_app(settings, monitor), api)]
    if settings.internal_port is not None and settings.internal_token is not None:
        guard = Guard(
            (settings.internal_token.get_secret_value(),),
            settings.max_body_bytes,
            receive_seconds=settings.receive_seconds,
        )
        app = applications.side_door(monitor.processor, guard)
        door = _listen("internal_port", settings.internal_host, settings.internal_port, settings.internal_port_fd)
        listeners.append(Listener(app, held.enter_context(door)))
    return listeners


async def _serve(
    settings: Settings, monitor: Monitor, record: ParametersRecord | None, listeners: list[Listener]
) -> None:
    processor = monitor.processor
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers = [
        Server(Config(each.app, receive_seconds=settings.receive_seconds, grace_seconds=settings.grace_seconds))
        for each in listeners
    ]
    sampling = asyncio.create_task(monitor.run())
    serving = [
        asyncio.create_task(server.serve(sockets=[listener.socket]))
        for server, listener in zip(servers, listeners, strict=True)
    ]
    async with AsyncExitStack() as last_first:  # each is done whatever became of those below it
        last_first.push_async_callback(processor.stop)
        last_first.push_async_callback(background.end, sampling)
        last_first.push_async_callback(_drain, processor, servers, serving)
        await _start_and_wait(settings, processor, record, listeners, stop)


async def _drain(processor: Processor, servers: list[Server], serving: list[asyncio.Task[None]]) -> None:
    """Take no new work and return when what is in flight has been answered."""
    processor.draining = True
    for server in servers:
        server.should_exit = True
    await asyncio.wait(serving)
    await asyncio.gather(*serving)  # raises what one has failed by


async def _start_and_wait(
    settings: Settings,
    processor: Processor,
    record: ParametersRecord | None,
    listeners: list[Listener],
    stop: asyncio.Event,
) -> None:
    """Return when the process is to stop; a stop during the start cuts the start off."""
    stopping = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(processor.start(record))
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return
    await starting
    log.info(
        "serving",
        processor=processor.id,
        host=settings.host,
        port=listeners[0].port,
        internal_port=listeners[1].port if len(listeners) > 1 else None,
        patterns=processor.library.patterns(),
    )
    await stopping


def _open_stores(settings: Settings, held: ExitStack) -> Stores:
    """Return the stores that the settings name; the external ones are connected to when they are first asked."""
    if settings.mongodb_uri is not None and settings.redis_url is not None:
        return _external_stores(
            settings, settings.mongodb_uri.get_secret_value(), settings.redis_url.get_secret_value()
        )
    if settings.data_dir is None:
        return Stores(VolatileMemory(), VolatileSessions())
    directory = DataDirectory(settings.data_dir)
    held.callback(directory.release)
    memory = SqliteMemory(directory.memory, IndexFiles(directory.copies))
    return Stores(memory, SqliteSessions(directory.sessions))


def _external_stores(settings: Settings, mongodb_uri: str, redis_url: str) -> Stores:
    from kato_service.stores import external  # noqa: PLC0415 - both drivers, 0.2 s of a start that needs neither

    place, seconds = (settings.namespace, settings.processor_id), settings.store_timeout_seconds
    return Stores(*external.connect(mongodb_uri, settings.database, redis_url, place, settings.replica, seconds))


def _listen(setting: str, host: str, port: int, inherited: int | None) -> socket.socket:
    if inherited is not None:
        return _inherit(f"{setting}_fd", inherited)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Rejected(setting, port, f"a port of {host} that this process may listen on ({error.strerror})") from error


def _inherit(setting: str, descriptor: int) -> socket.socket:
    try:
        inherited = socket.socket(fileno=descriptor)
    except OSError as error:
        raise Rejected(setting, descriptor, f"a socket that listens ({error.strerror})") from error
    with suppress(OSError):  # macOS does not tell
        if not inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise Rejected(setting, descriptor, "a socket that listens")
    inherited.set_inheritable(False)
    return inherited


def _read_record(path: Path | None) -> ParametersRecord | None:
    """Read the parameters record of a file.

    Raises:
        InvalidRecord: the file cannot be read or holds no such record.
    """
    if path is None:
        return None
    try:
        return ParametersRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidRecord(f"parameters_file {path}", error.strerror, "a file that can be read") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(("", *map(str, first["loc"])))
        raise InvalidRecord(f"parameters_file {path}{place}", first["input"], first["msg"]) from error
