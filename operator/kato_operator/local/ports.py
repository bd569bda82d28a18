"""Which port an instance gets: the wanted one, or the next that is free.

A port is chosen by listening on it, and the instance inherits the socket: whatever starts at the same time, here, in
another home or by another hand, finds the port taken. Called by `machine` and `stores` (spec: cli.md, "Ports").
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from errno import EADDRINUSE

import psutil

from kato_spec.errors import Rejected

API_PORT = 8000
INTERNAL_PORT = 18000
PORT_MAX = 65535


class PortTaken(Rejected):
    """No port that was allowed is free; the message names who holds the wanted one and what to do."""

    def __init__(self, message: str, port: int) -> None:
        super().__init__("port", port, "a free port")
        self.args = (message,)


@dataclass(frozen=True, slots=True)
class PortWish:
    """Ports that will do: `first` if it is free, else (unless `exact`) the next one up to `last`."""

    first: int = API_PORT
    last: int = PORT_MAX
    exact: bool = False

    @classmethod
    def of(cls, port: int | None, *, port_range: str | None = None, exact: bool = False) -> PortWish:
        """Read the flags `--port`, `--port-range` and `--exact-port`.

        Raises:
            Rejected: a port outside 1..65535 or outside the range, a range that is none, or `exact` without a port.
        """
        low, high = parse_range(port_range) if port_range else (API_PORT, PORT_MAX)
        if exact and port is None:
            raise Rejected("--exact-port", exact, "only together with --port")
        if port is None:
            return cls(low, high)
        if not 1 <= port <= PORT_MAX:
            raise Rejected("--port", port, f"1..{PORT_MAX}")
        if port_range and not low <= port <= high:
            raise Rejected("--port", port, f"a port of the range {port_range}")
        return cls(port, high, exact)


def parse_range(text: str) -> tuple[int, int]:
    """Return the two ends of a range like `8001-8010`."""
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text.strip())
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= low <= high <= PORT_MAX:
        raise Rejected("--port-range", text, f"two ports of 1..{PORT_MAX}, the lower first, like 8001-8010")
    return low, high


def listen(wish: PortWish, claimed: Mapping[int, str]) -> socket.socket:
    """Return a socket that listens on the port to use; the caller closes it.

    `claimed` maps a port to the instance that has it, listening still or not.

    Raises:
        PortTaken: naming who holds the port.
        Rejected: this user may not open that port, whether it is free or not.
    """
    for port in range(wish.first, (wish.first if wish.exact else wish.last) + 1):
        if port not in claimed and (listener := _listener(port)):
            return listener
    holder = claimed.get(wish.first) or holder_of(wish.first)
    if wish.exact:
        message = f"port {wish.first} is taken by {holder}: stop that, or leave out --exact-port"
    else:
        message = f"no port of {wish.first}-{wish.last} is free ({holder} has {wish.first}): name other ports"
    raise PortTaken(message, wish.first)


def port_of(listener: socket.socket) -> int:
    """Return the port on which the socket listens."""
    port: int = listener.getsockname()[1]
    return port


def _listener(port: int) -> socket.socket | None:
    try:
        return socket.create_server(("127.0.0.1", port))
    except PermissionError as error:
        raise Rejected("port", port, "a port that this user may open, such as 8000") from error
    except OSError as error:
        if error.errno != EADDRINUSE:
            raise
        return None


def listens(pid: int, port: int) -> bool:
    """Say whether the process with `pid`, a child of this one, or one that it started listens on the TCP `port`.

    Of one that this user may not look into the answer is yes: whoever asks the port will see.
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        found = [connection for one in family for connection in one.net_connections("tcp")]
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return any(_is_listener(each.status, each.laddr, port) for each in found)


def holder_of(port: int) -> str:
    """Say who listens on `port`, as far as this user may know."""
    try:
        found = psutil.net_connections("tcp")
        pids = [each.pid for each in found if each.pid and _is_listener(each.status, each.laddr, port)]
        return f"{psutil.Process(pids[0]).name()} (PID {pids[0]})" if pids else "another program"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return "another program"


def _is_listener(status: str, address: tuple[object, ...], port: int) -> bool:
    return status == psutil.CONN_LISTEN and address[1:] == (port,)
