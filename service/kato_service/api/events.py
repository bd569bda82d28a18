"""What happens, as it happens, over a WebSocket. Mounted by `applications`.

Each message is one JSON object: `event_type`, `timestamp`, `data` (spec: service.md, WS /ws/events).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from kato_service.api.monitor import Monitor
from kato_service.api.probes import overall, uptime
from kato_service.api.shown import moment
from kato_service.processor.events import SNAPSHOT, Listener
from kato_service.processor.processor import Processor

router = APIRouter()
MOST_LISTENERS = 256
COME_AGAIN = 1013  # WebSocket's code for "try again later"


@router.websocket("/ws/events")
async def events(socket: WebSocket) -> None:
    """Send a snapshot, then every event until the client goes; answer its pings."""
    monitor: Monitor = socket.app.state.monitor
    processor = monitor.processor
    await socket.accept()
    if processor.events.listeners >= MOST_LISTENERS:
        await socket.close(COME_AGAIN, f"{MOST_LISTENERS} listeners are connected; come again later")
        return
    with processor.events.listening() as listener, suppress(WebSocketDisconnect):
        await _send(socket, SNAPSHOT, processor.clock.now(), await _snapshot(processor, monitor))
        sending = asyncio.create_task(_send_all(socket, listener, monitor))
        try:
            await _answer(socket, processor)
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect):
                await sending


async def _snapshot(processor: Processor, monitor: Monitor) -> dict[str, Any]:
    record = processor.parameters.record
    return {
        "system_status": {
            "status": overall(await processor.issues()),
            "processor_id": processor.id,
            "name": processor.name,
            "uptime_seconds": uptime(processor),
            "active_sessions": await monitor.active_sessions(),
            "patterns": processor.library.patterns(),
            "nodes": len(processor.library.bases()),
            "parameters_generation": record.generation if record else None,
        }
    }


async def _send_all(socket: WebSocket, listener: Listener, monitor: Monitor) -> None:
    while event := await listener.next():
        data = await _snapshot(monitor.processor, monitor) if event.kind == SNAPSHOT else event.data
        await _send(socket, event.kind, event.at, data)
    await socket.close(COME_AGAIN, "you are too slow for what happens here; connect again for a new snapshot")


async def _answer(socket: WebSocket, processor: Processor) -> None:
    """Answer pings until the client goes; what else it sends means nothing here."""
    while True:
        text = await socket.receive_text()
        if _is_ping(text):
            await _send(socket, "pong", processor.clock.now(), {})


def _is_ping(text: str) -> bool:
    if text.strip() == "ping":
        return True
    with suppress(orjson.JSONDecodeError):
        message = orjson.loads(text)
        return isinstance(message, dict) and "ping" in {message.get("event_type"), message.get("type")}
    return False


async def _send(socket: WebSocket, kind: str, at: float, data: Mapping[str, Any]) -> None:
    message = {"event_type": kind, "timestamp": moment(at), "data": data}
    await socket.send_text(orjson.dumps(message).decode())
