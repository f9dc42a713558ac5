"""The key service with virtual badges: encoding, taps, and what is refused."""

import dataclasses
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import msgspec
import pytest

from cardd.badges.states import BadgeState
from cardd.config import Config
from cardd.errors import Code, KmsUnavailable, Refused, StartCode, StartError
from cardd.kms import handles
from cardd.kms import messages as m
from cardd.kms.audit.verification import verify as verify_audit
from cardd.kms.ports import KeyService, Right
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import (
    NONCE,
    MovedClock,
    Relay,
    configuration,
    encoded,
    holder,
    key_service,
    refusal,
    tapped,
)
from tests.kms.wire_world import WAYS, Certificates, reached

pytestmark = pytest.mark.unit

PRODUCTS = ("ev1", "ev2")


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configuration(tmp_path)


@pytest.fixture(params=WAYS)
def service(
    request: pytest.FixtureRequest, config: Config, clock: MovedClock, certificates: Certificates
) -> Iterator[KeyService]:
    with reached(request.param, config, clock, certificates) as opened:
        yield opened


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_factory_badge_is_encoded_and_taps(service: KeyService, product: str) -> None:
    badge = VirtualDesfire.factory(product)
    who = holder(service)
    receipt = encoded(service, badge, who.id)
    assert receipt.exposed
    assert receipt.scheme == f"{product}-aes"
    assert receipt.holder is not None
    assert receipt.holder.id == who.id
    result = tapped(service, badge, "https://sso.test")
    claims = jwt.decode(
        result.assertions[0],
        jwt.PyJWKSet.from_dict(service.jwks()).keys[0].key,
        algorithms=["ES256"],
        audience="https://sso.test",
        issuer="https://cardd.test",
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert claims["sub"] == who.id
    assert claims["acr"] == "urn:cardd:acr:one-factor"
    assert claims["amr"] == ["hwk"]
    assert claims["device"] == "desk-1"
    assert claims["sid"] == result.sid
    assert claims["nonce"] == NONCE
    assert jwt.get_unverified_header(result.assertions[0])["typ"] == "cardd-auth+jwt"


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_tap_of_a_known_badge_sends_three_commands_on_air(
    service: KeyService, product: str
) -> None:
    badge = VirtualDesfire.factory(product)
    encoded(service, badge, holder(service).id)
    relay = Relay(service, badge)
    relay.run(m.Tap(uid=badge.uid))
    assert [command[1] for command in relay.sent] == [
        0x5A,
        0x71 if product == "ev2" else 0xAA,
        0xAF,
    ]


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_transport_blank_is_encoded_without_exposure(
    tmp_path: Path, clock: MovedClock, product: str
) -> None:
    with key_service(configuration(tmp_path, "transport"), clock) as service:
        badge = VirtualDesfire.factory(product)
        who = holder(service).id
        unprepared = refusal(service, badge, m.Encode(uid=badge.uid, holder=who))
        assert unprepared is Code.BADGE_KEYS_UNKNOWN
        relay = Relay(service, badge)
        assert isinstance(relay.run(m.Prepare(uid=badge.uid)), m.Prepared)
        assert isinstance(relay.run(m.Prepare(uid=badge.uid)), m.Prepared), "again does no harm"
        assert not encoded(service, badge, who).exposed
        assert tapped(service, badge).holder.id == who


def test_two_badges_have_no_key_in_common(service: KeyService) -> None:
    badges = [VirtualDesfire.factory("ev2") for _ in range(2)]
    for number, badge in enumerate(badges):
        encoded(service, badge, holder(service, f"S{number}").id)
    keys = [set(stored_keys(badge)) for badge in badges]
    assert all(len(of_one) == 3 for of_one in keys)
    assert not keys[0] & keys[1]


def stored_keys(badge: VirtualDesfire) -> list[str]:
    """Return the PICC's and our application's keys, as the chip has them."""
    state = badge.to_json()
    found = [state["master"]["value"]]
    for application in state["applications"]:
        found += [key["value"] for key in application["keys"]]
    return found


def test_a_refused_blank_leaves_nothing_in_the_registry(service: KeyService) -> None:
    other_site = VirtualDesfire.factory("ev2")
    with encoded_elsewhere(other_site):
        pass
    assert refusal(service, other_site, m.Encode(uid=other_site.uid)) is Code.BADGE_KEYS_UNKNOWN
    assert service.badges(m.Page()).items == ()


@contextmanager
def encoded_elsewhere(badge: VirtualDesfire) -> Iterator[None]:
    """Encode a badge at another site, with other masters."""
    with (
        tempfile.TemporaryDirectory() as folder,
        key_service(configuration(Path(folder)), MovedClock()) as service,
    ):
        encoded(service, badge)
        yield


def test_a_badge_of_another_site_with_a_known_uid_is_not_genuine(service: KeyService) -> None:
    genuine = VirtualDesfire.factory("ev2")
    encoded(service, genuine, holder(service).id)
    clone = VirtualDesfire.factory("ev2", uid=genuine.uid)
    assert refusal(service, clone, m.Tap(uid=clone.uid)) is Code.BADGE_NOT_GENUINE
    with encoded_elsewhere(clone):
        assert refusal(service, clone, m.Tap(uid=clone.uid)) is Code.BADGE_NOT_GENUINE


def test_an_ev2_badge_that_answers_as_ev1_is_refused(service: KeyService) -> None:
    genuine = VirtualDesfire.factory("ev2")
    encoded(service, genuine, holder(service).id)
    older = VirtualDesfire.factory("ev1", uid=genuine.uid)
    assert refusal(service, older, m.Tap(uid=older.uid)) in {
        Code.BADGE_NOT_GENUINE,
        Code.CARD_NOT_SUPPORTED,
    }


def test_a_badge_below_a_minimum_that_was_raised_is_refused(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev1")
    with key_service(configuration(tmp_path), MovedClock()) as service:
        encoded(service, badge, holder(service).id)
    raised = configuration(tmp_path, minimum_scheme="ev2-aes")
    with key_service(raised, MovedClock()) as service:
        assert refusal(service, badge, m.Tap(uid=badge.uid)) is Code.CARD_NOT_SUPPORTED


def test_the_audit_of_a_refused_tap_names_the_badge(tmp_path: Path, service: KeyService) -> None:
    genuine = VirtualDesfire.factory("ev2")
    encoded(service, genuine, holder(service).id)
    clone = VirtualDesfire.factory("ev2", uid=genuine.uid)
    refusal(service, clone, m.Tap(uid=clone.uid))
    line = (tmp_path / "audit.jsonl").read_text().splitlines()[-1]
    assert '"procedure":"Tap"' in line
    assert clone.uid.hex() in line.lower()
    assert '"badge_not_genuine"' in line


def test_health_tells_of_an_audit_that_cannot_be_written(
    tmp_path: Path, service: KeyService
) -> None:
    assert service.health().available
    with (tmp_path / "audit.jsonl").open("ab") as audit:
        audit.write(b"x")
    health = service.health()
    assert not health.available
    assert "audit" in str(health.why)


@pytest.mark.parametrize("number", ["", " 1", "1 ", "1\n", "1\t2", "1  2", "0" * 32])
def test_a_staff_number_that_looks_like_another_is_refused(number: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"staff_number": number}, m.NewHolder)


def test_another_system_identifier_than_the_badges_have_is_refused_at_start(
    tmp_path: Path,
) -> None:
    with key_service(configuration(tmp_path), MovedClock()):
        pass
    mistyped = configuration(tmp_path, aid_order="wire")
    with pytest.raises(StartError) as caught, key_service(mistyped, MovedClock()):
        pass
    assert caught.value.code is StartCode.CONFIG_INVALID
    assert "system_identifier" in str(caught.value)


def test_a_product_below_the_minimum_is_refused(tmp_path: Path) -> None:
    config = configuration(tmp_path, minimum_scheme="ev2-aes")
    with key_service(config, MovedClock()) as service:
        badge = VirtualDesfire.factory("ev1")
        assert refusal(service, badge, m.Encode(uid=badge.uid)) is Code.CARD_NOT_SUPPORTED


@pytest.mark.parametrize("uid", [bytes(4), b"\x08abc", bytes(10)])
def test_a_uid_that_gives_no_lasting_key_is_refused(service: KeyService, uid: bytes) -> None:
    with pytest.raises(Refused) as caught:
        service.begin(m.Encode(uid=uid))
    assert caught.value.code is Code.UID_UNUSABLE


def test_every_state_of_badge_and_holder_has_its_refusal(
    service: KeyService, clock: MovedClock
) -> None:
    badge = VirtualDesfire.factory("ev2")
    assert refusal(service, badge, m.Tap(uid=badge.uid)) is Code.BADGE_UNKNOWN
    receipt = encoded(service, badge)
    assert refusal(service, badge, m.Tap(uid=badge.uid)) is Code.BADGE_NOT_HANDED_OVER
    assert refusal(service, badge, m.Encode(uid=badge.uid)) is Code.ALREADY_ACTIVE

    worn = VirtualDesfire.factory("ev2")
    who = holder(service)
    worn_receipt = encoded(service, worn, who.staff_number)
    someone_else = m.Tap(uid=worn.uid, expect_holder="0" * 32)
    assert refusal(service, worn, someone_else) is Code.WRONG_PERSON
    strong = m.AssertionRequest(
        audience="a",
        nonce=NONCE,
        minimum_acr="urn:cardd:acr:strong",  # type: ignore[arg-type]
    )
    asked = m.Tap(uid=worn.uid, requests=(strong,))
    assert refusal(service, worn, asked) is Code.SECOND_FACTOR_REQUIRED
    second = VirtualDesfire.factory("ev2")
    assert refusal(service, second, m.Encode(uid=second.uid, holder=who.id)) is Code.CONFLICT

    clock.time = worn_receipt.expires_at
    assert refusal(service, worn, m.Tap(uid=worn.uid)) is Code.BADGE_EXPIRED
    service.revoke_badge(worn_receipt.number, "stolen")
    assert refusal(service, worn, m.Tap(uid=worn.uid)) is Code.BADGE_REVOKED
    with pytest.raises(Refused) as caught:
        service.revoke_badge(worn_receipt.number, "lost")
    assert caught.value.code is Code.CONFLICT
    assert service.revoke_badge(receipt.badge, "faulty").state == BadgeState.REVOKED


def test_a_revocation_between_two_steps_of_a_tap_wins(service: KeyService) -> None:
    badge = VirtualDesfire.factory("ev2")
    receipt = encoded(service, badge, holder(service).id)
    badge.reset()
    step = service.begin(m.Tap(uid=badge.uid))
    step = service.next(step.handle, tuple(badge.transmit(c) for c in step.commands))
    assert isinstance(step, m.Step)
    service.revoke_badge(receipt.badge, "lost")
    with pytest.raises(Refused) as caught:
        service.next(step.handle, tuple(badge.transmit(c) for c in step.commands))
    assert caught.value.code is Code.BADGE_REVOKED


def test_revoking_ends_the_presence_and_tells_the_workstation(config: Config) -> None:
    with key_service(config, MovedClock()) as service:
        badge = VirtualDesfire.factory("ev2")
        receipt = encoded(service, badge, holder(service).id)
        result = tapped(service, badge)
        assert result.sid is not None
        told: list[m.Notice] = []
        stop = service.watch(told.append)
        request = m.AssertionRequest(audience="https://a.test", nonce=NONCE)
        assert service.assertions(result.sid, (request,))
        service.revoke_badge(receipt.badge, "lost")
        stop()
        assert told == [m.PresenceEnded(result.sid, "badge_revoked")]
        with pytest.raises(Refused) as caught:
            service.assertions(result.sid, (request,))
        assert caught.value.code is Code.NOT_FOUND


def test_a_presence_gives_no_assertion_after_its_end_or_its_maximum(
    service: KeyService, clock: MovedClock
) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge, holder(service).id)
    request = (m.AssertionRequest(audience="https://a.test", nonce=NONCE),)
    ended = tapped(service, badge).sid
    assert ended is not None
    service.end_presence(ended, "ended_by_client")
    service.end_presence(ended, "ended_by_client")
    with pytest.raises(Refused):
        service.assertions(ended, request)
    late = tapped(service, badge).sid
    assert late is not None
    clock.time += 4 * 3600
    with pytest.raises(Refused):
        service.assertions(late, request)


