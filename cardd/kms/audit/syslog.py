"""Syslog messages (RFC 5424), framed for a stream (RFC 5425, 4.3)."""

from cardd.kms.audit.lines import moment

_FACILITY_AUDIT = 13  # RFC 5424, table 1: log audit
_SEVERITY_NOTICE = 5  # table 2
_PRIORITY = 8 * _FACILITY_AUDIT + _SEVERITY_NOTICE
_VERSION = 1
_NIL = "-"


def message(text: str, *, time: float, host: str, process: int) -> bytes:
    """Return a message of cardd-kms about its audit; `text` is ASCII, `time` in Unix seconds."""
    header = f"<{_PRIORITY}>{_VERSION} {moment(time)} {host} cardd-kms {process} audit.checkpoint"
    return f"{header} {_NIL} {text}".encode("ascii")


def framed(octets: bytes) -> bytes:
    """Return a message after the count of its octets (RFC 5425, 4.3: SYSLOG-FRAME)."""
    return b"%d %b" % (len(octets), octets)
