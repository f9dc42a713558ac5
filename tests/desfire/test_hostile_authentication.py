"""What answers an authentication without the key, or as another mechanism would: refused, always.

The honest card is made with another library; each attack changes one thing that it sends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from Crypto.Cipher import AES, DES3
from Crypto.Util.strxor import strxor

from cardd.desfire.authentication import AuthenticationScheme
from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Session
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.desfire.status import Status
from cardd.errors import CardProtocolError, CardStatusError
from cardd.iso7816.exchange import Exchange
from cardd.secret import Secret
from tests.desfire.recorded_card import messaging_of, play, unwrapped

pytestmark = pytest.mark.unit

TRANSACTION = bytes.fromhex("01020304")
EV2 = {"kind": "ev2", "encryption": "11" * 16, "mac": "22" * 16, "transaction": "01020304"}
MORE, OK = unwrapped("AF"), unwrapped("00")


def rotated(number: bytes) -> bytes:
    return number[1:] + number[:1]


@dataclass(frozen=True)
class Mechanism:
    """One authentication: how the driver begins it, and its cipher."""

    name: str
    key: DesfireKey
    begin: Callable[[DesfireCard, DesfireKey], Exchange[None]]

    def cbc(self, iv: bytes) -> Any:
        value = self.key.value.reveal()
        library = AES if self.key.type is KeyType.AES else DES3
        return library.new(value, library.MODE_CBC, iv)

    @property
    def block_bytes(self) -> int:
        return 16 if self.key.type is KeyType.AES else 8

    @property
    def chained(self) -> bool:
        return self.name in {"iso", "iso 3k", "aes"}

    def proof_of(self, response: bytes, challenge: bytes) -> bytes:
        """Return what an honest card answers: it deciphers RndA and proves that it did."""
        size, zero = self.key.type.challenge_bytes, bytes(self.block_bytes)
        if self.name == "legacy":
            ecb = DES3.new(self.key.value.reveal(), DES3.MODE_ECB)
            return ecb.encrypt(rotated(ecb.encrypt(response[:8])))
        iv = challenge[-self.block_bytes :] if self.chained else zero
        number = rotated(self.cbc(iv).decrypt(response)[:size])
        plaintext = TRANSACTION + number + bytes(12) if self.name == "ev2 first" else number
        return self.cbc(response[-self.block_bytes :] if self.chained else zero).encrypt(plaintext)


def tdea(length: int) -> Secret:
    return Secret(bytes(range(0, 2 * length, 2)))


MECHANISMS = [
    Mechanism(
        "legacy",
        DesfireKey(KeyType.TDEA2, tdea(16)),
        lambda card, key: card.authenticate_legacy(0, key),
    ),
    Mechanism(
        "iso",
        DesfireKey(KeyType.TDEA2, tdea(16)),
        lambda card, key: card.authenticate_iso(0, key),
    ),
    Mechanism(
        "iso 3k",
        DesfireKey(KeyType.TDEA3, tdea(24)),
        lambda card, key: card.authenticate_iso(0, key),
    ),
    Mechanism(
        "aes",
        DesfireKey(KeyType.AES, tdea(16)),
        lambda card, key: card.authenticate_aes(0, key),
    ),
    Mechanism(
        "ev2 first",
        DesfireKey(KeyType.AES, tdea(16)),
        lambda card, key: card.authenticate_ev2_first(0, key),
    ),
    Mechanism(
        "ev2 non-first",
        DesfireKey(KeyType.AES, tdea(16)),
        lambda card, key: card.authenticate_ev2_non_first(0, key),
    ),
]
each_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda each: each.name)


def blank() -> DesfireCard:
    card = DesfireCard()
    card.selected = 1
    card.session = Session(0, messaging_of({**EV2, "counter": 5}))
    return card


def attempt(
    mechanism: Mechanism,
    *,
    challenge: bytes | None = None,
    forged: Callable[[bytes, bytes], bytes] | None = None,
) -> DesfireCard:
    """Authenticate; `forged` makes the proof of response and challenge instead of the card."""
    card = blank()
    exchange = mechanism.begin(card, mechanism.key)
    size = mechanism.key.type.challenge_bytes
    if challenge is None:
        challenge = mechanism.cbc(bytes(mechanism.block_bytes)).encrypt(bytes(range(size)))
    try:
        next(exchange)
        assert card.session is None
        (apdu,) = exchange.send((challenge + MORE,))
        response = apdu[5:-1]
        proof = (forged or mechanism.proof_of)(response, challenge)
        with pytest.raises(StopIteration):
            exchange.send((proof + OK,))
    except CardProtocolError:
        assert card.session is None
        raise
    return card


@each_mechanism
def test_the_honest_card_is_authenticated(mechanism: Mechanism):
    assert attempt(mechanism).session is not None


@each_mechanism
def test_a_challenge_of_another_length_is_refused(mechanism: Mechanism):
    right = mechanism.key.type.challenge_bytes
    # 17 bytes are how a card asks for LRP.
    for length in {0, 1, right - 1, right + 1, 8, 16, 17, 24, 32, 64} - {right}:
        with pytest.raises(CardProtocolError, match="challenge"):
            attempt(mechanism, challenge=bytes(length))


@each_mechanism
def test_a_proof_of_another_length_is_refused(mechanism: Mechanism):
    def cut(count: int) -> Callable[[bytes, bytes], bytes]:
        return lambda response, challenge: mechanism.proof_of(response, challenge)[:count]

    def extended(more: bytes) -> Callable[[bytes, bytes], bytes]:
        return lambda response, challenge: mechanism.proof_of(response, challenge) + more

    right = len(mechanism.proof_of(bytes(32), bytes(16)))
    for forged in (cut(0), cut(right - 1), cut(right - 8), extended(b"\x00"), extended(bytes(16))):
        with pytest.raises(CardProtocolError, match="proof"):
            attempt(mechanism, forged=forged)


def reflections(mechanism: Mechanism) -> Iterator[Callable[[bytes, bytes], bytes]]:
    """What a card without the key has at hand: what it sent and what it was sent."""
    size = mechanism.key.type.challenge_bytes
    yield lambda response, challenge: challenge
    yield lambda response, challenge: response[:size]
    yield lambda response, challenge: response[size:]
    yield lambda response, challenge: rotated(response[:size])
    yield lambda response, challenge: strxor(response[:size], challenge)
    yield lambda response, challenge: strxor(response[size:], challenge)
    yield lambda response, challenge: strxor(response[:size], response[size:])
    yield lambda response, challenge: response
    yield lambda response, challenge: response[size:] + response[:size]
    yield lambda response, challenge: challenge + response[:size]
    yield lambda response, challenge: bytes(size)


@each_mechanism
def test_what_the_reader_sent_is_no_proof_when_it_comes_back(mechanism: Mechanism):
    for forged in reflections(mechanism):
        for challenge in (None, bytes(mechanism.key.type.challenge_bytes)):
            with pytest.raises(CardProtocolError):
                attempt(mechanism, challenge=challenge, forged=forged)


@each_mechanism
def test_what_the_reader_sent_is_no_proof_in_another_attempt_either(mechanism: Mechanism):
    """Two attempts interleaved: each answers with blocks of the other's response."""
    size = mechanism.key.type.challenge_bytes
    first, second = blank(), blank()
    exchanges = [mechanism.begin(card, mechanism.key) for card in (first, second)]
    for exchange in exchanges:
        next(exchange)
    (apdu,) = exchanges[0].send((bytes(size) + MORE,))
    response = apdu[5:-1]
    # The reader deciphers its own first cryptogram as the second attempt's challenge.
    (apdu,) = exchanges[1].send((response[:size] + MORE,))
    answered = apdu[5:-1]
    for exchange, proof in zip(exchanges, (answered[size:], response[size:]), strict=True):
        padded = proof if mechanism.name != "ev2 first" else proof + answered[:16]
        with pytest.raises(CardProtocolError, match="RndA"):
            exchange.send((padded + OK,))
    assert first.session is None
    assert second.session is None


