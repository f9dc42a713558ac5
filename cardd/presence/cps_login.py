"""A login with a CPS: one transaction in which it verifies the PIN and signs, then the KMS's word.

The card signs a proof over a challenge of the key service, fetched before the transaction, so that
nothing is waited for while the PIN is verified. The transaction ends with a reset of the card,
which drops the PIN. In the readers' workers.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from cardd.clock import Clock
from cardd.cps import proof
from cardd.errors import CardError, CardRemoved, KmsUnavailable, ReaderUnavailable
from cardd.iso7816.connection import CardConnection
from cardd.iso7816.exchange import Exchange, run
from cardd.kms import messages as m
from cardd.kms.ports import KeyService
from cardd.presence.cps_reading import Alive, CpsSeen
from cardd.presence.keypads import verify_at_reader
from cardd.presence.model import AuthenticationRequest
from cardd.secret import Secret

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PinGiven:
    """A PIN; `pin` None is one that is typed at the reader, or a card that has none."""

    pin: Secret | None = None
    use_last_try: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """What a card signed, and what the key service said to it.

    `outcome` is None where it could not be asked; `unavailable` then says why.
    """

    proof: str
    outcome: m.Authenticated | None
    unavailable: str | None = None


def log_in(
    connection: CardConnection,
    alive: Alive,
    *,
    seen: CpsSeen,
    given: PinGiven,
    request: AuthenticationRequest,
    service: KeyService,
    clock: Clock,
    down: str | None,
) -> Login:
    """Have a card sign a proof for a request, and the key service judge it.

    `down` is why the key service is known not to answer; it is then not asked. Raises what the
    card, the PIN and the key service raise; KmsUnavailable where the request asks for what only the
    key service can tell.
    """
    alive()
    challenge, unavailable = _challenge(service, request, down)
    claims = proof.new_claims(
        purpose=proof.ProofPurpose.LOGIN,
        audience=request.audience,
        nonce=request.nonce,
        kms_challenge=None if challenge is None else challenge.value,
        # The KMS's own time where it is known: a workstation's clock may be wrong.
        now=int(clock.now()) if challenge is None else challenge.issued_at,
    )
    signing = proof.signing_input(claims, seen.chain)
    signature = signed(connection, alive, seen, given, hashlib.sha256(signing).digest())
    compact = proof.assemble(signing, signature)
    alive()
    if challenge is None:
        proof.verify_signature(proof.parse(compact))
        return Login(compact, None, unavailable)
    wanted = m.AssertionRequest(request.audience, request.nonce, request.minimum_acr)
    outcome = service.authenticate_cps(
        compact,
        (wanted,),
        presence=request.presence == "start",
        expect_holder=request.expect_holder,
    )
    return Login(compact, outcome)


def signed(
    connection: CardConnection, alive: Alive, seen: CpsSeen, given: PinGiven, digest: bytes
) -> bytes:
    """Verify the PIN and sign a digest of what cardd built, in one transaction with the reset."""
    with connection.transaction():
        alive()
        require_same_card(connection, seen)
        if seen.pin is None:
            return run(connection, seen.card.sign(digest))
        with forgetting_pin(connection):
            verify(connection, alive, seen, given)
            alive()
            return run(connection, seen.card.sign(digest))


def require_same_card(connection: CardConnection, seen: CpsSeen) -> None:
    """Raise CardRemoved where another card is there than was read: its tries are not ours."""
    if not run(connection, seen.card.still_is(seen.number)):
        raise CardRemoved("another card is in the reader than the one that was read; start again")


def verify(connection: CardConnection, alive: Alive, seen: CpsSeen, given: PinGiven) -> None:
    """Have the card verify the PIN that was given, or that is typed at the reader.

    `alive` is called last right before the VERIFY: a login that was cancelled uses no try.
    """
    if seen.keypad is not None:
        verify_at_reader(connection, alive, seen.card, seen.keypad, use_last_try=given.use_last_try)
    elif given.pin is not None:
        verifying = seen.card.verify_pin(given.pin, use_last_try=given.use_last_try)
        run(connection, _while_alive(verifying, alive))
    else:
        raise ValueError("this card needs a PIN, and none was given")


def _while_alive(exchange: Exchange[None], alive: Alive) -> Exchange[None]:
    """Do an exchange, calling `alive` before each of its steps."""
    try:
        commands = next(exchange)
        while True:
            alive()
            commands = exchange.send((yield commands))
    except StopIteration:
        return
    finally:
        exchange.close()


@contextmanager
def forgetting_pin(connection: CardConnection) -> Iterator[None]:
    """Reset the card at the end of a block, whatever came of it, so that its PIN is dropped.

    What went wrong in the block is what is raised; a card that has left has no PIN to drop. Where
    the reset fails, the connection cuts the card's power.
    """
    try:
        yield
    except BaseException:
        with suppress(CardError):
            _reset(connection)
        raise
    with suppress(CardRemoved, ReaderUnavailable):
        _reset(connection)


def _reset(connection: CardConnection) -> None:
    """Reset the card, and say in the log where that failed."""
    try:
        connection.reset()
    except CardRemoved:
        raise
    except CardError as error:
        _log.warning("card.reset_failed", error=str(error), then="its power is cut")
        raise


def _challenge(
    service: KeyService, request: AuthenticationRequest, down: str | None
) -> tuple[m.Challenge | None, str | None]:
    """Return a challenge, or why there is none where the request can do without."""
    why = down
    if why is None:
        try:
            return service.challenge(), None
        except KmsUnavailable as error:
            why = str(error)
    if request.expect_holder is not None or request.minimum_acr is not None:
        raise KmsUnavailable(why)
    return None, why
