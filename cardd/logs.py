"""What the programs log: one line per happening, on standard error.

JSON for a journal, readable on a terminal. Secrets and raw bytes never get out: a processor
replaces them, wherever in a value they are, whatever the caller passed.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import msgspec
import structlog
from structlog.types import Processor

from cardd.config import Logs
from cardd.secret import Secret

_DEEPEST = 8


def configure(settings: Logs, stream: TextIO | None = None) -> None:
    """Send the logs of this process, and those of the libraries it uses, to a stream.

    `stream` is standard error where none is given. Called once, by a composition root.
    """
    stream = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer = _renderer(settings, stream)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        # A logger made at import must follow a later call of configure.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_library, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.INFO), force=True)


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Replace each Secret and each run of bytes by its length (a structlog processor)."""
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: Any, depth: int = 0) -> Any:
    if isinstance(value, Secret):
        return repr(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth >= _DEEPEST:
        return "<nested too deep>"
    if isinstance(value, Mapping):
        return {str(key): _redacted(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(each, depth + 1) for each in value]
    return value


def _renderer(settings: Logs, stream: TextIO) -> Processor:
    if settings.format == "console" or (settings.format == "auto" and stream.isatty()):
        return structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            # The other formatters need rich, and would show local variables.
            exception_formatter=structlog.dev.plain_traceback,
        )
    return structlog.processors.JSONRenderer(serializer=_json)


def _json(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=_described).decode()


def _described(value: Any) -> str:
    """Return what JSON has no form for as the name of its class: a repr may hold anything."""
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return f"<{type(value).__name__}>"


def _name_library(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event["logger"] = record.name
    return event