def test_a_handle_is_spent_by_its_use_and_counts_its_answers(service: KeyService) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge, holder(service).id)
    badge.reset()
    first = service.begin(m.Tap(uid=badge.uid))
    answers = tuple(badge.transmit(command) for command in first.commands)
    service.next(first.handle, answers)
    with pytest.raises(Refused) as spent:
        service.next(first.handle, answers)
    assert spent.value.code is Code.TIMEOUT
    second = service.begin(m.Tap(uid=badge.uid))
    with pytest.raises(Refused) as miscounted:
        service.next(second.handle, answers[:1])
    assert miscounted.value.code is Code.INVALID_REQUEST


def test_a_handle_lives_three_seconds_and_is_its_clients_alone() -> None:
    now = [0.0]
    table = handles.Handles(lambda: now[0])

    def procedure():  # type: ignore[no-untyped-def]
        yield (b"\x90\x60\x00\x00\x00",)

    running = handles.Running("a", procedure(), lambda step: None)
    running.advance(())
    handle = table.keep(running)
    with pytest.raises(Refused):
        table.take("b", handle)
    assert table.take("a", handle) is running
    handle = table.keep(running)
    now[0] += handles.STEP_TIMEOUT_S + 0.1
    with pytest.raises(Refused):
        table.take("a", handle)