@each_mechanism
def test_a_card_that_shares_another_key_is_refused(mechanism: Mechanism):
    other = Mechanism(
        mechanism.name,
        DesfireKey(
            mechanism.key.type, Secret(bytes(range(100, 100 + mechanism.key.type.key_bytes)))
        ),
        mechanism.begin,
    )
    with pytest.raises(CardProtocolError, match="RndA"):
        attempt(mechanism, forged=other.proof_of)


@each_mechanism
@pytest.mark.parametrize("bit", range(0, 256, 7))
def test_a_bit_of_the_proof_changes_everything(mechanism: Mechanism, bit: int):
    def flipped(response: bytes, challenge: bytes) -> bytes:
        proof = mechanism.proof_of(response, challenge)
        number = int.from_bytes(proof) ^ 1 << bit % (8 * len(proof))
        return number.to_bytes(len(proof))

    with pytest.raises(CardProtocolError):
        attempt(mechanism, forged=flipped)


@each_mechanism
@pytest.mark.parametrize("status", [Status.ILLEGAL_COMMAND_CODE, Status.AUTHENTICATION_ERROR])
def test_a_refused_mechanism_is_never_replaced_by_another(mechanism: Mechanism, status: Status):
    card, sent = blank(), []

    def refusing(apdu: bytes) -> bytes:
        sent.append(apdu)
        return unwrapped(f"{status:02X}")

    with pytest.raises(CardStatusError) as refusal:
        play(mechanism.begin(card, mechanism.key), refusing)
    assert refusal.value.status == status.word
    assert len(sent) == 1
    assert card.session is None


