"""The floor of a tap: connect, begin, UID and the three commands on air by a bare loop.

A process of its own, as cardd is. Reads the badge's key, AID and mechanism as JSON from standard
input (a key is never an argument), prints a line when its reader listens, and one per tap.
"""

import json
import queue
import sys

from cardd.desfire.authentication import AuthenticationScheme
from cardd.desfire.card import DesfireCard
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.iso7816.exchange import run
from cardd.readers.contactless import read_uid
from cardd.readers.ports import CardInserted
from cardd.readers.virtual import VirtualSource
from cardd.secret import Secret


def main() -> None:
    """Serve taps until standard input closes."""
    told = json.loads(sys.stdin.readline())
    key = DesfireKey(KeyType.AES, Secret(bytes.fromhex(told["key"])), 1)
    scheme = AuthenticationScheme[told["scheme"]]
    inserted: queue.SimpleQueue[str] = queue.SimpleQueue()
    source = VirtualSource("floor", told["address"])
    source.start(lambda event: inserted.put("") if isinstance(event, CardInserted) else None)
    print("listening", flush=True)
    for _ in range(told["taps"]):
        inserted.get(timeout=60)
        connection = source.connect("floor")
        with connection.transaction():
            read_uid(connection)
            card = DesfireCard()
            run(connection, card.select_and_authenticate(told["aid"], 1, key, scheme))
        connection.close()
        print("done", flush=True)
    source.stop()


if __name__ == "__main__":
    main()
