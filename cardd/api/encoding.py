"""Events as bytes, encoded once for all the clients that may see the same of them."""

from collections import OrderedDict
from typing import Literal

import msgspec

from cardd.api.models import EventItem
from cardd.presence.model import Event

Form = Literal["sse", "ndjson"]

_KEPT = 128


class EventEncoder:
    """Encodes events and remembers the bytes of recent ones."""

    def __init__(self) -> None:
        self._encoded: OrderedDict[tuple[str, bool, Form], tuple[Event, bytes]] = OrderedDict()

    def encode(self, event: Event, *, identity: bool, form: Form) -> bytes:
        """Return an event as a client of this form, that may or may not know who it is, sees it."""
        key = (event.id, identity, form)
        known = self._encoded.get(key)
        # A snapshot and the last event before it share an id.
        if known is not None and known[0] is event:
            return known[1]
        encoded = _encode(event, identity=identity, form=form)
        self._encoded[key] = (event, encoded)
        if len(self._encoded) > _KEPT:
            self._encoded.popitem(last=False)
        return encoded


def _encode(event: Event, *, identity: bool, form: Form) -> bytes:
    data = {**event.data, **event.identity} if identity else event.data
    line = msgspec.json.encode(
        EventItem(event.id, event.type, event.time, event.reader, event.card, data)
    )
    if form == "ndjson":
        return line + b"\n"
    # JSON has no raw line feed, so one data line holds it (WHATWG HTML, 9.2.5).
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.id.encode(), event.type.encode(), line)
