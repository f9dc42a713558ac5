"""The driver against the virtual cards, which were written from the same facts by another hand."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_der_x509_certificate

from cardd.cps.card import CardCertificate, CardMemory
from cardd.cps.family import Family
from cardd.cps.pin import judge
from cardd.cps.recognition import recognise
from cardd.errors import (
    CardBusy,
    CardError,
    CardStatusError,
    PinBlocked,
    PinIncorrect,
    PinLastTry,
    Refused,
)
from cardd.iso7816.apdu import t0_form
from cardd.iso7816.exchange import Exchange
from cardd.secret import Secret
from simulators.cps import Face, VirtualCps, chipdoc
from simulators.cps import personalise as personalise_cps3
from simulators.cps.chipdoc import VirtualCps4
from simulators.pki import Pki, Profile

pytestmark = pytest.mark.unit

PIN, WRONG, NEW, PUK = (Secret(each) for each in (b"1234", b"9999", b"567890", b"12345678"))
DIGEST = hashlib.sha256(b"what cardd built").digest()


@dataclass
class Inserted:
    """A virtual card in a reader of T=0 or T=1, and the driver that recognised it."""

    card: Any
    form: Callable[[bytes], bytes]
    driver: Any = None

    def run(self, exchange: Exchange[Any]) -> Any:
        try:
            commands = next(exchange)
            while True:
                answers = tuple(self.card.transmit(self.form(each)) for each in commands)
                commands = exchange.send(answers)
        except StopIteration as stop:
            return stop.value

    def recognised(self) -> "Inserted":
        self.driver = self.run(recognise(self.card.atr))
        assert self.driver is not None
        return self

    def sent(self, exchange: Exchange[Any]) -> int:
        """Run an exchange and count the commands of the driver, GET RESPONSE apart."""
        before = len(self.card.commands)
        self.run(exchange)
        return sum(each[1] != 0xC0 for each in self.card.commands[before:])


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.create(tmp_path_factory.mktemp("igc") / "pki")


@pytest.fixture(scope="session")
def chips(pki: Pki) -> dict[str, Any]:
    return {
        "cps3": personalise_cps3(pki, Profile()).chip,
        "cps4": chipdoc.personalise(pki, Profile()).chip,
        "cps4-t0": chipdoc.personalise(pki, Profile(), product=chipdoc.Product.T0).chip,
    }


READERS = {
    "cps3": ("cps3", t0_form),
    "cps4 on T=1": ("cps4", bytes),
    "cps4 on T=0": ("cps4", t0_form),
    "cps4 of T=0 alone": ("cps4-t0", t0_form),
}


@pytest.fixture(params=READERS)
def inserted(request: pytest.FixtureRequest, chips: dict[str, Any]) -> Inserted:
    name, form = READERS[request.param]
    card = VirtualCps(chips[name]) if name == "cps3" else VirtualCps4(chips[name])
    card.power_on()
    return Inserted(card, form).recognised()


@pytest.fixture
def contactless(chips: dict[str, Any]) -> Inserted:
    card = VirtualCps(chips["cps3"], Face.CONTACTLESS)
    card.power_on()
    return Inserted(card, bytes).recognised()


def verifies(certificate: CardCertificate, signature: bytes) -> None:
    key = load_der_x509_certificate(certificate.der).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, DIGEST, padding.PKCS1v15(), utils.Prehashed(SHA256()))


def common_name(certificate: CardCertificate) -> str:
    return load_der_x509_certificate(certificate.der).issuer.rfc4514_string()


def test_the_identity_needs_no_pin(inserted: Inserted) -> None:
    driver = inserted.driver
    assert inserted.run(driver.number()) == "8025000001/2600855206"
    found = inserted.run(driver.certificates())
    assert "IGC-SANTE" in common_name(found.authentication)
    assert found.authentication.der != found.signature.der
    assert found.technical is None
    assert inserted.run(driver.login_certificate()) == found.authentication
    assert not any(each[1] == 0x20 for each in inserted.card.commands)


def test_the_free_data_objects_need_no_pin_and_the_others_do(inserted: Inserted) -> None:
    free = inserted.run(inserted.driver.data_objects())
    before = inserted.run(inserted.driver.data_objects(protected=True))
    assert free == before
    inserted.run(inserted.driver.verify_pin(PIN))
    with_pin = inserted.run(inserted.driver.data_objects(protected=True))
    assert set(free) <= set(with_pin)
    if inserted.driver.family is Family.CPS3_CONTACT:
        assert any("ACTIVITY" in each.label for each in set(with_pin) - set(free))


def test_a_signature_verifies_against_the_certificate(inserted: Inserted) -> None:
    driver = inserted.driver
    inserted.run(driver.verify_pin(PIN))
    verifies(inserted.run(driver.login_certificate()), inserted.run(driver.sign(DIGEST)))


def test_without_the_pin_nothing_is_signed(inserted: Inserted) -> None:
    with pytest.raises(CardStatusError) as refusal:
        inserted.run(inserted.driver.sign(DIGEST))
    assert refusal.value.status == 0x6982


def test_a_reset_forgets_the_pin(inserted: Inserted) -> None:
    inserted.run(inserted.driver.verify_pin(PIN))
    inserted.card.reset()
    # A CPS4 is brought back to its application first, and the loss is told as what it is.
    with pytest.raises((CardStatusError, CardBusy)):
        inserted.run(inserted.driver.sign(DIGEST))


def test_tries_fall_by_one_for_each_wrong_pin(inserted: Inserted) -> None:
    driver = inserted.driver
    most = inserted.run(driver.pin()).tries_left
    assert most == 3
    for left in (2, 1):
        with pytest.raises(PinIncorrect) as refusal:
            inserted.run(driver.verify_pin(WRONG))
        assert refusal.value.tries_left == left
        assert inserted.run(driver.pin()).tries_left == left


def test_the_last_try_is_kept_then_used_then_blocks(inserted: Inserted) -> None:
    driver = inserted.driver
    for _ in range(2):
        with pytest.raises(PinIncorrect):
            inserted.run(driver.verify_pin(WRONG))
    with pytest.raises(PinLastTry):
        inserted.run(driver.verify_pin(PIN))
    assert inserted.run(driver.pin()).tries_left == 1
    with pytest.raises(PinBlocked):
        inserted.run(driver.verify_pin(WRONG, use_last_try=True))
    state = inserted.run(driver.pin())
    assert (state.tries_left, state.blocked) == (0, True)
    with pytest.raises(PinBlocked):
        inserted.run(driver.verify_pin(PIN, use_last_try=True))


def test_the_right_pin_on_the_last_try_restores_all(inserted: Inserted) -> None:
    driver = inserted.driver
    for _ in range(2):
        with pytest.raises(PinIncorrect):
            inserted.run(driver.verify_pin(WRONG))
    inserted.run(driver.verify_pin(PIN, use_last_try=True))
    inserted.card.reset()
    assert inserted.run(driver.pin()).tries_left == 3


@pytest.mark.parametrize("pin", [b"", b"123", b"12a4", b"1234567890123"])
def test_a_pin_of_wrong_form_uses_no_try(inserted: Inserted, pin: bytes) -> None:
    with pytest.raises(Refused):
        inserted.run(inserted.driver.verify_pin(Secret(pin)))
    assert not any(each[1] == 0x20 for each in inserted.card.commands)
    assert inserted.run(inserted.driver.pin()).tries_left == 3


def test_a_pin_is_changed(inserted: Inserted) -> None:
    driver = inserted.driver
    inserted.run(driver.change_pin(PIN, NEW))
    inserted.card.reset()
    with pytest.raises(PinIncorrect):
        inserted.run(driver.verify_pin(PIN))
    inserted.run(driver.verify_pin(NEW))
    assert len(inserted.run(driver.sign(DIGEST))) == 256


def test_a_change_with_a_wrong_pin_changes_nothing(inserted: Inserted) -> None:
    driver = inserted.driver
    with pytest.raises(PinIncorrect) as refusal:
        inserted.run(driver.change_pin(WRONG, NEW))
    assert refusal.value.tries_left == 2
    inserted.run(driver.verify_pin(PIN))


def test_a_blocked_pin_is_unblocked(inserted: Inserted) -> None:
    driver = inserted.driver
    for _ in range(2):
        with pytest.raises(PinIncorrect):
            inserted.run(driver.verify_pin(WRONG))
    with pytest.raises(PinBlocked):
        inserted.run(driver.verify_pin(WRONG, use_last_try=True))
    with pytest.raises(PinIncorrect):
        inserted.run(driver.unblock_pin(Secret(b"00000000"), NEW))
    assert inserted.run(driver.pin()).blocked
    inserted.run(driver.unblock_pin(PUK, NEW))
    inserted.card.reset()
    assert inserted.run(driver.pin()).tries_left == 3
    inserted.run(driver.verify_pin(NEW))
    verifies(inserted.run(driver.login_certificate()), inserted.run(driver.sign(DIGEST)))


def test_a_keypad_sends_the_pin_instead(inserted: Inserted) -> None:
    request = inserted.run(inserted.driver.pin_request())
    block = PIN.reveal()
    if request.stored_length is not None:
        block = block.ljust(request.stored_length, bytes((request.pad,)))
    answer = inserted.card.transmit(request.header + bytes((len(block),)) + block)
    judge(int.from_bytes(answer[-2:]))
    assert len(inserted.run(inserted.driver.sign(DIGEST))) == 256


def test_another_program_on_the_card_does_not_hinder(inserted: Inserted) -> None:
    inserted.run(inserted.driver.login_certificate())
    foreign = ("00A4040C088025000001FF0002", "01A4040C07A0000001510000", "00A4000C023F00", "0070")
    for command in foreign:
        inserted.card.transmit(bytes.fromhex(command))
        inserted.run(inserted.driver.verify_pin(PIN))
        assert len(inserted.run(inserted.driver.sign(DIGEST))) == 256
        inserted.card.transmit(bytes.fromhex(command))
        assert inserted.run(inserted.driver.number()) == "8025000001/2600855206"


def test_a_cps4_used_by_another_program_after_the_pin_asks_for_it_again(
    chips: dict[str, Any],
) -> None:
    inserted = Inserted(VirtualCps4(chips["cps4"]), bytes)
    inserted.card.power_on()
    inserted.recognised()
    inserted.run(inserted.driver.verify_pin(PIN))
    inserted.card.transmit(bytes.fromhex("01A4040C07A0000001510000"))
    with pytest.raises((CardBusy, CardStatusError)):
        inserted.run(inserted.driver.sign(DIGEST))
    inserted.run(inserted.driver.verify_pin(PIN))
    assert len(inserted.run(inserted.driver.sign(DIGEST))) == 256


def test_contactless_there_is_no_pin_and_the_technical_key_signs(contactless: Inserted) -> None:
    driver = contactless.driver
    assert driver.family is Family.CPS3_CONTACTLESS
    assert contactless.run(driver.number()) == "8025000001/2600855206"
    assert contactless.run(driver.pin()) is None
    with pytest.raises(CardError, match="no PIN"):
        contactless.run(driver.verify_pin(PIN))
    certificate = contactless.run(driver.login_certificate())
    assert certificate.key.label == "CPS_PRIV_TECH_AUT"
    verifies(certificate, contactless.run(driver.sign(DIGEST)))
    assert not any(each[1] == 0x20 for each in contactless.card.commands)


COUNTS = {
    # recognise, number and stamp; directory and certificate; tries; PIN; signature
    "cps3": (5, 21, 2, 3, 3),
    "cps4": (3, 20, 3, 4, 4),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_commands_of_a_login_are_counted(chips: dict[str, Any], name: str) -> None:
    card = VirtualCps(chips[name]) if name == "cps3" else VirtualCps4(chips[name])
    card.power_on()
    memory = CardMemory()
    first = Inserted(card, t0_form)
    seen = first.sent(_recognised(first, memory))
    content = first.sent(first.driver.login_certificate())
    counts = [seen, content, first.sent(first.driver.pin())]
    counts += [first.sent(first.driver.verify_pin(PIN)), first.sent(first.driver.sign(DIGEST))]
    assert tuple(counts) == COUNTS[name]
    first.driver.keep()

    card.reset()
    again = Inserted(card, t0_form)
    assert again.sent(_recognised(again, memory)) == seen
    assert again.sent(again.driver.login_certificate()) == 0
    assert again.sent(again.driver.pin()) == counts[2]
    login = again.sent(again.driver.verify_pin(PIN)) + again.sent(again.driver.sign(DIGEST))
    assert login == counts[3] + counts[4]


def _recognised(inserted: Inserted, memory: CardMemory) -> Exchange[None]:
    inserted.driver = yield from recognise(inserted.card.atr)
    yield from inserted.driver.remember(memory)
