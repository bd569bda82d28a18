"""How the service logs: one JSON object a line on standard output, or lines for people. Called by `app` once."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import orjson
import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str, form: Literal["json", "console"]) -> None:
    """Set up structlog, and let the libraries' own loggers speak through it from warnings on."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, *_rendering(form, as_bytes=form == "json")],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory() if form == "json" else structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form, as_bytes=False)]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=processors))
    logging.basicConfig(level=max(LEVELS[level], logging.WARNING), handlers=[handler], force=True)


def _rendering(form: str, *, as_bytes: bool) -> list[structlog.typing.Processor]:
    if form == "console":
        # The plain traceback: a rich one shows local variables, secrets among them.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=plain)]
    serializer = _dump if as_bytes else _dump_text
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=serializer)]


def _dump(event: object, **_: object) -> bytes:
    return orjson.dumps(event, default=str)


def _dump_text(event: object, **_: object) -> str:
    return _dump(event).decode()