@pytest.mark.parametrize("service", ["embedded"], indirect=True)
@pytest.mark.parametrize("product", PRODUCTS)
def test_any_flipped_bit_of_an_answer_fails_a_tap_with_a_documented_code(
    service: KeyService, product: str
) -> None:
    badge = VirtualDesfire.factory(product)
    encoded(service, badge, holder(service).id)
    for number in (1, 2, 3):
        for bit in range(0, 8 * 34, 7):

            def spoil(count: int, answer: bytes, number: int = number, bit: int = bit) -> bytes:
                if count != number:
                    return answer
                spoilt = bytearray(answer)
                spoilt[bit // 8 % len(answer)] ^= 1 << bit % 8
                return bytes(spoilt)

            with pytest.raises(Refused) as caught:
                Relay(service, badge).run(m.Tap(uid=badge.uid), spoil=spoil)
            assert caught.value.code in {Code.BADGE_NOT_GENUINE, Code.CARD_NOT_SUPPORTED}


def test_no_key_reaches_the_audit_the_registry_or_an_error(
    tmp_path: Path, config: Config, service: KeyService
) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge, holder(service).id)
    tapped(service, badge, "https://a.test")
    written = (tmp_path / "audit.jsonl").read_bytes()
    for file in tmp_path.glob("registry.db*"):
        written += file.read_bytes()
    for key in stored_keys(badge):
        assert bytes.fromhex(key) not in written
        assert key.lower().encode() not in written.lower()