EV2_FIRST = MECHANISMS[4]
AES_EV1 = MECHANISMS[3]


@pytest.mark.parametrize(
    ("asked", "answering"),
    [(EV2_FIRST, AES_EV1), (EV2_FIRST, MECHANISMS[5]), (AES_EV1, EV2_FIRST)],
    ids=["ev1 for ev2", "non-first for first", "ev2 for ev1"],
)
def test_a_card_that_answers_as_another_mechanism_opens_no_session(
    asked: Mechanism, answering: Mechanism
):
    with pytest.raises(CardProtocolError):
        attempt(asked, forged=answering.proof_of)


@pytest.mark.parametrize("bit", range(8 * 12))
def test_capabilities_are_the_cards_own_and_the_readers_echo(bit: int):
    def proof(response: bytes, challenge: bytes) -> bytes:
        honest = EV2_FIRST.proof_of(response, challenge)
        plaintext = bytearray(EV2_FIRST.cbc(bytes(16)).decrypt(honest))
        plaintext[20 + bit // 8] ^= 1 << bit % 8
        return EV2_FIRST.cbc(bytes(16)).encrypt(bytes(plaintext))

    if bit < 8 * 6:  # PDcap2 is the card's to say
        assert attempt(EV2_FIRST, forged=proof).session is not None
        return
    with pytest.raises(CardProtocolError, match="capabilities"):
        attempt(EV2_FIRST, forged=proof)


def test_what_the_reader_says_of_itself_is_sent_and_must_come_back():
    card = blank()
    exchange = card.authenticate_ev2_first(0, EV2_FIRST.key, pcd_capabilities=b"\x00\x00\x01")
    (apdu,) = next(exchange)
    assert apdu[5:-1] == bytes.fromhex("00 03 000001")
    (apdu,) = exchange.send((bytes(16) + MORE,))
    silent = EV2_FIRST.proof_of(apdu[5:-1], bytes(16))
    with pytest.raises(CardProtocolError, match="capabilities"):
        exchange.send((silent + OK,))
    assert card.session is None


def test_more_capabilities_than_there_are_is_the_callers_mistake():
    with pytest.raises(ValueError, match="6 bytes"):
        blank().authenticate_ev2_first(0, EV2_FIRST.key, pcd_capabilities=bytes(7))


def test_a_continued_transaction_keeps_identifier_and_counter_whatever_the_card_says():
    card = attempt(MECHANISMS[5])
    assert card.session is not None
    messaging: Any = card.session.messaging
    assert (messaging.transaction_identifier, messaging.counter) == (TRANSACTION, 5)


def test_a_new_transaction_starts_at_zero_with_the_cards_identifier():
    messaging: Any = attempt(EV2_FIRST).session.messaging  # type: ignore[union-attr]
    assert (messaging.transaction_identifier, messaging.counter) == (TRANSACTION, 0)


BEGUN_BY = {
    AuthenticationScheme.LEGACY: MECHANISMS[0],
    AuthenticationScheme.ISO: MECHANISMS[1],
    AuthenticationScheme.AES: MECHANISMS[3],
    AuthenticationScheme.EV2_FIRST: MECHANISMS[4],
}


@pytest.mark.parametrize("scheme", list(AuthenticationScheme), ids=lambda scheme: scheme.name)
def test_a_tap_opens_the_session_that_was_asked_for_or_none(scheme: AuthenticationScheme):
    mechanism, card = BEGUN_BY[scheme], DesfireCard()
    exchange = card.select_and_authenticate(1, 0, mechanism.key, scheme)
    next(exchange)
    challenge = bytes(mechanism.key.type.challenge_bytes)
    (apdu,) = exchange.send((OK, challenge + MORE))
    with pytest.raises(StopIteration):
        exchange.send((mechanism.proof_of(apdu[5:-1], challenge) + OK,))
    assert card.session is not None
    assert type(card.session.messaging) is type(attempt(mechanism).session.messaging)  # type: ignore[union-attr]


@pytest.mark.parametrize("scheme", list(AuthenticationScheme), ids=lambda scheme: scheme.name)
def test_a_tap_on_a_card_that_repeats_what_it_hears_is_refused(scheme: AuthenticationScheme):
    card = DesfireCard()
    tap = card.select_and_authenticate(1, 0, BEGUN_BY[scheme].key, scheme)
    with pytest.raises(CardProtocolError):
        play(tap, lambda apdu: apdu)
    assert card.session is None
