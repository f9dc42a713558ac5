"""`wipe`: a revoked badge becomes a blank again, cut anywhere, and serves another person."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cardd import assembly
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.ports import KeyService, Purpose, Right
from simulators.desfire.picc import VirtualDesfire
from tests.kms.encoded_badges import (
    CHANGE_KEY,
    copy_of,
    cut_at_change,
    make_foreign,
    row,
    with_next_generation,
)
from tests.kms.kms_world import (
    PRODUCTS,
    Cut,
    MovedClock,
    Relay,
    configuration,
    encoded,
    holder,
    key_service,
    new_generation,
    refusal,
    rekeyed,
    tapped,
    wiped,
)

pytestmark = pytest.mark.faults

CREATE_APPLICATION, DELETE_APPLICATION, FORMAT = 0xCA, 0xDA, 0xFC


def revoke(service: KeyService, badge: VirtualDesfire) -> None:
    service.revoke_badge(row(service, badge).number, "returned")


def applications(badge: VirtualDesfire) -> list[Any]:
    found: list[Any] = badge.to_json()["applications"]
    return found


def create_another_partys(badge: VirtualDesfire) -> None:
    """Create an application on a factory-fresh card, which lets everybody do that."""
    badge.reset()
    command = bytes.fromhex("90CA0000050100000F0100")
    assert badge.transmit(command) == b"\x91\x00"


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_badge_goes_round_from_one_holder_over_the_blanks_to_another(
    tmp_path: Path, product: str
) -> None:
    badge = VirtualDesfire.factory(product)
    fresh = badge.chip.free_bytes
    config = configuration(tmp_path, "transport")
    with key_service(config, MovedClock()) as service:
        first, second = holder(service, "A1").id, holder(service, "A2").id
        Relay(service, badge).run(m.Prepare(uid=badge.uid))
        number = encoded(service, badge, first).number
        sid = tapped(service, badge).sid
        revoke(service, badge)
        receipt = wiped(service, badge)
        assert (receipt.number, receipt.transport_generation, receipt.formatted) == (
            number, 1, True,
        )  # fmt: skip
        shown = row(service, badge)
        assert (shown.state, shown.reason, shown.holder) == ("wiped", None, None)
        assert (shown.issued_at, shown.expires_at) == (None, None)
        assert applications(badge) == []
        assert badge.chip.free_bytes == fresh
        assert refusal(service, badge, m.Tap(uid=badge.uid)) is Code.BADGE_UNKNOWN
        again = encoded(service, badge, second)
        assert (again.number, again.exposed) == (number, False)
        result = tapped(service, badge)
        assert result.holder.id == second
        assert sid != result.sid
        request = m.AssertionRequest(audience="https://a.test", nonce="n" * 22)
        assert sid is not None
        with pytest.raises(Refused):
            service.assertions(sid, (request,))


def test_a_wiped_badge_is_encoded_under_the_current_masters(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        revoke(service, badge)
        wiped(service, badge)
        assert encoded(service, badge).generation == 2
        assert row(service, badge).state == "stock"


def test_the_transport_key_is_of_the_current_generation(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    config = configuration(tmp_path)
    with key_service(config, MovedClock()) as service:
        encoded(service, badge)
        revoke(service, badge)
        with pytest.raises(Cut):
            Relay(service, badge).run(m.Wipe(uid=badge.uid), cut_at=8, executed=True)
    assert assembly.add_generation(config, (Purpose.TRANSPORT,)) == 2
    other = VirtualDesfire.factory("ev2")
    with key_service(config, MovedClock()) as service:
        assert wiped(service, badge).transport_generation == 1, "as it was begun"
        encoded(service, other)
        revoke(service, other)
        assert wiped(service, other).transport_generation == 2
        for each in (badge, other):
            assert each.to_json()["master"]["version"] in {1, 2}
            assert not encoded(service, each).exposed


@pytest.mark.parametrize("executed", [False, True], ids=["lost-command", "lost-answer"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_a_wipe_cut_at_any_command_goes_on_when_the_badge_is_shown_again(
    tmp_path: Path, product: str, executed: bool
) -> None:
    with key_service(configuration(tmp_path), MovedClock()) as service:
        total = commands_of_a_wipe(service, product)
        assert total > 15
        for cut_at in range(total):
            badge = VirtualDesfire.factory(product)
            encoded(service, badge)
            revoke(service, badge)
            with pytest.raises(Cut):
                Relay(service, badge).run(m.Wipe(uid=badge.uid), cut_at=cut_at, executed=executed)
            assert refusal(service, badge, m.Tap(uid=badge.uid)) is Code.BADGE_REVOKED
            assert wiped(service, badge).formatted
            assert applications(badge) == [], f"after a cut at command {cut_at}"
            assert row(service, badge).state == "wiped"
            who = holder(service, f"S{cut_at}").id
            assert encoded(service, badge, who).exposed is False
            assert tapped(service, badge).holder.id == who


@pytest.mark.parametrize("first", [9, 10, 17])
def test_a_wipe_cut_again_while_it_goes_on_still_knows_the_transport_key(
    tmp_path: Path, first: int
) -> None:
    with key_service(configuration(tmp_path), MovedClock()) as service:
        for second in range(6, commands_of_a_wipe(service, "ev2") - 1):
            badge = VirtualDesfire.factory("ev2")
            encoded(service, badge)
            revoke(service, badge)
            for cut_at in (first, second):
                with pytest.raises(Cut):
                    Relay(service, badge).run(m.Wipe(uid=badge.uid), cut_at=cut_at, executed=True)
            assert wiped(service, badge).formatted, f"after cuts at {first} and {second}"


def commands_of_a_wipe(service: KeyService, product: str) -> int:
    badge = VirtualDesfire.factory(product)
    encoded(service, badge)
    revoke(service, badge)
    relay = Relay(service, badge)
    relay.run(m.Wipe(uid=badge.uid))
    return len(relay.sent)


def test_another_partys_application_stays_and_ours_alone_is_deleted(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    create_another_partys(badge)
    theirs = applications(badge)
    with key_service(configuration(tmp_path), MovedClock()) as service:
        encoded(service, badge)
        assert len(applications(badge)) == 2
        revoke(service, badge)
        relay = Relay(service, badge)
        outcome = relay.run(m.Wipe(uid=badge.uid))
        assert isinstance(outcome, m.Wiped)
        assert not outcome.formatted
        assert applications(badge) == theirs
        sent = {command[1] for command in relay.sent}
        assert DELETE_APPLICATION in sent
        assert FORMAT not in sent
        assert not encoded(service, badge, holder(service).id).exposed
        assert tapped(service, badge).sid


def test_where_format_was_disabled_our_application_is_deleted(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    badge._power(dataclasses.replace(badge.chip, configuration=0x01))
    with key_service(configuration(tmp_path), MovedClock()) as service:
        encoded(service, badge)
        revoke(service, badge)
        assert not wiped(service, badge).formatted
        assert applications(badge) == []
        assert encoded(service, badge).exposed is False


@pytest.mark.parametrize("executed", [False, True], ids=["lost-command", "lost-answer"])
def test_another_partys_picc_is_left_as_it_is_wherever_the_wipe_was_cut(
    tmp_path: Path, executed: bool
) -> None:
    with key_service(configuration(tmp_path), MovedClock()) as service:
        for cut_at in range(7):
            badge = VirtualDesfire.factory("ev2")
            encoded(service, badge)
            make_foreign(service, badge)
            badge._power(dataclasses.replace(badge.chip, settings=0x0F))
            before = badge.to_json()["master"]
            revoke(service, badge)
            with pytest.raises(Cut):
                Relay(service, badge).run(m.Wipe(uid=badge.uid), cut_at=cut_at, executed=executed)
            receipt = wiped(service, badge)
            assert (receipt.transport_generation, receipt.formatted) == (None, False)
            assert applications(badge) == []
            assert badge.to_json()["master"] == before
            assert row(service, badge).state == "wiped"


def test_only_a_revoked_badge_is_wiped(tmp_path: Path) -> None:
    badge, stranger = VirtualDesfire.factory("ev2"), VirtualDesfire.factory("ev2")
    with key_service(configuration(tmp_path), MovedClock()) as service:
        assert refusal(service, stranger, m.Wipe(uid=stranger.uid)) is Code.BADGE_UNKNOWN
        encoded(service, badge, holder(service).id)
        sent = len(badge.commands)
        with pytest.raises(Refused) as caught:
            service.begin(m.Wipe(uid=badge.uid))
        assert (caught.value.code, caught.value.facts["state"]) == (Code.CONFLICT, "active")
        assert len(badge.commands) == sent
        revoke(service, badge)
        wiped(service, badge)
        assert refusal(service, badge, m.Wipe(uid=badge.uid)) is Code.CONFLICT


def test_a_clone_of_a_revoked_badge_is_not_wiped_in_its_place(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with key_service(configuration(tmp_path), MovedClock()) as service:
        encoded(service, badge)
        revoke(service, badge)
        clone = VirtualDesfire.factory("ev2", uid=badge.uid)
        assert refusal(service, clone, m.Wipe(uid=badge.uid)) is Code.BADGE_NOT_GENUINE
        assert CHANGE_KEY not in {command[1] for command in clone.commands}
        assert wiped(service, badge).formatted


@pytest.mark.parametrize("cut_at", [12, 20, 27, 33, 38, 44])
@pytest.mark.parametrize("blanks", ["factory", "transport"])
def test_a_badge_that_was_revoked_before_its_encoding_ended_is_wiped(
    tmp_path: Path, blanks: str, cut_at: int
) -> None:
    badge = VirtualDesfire.factory("ev2")
    with key_service(configuration(tmp_path, blanks), MovedClock()) as service:
        if blanks == "transport":
            Relay(service, badge).run(m.Prepare(uid=badge.uid))
        with pytest.raises(Cut):
            Relay(service, badge).run(m.Encode(uid=badge.uid), cut_at=cut_at, executed=True)
        revoke(service, badge)
        with pytest.raises(Cut):
            Relay(service, badge).run(m.Wipe(uid=badge.uid), cut_at=9, executed=True)
        assert wiped(service, badge).formatted
        assert set(badge.to_json()["default_key"]) == {"0"}
        assert not encoded(service, badge, holder(service).id).exposed
        assert tapped(service, badge).sid


def test_a_blank_that_was_cut_before_its_transport_key_is_wiped_by_who_may_prepare(
    tmp_path: Path,
) -> None:
    badge = VirtualDesfire.factory("ev2")
    with key_service(configuration(tmp_path), MovedClock()) as service:
        cut_before_transport_key(service, badge)
        revoke(service, badge)
        face = service
        client = dataclasses.replace(
            face._client,  # type: ignore[attr-defined]
            rights=frozenset({Right.WIPE}),
        )
        limited = type(face)(face._core, client)  # type: ignore[attr-defined,call-arg]
        assert refusal(limited, badge, m.Wipe(uid=badge.uid)) is Code.FORBIDDEN
        assert wiped(service, badge).transport_generation == 1
        assert not encoded(service, badge).exposed


def cut_before_transport_key(service: KeyService, badge: VirtualDesfire) -> None:
    """Cut an encoding after its first commit, before the card saw ChangeKey."""
    badge.reset()
    step: m.Step | m.Outcome = service.begin(m.Encode(uid=badge.uid))
    while isinstance(step, m.Step) and step.commands[0][1] != CHANGE_KEY:
        step = service.next(step.handle, tuple(map(badge.transmit, step.commands)))
    assert isinstance(step, m.Step)
    service.abort(step.handle)


@pytest.mark.parametrize("changes", [0, 1, 2])
def test_a_badge_that_was_revoked_before_its_rekey_ended_is_wiped(
    tmp_path: Path, changes: int
) -> None:
    ours, foreign = VirtualDesfire.factory("ev2"), VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, ours, foreign) as service:
        cut_at_change(service, ours, changes)
        revoke(service, ours)
        assert wiped(service, ours).formatted
        make_foreign(service, foreign)
        foreign._power(dataclasses.replace(foreign.chip, settings=0x0F))
        cut_at_change(service, foreign, min(changes, 1))
        revoke(service, foreign)
        assert not wiped(service, foreign).formatted
        assert applications(foreign) == []


def test_a_rekeyed_badge_is_wiped_with_its_new_keys(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        rekeyed(service, badge)
        revoke(service, badge)
        assert wiped(service, badge).formatted


def test_a_second_station_makes_the_first_one_conflict(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with key_service(configuration(tmp_path), MovedClock()) as service:
        encoded(service, badge)
        revoke(service, badge)
        badge.reset()
        late: m.Step | m.Outcome = service.begin(m.Wipe(uid=badge.uid))
        assert wiped(service, copy_of(badge)).formatted
        with pytest.raises(Refused) as caught:  # noqa: PT012 - a loop of one call
            while isinstance(late, m.Step):
                late = service.next(late.handle, tuple(map(badge.transmit, late.commands)))
        assert caught.value.code is Code.CONFLICT
        sent = {command[1] for command in badge.commands}
        assert FORMAT not in sent


def test_the_audit_tells_of_a_wipe(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    config = configuration(tmp_path)
    with key_service(config, MovedClock()) as service:
        encoded(service, badge)
        revoke(service, badge)
        with pytest.raises(Cut):
            Relay(service, badge).run(m.Wipe(uid=badge.uid), cut_at=9)
        wiped(service, badge)
        refusal(service, badge, m.Wipe(uid=badge.uid))
    new_generation(config)
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    told = [line["event"] for line in lines]
    assert told[-4:] == ["wipe.begun", "wipe.begun", "wipe.done", "refused"]
    assert [line["facts"].get("resumed") for line in lines[-4:-2]] == [False, True]
    assert lines[-2]["facts"]["formatted"] is True
    assert lines[-2]["facts"]["state"] == "wiped"


def test_no_key_of_a_wipe_or_a_rekey_is_written_anywhere(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    keys = set()
    with with_next_generation(tmp_path, badge) as service:
        rekeyed(service, badge)
        keys |= {key["value"] for each in applications(badge) for key in each["keys"]}
        keys.add(badge.to_json()["master"]["value"])
        revoke(service, badge)
        wiped(service, badge)
        keys.add(badge.to_json()["master"]["value"])
    assert len(keys) == 4
    written = (tmp_path / "audit.jsonl").read_bytes()
    for file in tmp_path.glob("registry.db*"):
        written += file.read_bytes()
    for key in keys:
        assert bytes.fromhex(key) not in written
        assert key.lower().encode() not in written.lower()