def test_the_audit_tells_of_encoding_tap_assertion_and_revocation(
    tmp_path: Path, service: KeyService
) -> None:
    badge = VirtualDesfire.factory("ev2")
    receipt = encoded(service, badge, holder(service).id)
    tapped(service, badge, "https://a.test")
    service.revoke_badge(receipt.badge, "lost")
    refusal(service, badge, m.Tap(uid=badge.uid))
    text = (tmp_path / "audit.jsonl").read_text()
    places = [
        text.index(f'"{event}"')
        for event in (
            "holder.added",
            "encode.begun",
            "encode.done",
            "tap.succeeded",
            "assertion.signed",
            "badge.revoked",
            "refused",
        )
    ]
    assert places == sorted(places)
    assert verify_audit(tmp_path / "audit.jsonl").lines >= len(places)


def test_a_locked_registry_means_kms_unavailable_and_passes(
    tmp_path: Path, service: KeyService
) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge, holder(service).id)
    blocker = sqlite3.connect(tmp_path / "registry.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(KmsUnavailable):
        Relay(service, badge).run(m.Tap(uid=badge.uid))
    blocker.execute("ROLLBACK")
    blocker.close()
    assert tapped(service, badge).sid


def test_a_revocation_undone_in_the_database_is_found(tmp_path: Path, service: KeyService) -> None:
    badge = VirtualDesfire.factory("ev2")
    receipt = encoded(service, badge, holder(service).id)
    service.revoke_badge(receipt.badge, "stolen")
    with sqlite3.connect(tmp_path / "registry.db") as database:
        database.execute("UPDATE badge SET state = 'active', reason = NULL")
    database.close()
    assert refusal(service, badge, m.Tap(uid=badge.uid)) is Code.REGISTRY_INTEGRITY


def test_a_client_without_the_right_or_the_audience_is_refused(
    config: Config, tmp_path: Path
) -> None:
    with key_service(config, MovedClock()) as service:
        badge = VirtualDesfire.factory("ev2")
        encoded(service, badge, holder(service).id)
        face = service
        client = dataclasses.replace(
            face._client,  # type: ignore[attr-defined]
            rights=frozenset({Right.TAP}),
            audiences=frozenset({"https://mine.test"}),
        )
        limited = type(face)(face._core, client)  # type: ignore[attr-defined,call-arg]
        theirs = m.Tap(
            uid=badge.uid, requests=(m.AssertionRequest(audience="https://x.test", nonce=NONCE),)
        )
        assert refusal(limited, badge, theirs) is Code.FORBIDDEN
        assert refusal(limited, badge, m.Encode(uid=badge.uid)) is Code.FORBIDDEN
        with pytest.raises(Refused):
            limited.revoke_badge("x", "lost")
