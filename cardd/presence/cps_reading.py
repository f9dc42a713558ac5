"""A CPS in a reader: recognised, read and judged before any PIN. In the readers' workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cardd.clock import Clock
from cardd.cps.card import CpsCard
from cardd.cps.certificate import CpsCertificate
from cardd.cps.contents import CardMemory
from cardd.cps.family import family_of
from cardd.cps.identity import CpsIdentity, identity
from cardd.cps.objects import PinState
from cardd.cps.recognition import recognise
from cardd.cps.trust_usage import Usage
from cardd.errors import CardError, Refused
from cardd.iso7816.connection import CardConnection
from cardd.iso7816.exchange import run
from cardd.presence.model import Problem
from cardd.presence.operations import Operation
from cardd.presence.slots import Slot, Visit
from cardd.readers import pinpad

_Judged = tuple[tuple[bytes, ...], CpsIdentity | None, Problem | None]


class Alive(Protocol):
    """Called before each thing that may block; `longer_s` where it may take that much longer."""

    def __call__(self, longer_s: float = 0.0) -> None:
        """Give a sign of life."""


@dataclass(frozen=True, slots=True)
class CpsSeen:
    """A CPS as it was read.

    `chain` is what a proof carries: the certificate of the key that signs, then its issuers.
    `identity` is what that certificate says; `problem` is why it is not believed. `keypad` is the
    control code of a reader that takes the PIN itself.
    """

    card: CpsCard
    number: str
    chain: tuple[bytes, ...]
    identity: CpsIdentity | None
    pin: PinState | None
    keypad: int | None
    problem: Problem | None

    def proven(self) -> None:
        """Remember what was read, as a signature of the certificate's key has verified.

        Not where the certificate is of another card than the number that was read: that number is
        only claimed, and what is remembered under it would be used with the genuine card's PIN.
        """
        if self.identity is not None and self.identity.card_number == self.number:
            self.card.keep()

    @property
    def entry(self) -> Literal["client", "pinpad"]:
        """Where the PIN is typed."""
        return "client" if self.keypad is None else "pinpad"


@dataclass(frozen=True, slots=True)
class CpsRead:
    """What a worker read of a CPS, for whom (None: nobody waits for it)."""

    slot: Slot
    visit: Visit
    operation: Operation | None
    seen: CpsSeen


def is_contact(atr: bytes) -> bool:
    """Tell whether an ATR is that of a CPS in a contact reader, which must be asked for no UID."""
    family = family_of(atr)
    return family is not None and family.has_pin


class Trust(Protocol):
    """Who judges the certificates of cards. `now` is in Unix seconds."""

    def why_not(self) -> str | None:
        """Say why no card can be believed now, None where one might be."""

    def check(self, der_chain: Sequence[bytes], usage: Usage, now: float) -> CpsCertificate:
        """Return the first certificate of a chain, which is then to be believed; raises Refused."""

    def chain(self, der: bytes, now: float) -> tuple[bytes, ...]:
        """Return a certificate and the intermediates towards its root, without the root."""


class CpsReading:
    """Reads the CPS of every reader; what was read of a card is remembered in memory alone."""

    def __init__(self, trust: Trust, clock: Clock) -> None:
        self._trust = trust
        self._clock = clock
        self._memory = CardMemory()

    def recognised(self, connection: CardConnection) -> CpsCard | None:
        """Return the CPS that is connected, None for any other card.

        A card whose ATR is no CPS's is sent no command. Raises CardError (`card_not_supported`)
        where the ATR is that of a contact CPS, and its application is not there.
        """
        card = run(connection, recognise(connection.atr))
        if card is None and is_contact(connection.atr):
            raise CardError("the card answers to reset like a CPS, and has no application of one")
        return card

    def read(self, connection: CardConnection, card: CpsCard, alive: Alive) -> CpsSeen:
        """Read what a CPS says without a PIN.

        Raises as `CpsCard`; that its certificate is not believed is no error but a `problem`. A
        remembered certificate that is refused may have been renewed: the card is then read anew.
        """
        number = run(connection, card.remember(self._memory))
        alive()
        chain, who, problem = self._certificate(connection, card, alive)
        if problem is not None and card.forget():
            chain, who, problem = self._certificate(connection, card, alive)
        pin = run(connection, card.pin())
        alive()
        keypad = None
        if pin is not None:
            keypad = pinpad.features(connection).get(pinpad.Feature.VERIFY_PIN_DIRECT)
        return CpsSeen(card, number, chain, who, pin, keypad, problem)

    def forget(self, number: str) -> None:
        """Forget what was read of a card, whose signature did not fit its certificate."""
        self._memory.forget(number)

    def _certificate(self, connection: CardConnection, card: CpsCard, alive: Alive) -> _Judged:
        certificate = run(connection, card.login_certificate())
        alive()
        return self._judged(certificate.der, contact=card.family.has_pin)

    def _judged(self, der: bytes, *, contact: bool) -> _Judged:
        """Return the chain of a certificate, whom it names, and why it is not believed."""
        now = self._clock.now()
        usage = Usage.CONTACT_AUTHENTICATION if contact else Usage.CONTACTLESS_AUTHENTICATION
        try:
            certificate = self._trust.check((der,), usage, now)
            return self._trust.chain(der, now), identity(certificate), None
        except Refused as refusal:
            return (der,), None, Problem(str(refusal.code), str(refusal), dict(refusal.facts))
