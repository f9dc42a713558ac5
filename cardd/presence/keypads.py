"""The PIN of a CPS typed at its reader (PC/SC part 10). Not confirmed with hardware."""

from cardd.cps.card import CpsCard
from cardd.cps.pin import judge
from cardd.iso7816.connection import CardConnection
from cardd.iso7816.exchange import run
from cardd.presence.cps_reading import Alive
from cardd.readers.pinpad import ENTRY_S, PinEntry, verify


def verify_at_reader(
    connection: CardConnection,
    alive: Alive,
    card: CpsCard,
    control_code: int,
    *,
    use_last_try: bool,
) -> None:
    """Ask at the reader for the PIN, once; errors as `CpsCard.verify_pin` and `pinpad.verify`."""
    wanted = run(connection, card.pin_request(use_last_try=use_last_try))
    alive(ENTRY_S)
    entry = PinEntry(
        wanted.header, wanted.min_length, wanted.max_length, wanted.stored_length, wanted.pad
    )
    judge(verify(connection, control_code, entry), "VERIFY at the reader")
