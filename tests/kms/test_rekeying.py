"""`rekey`: to another generation of the masters, cut anywhere, and what a tap says meanwhile."""

import dataclasses
import json
from pathlib import Path

import pytest

from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.ports import KeyService, Right
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
    key_service,
    new_generation,
    refusal,
    rekeyed,
    tapped,
)

pytestmark = pytest.mark.faults


def commands_of_a_rekey(folder: Path, product: str) -> list[bytes]:
    folder.mkdir()
    badge = VirtualDesfire.factory(product)
    with with_next_generation(folder, badge) as service:
        relay = Relay(service, badge)
        relay.run(m.Rekey(uid=badge.uid))
        return relay.sent


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_rekeyed_badge_taps_with_its_new_keys_and_keeps_holder_and_dates(
    tmp_path: Path, product: str
) -> None:
    badge = VirtualDesfire.factory(product)
    with with_next_generation(tmp_path, badge) as service:
        before, old = row(service, badge), copy_of(badge)
        sid = tapped(service, badge).sid
        receipt = rekeyed(service, badge)
        assert (receipt.previous_generation, receipt.generation) == (1, 2)
        assert receipt.holder is not None
        after = row(service, badge)
        assert after.generation == 2
        assert dataclass_without_generation(after) == dataclass_without_generation(before)
        assert tapped(service, badge).holder.id == receipt.holder.id
        assert sid is not None
        assert refusal(service, old, m.Tap(uid=badge.uid)) is Code.BADGE_NOT_GENUINE
        new, past = master_keys(badge), master_keys(old)
        assert len(new) == len(past) == 3
        assert not new & past


def dataclass_without_generation(view: m.BadgeView) -> list[object]:
    return [getattr(view, name) for name in view.__struct_fields__ if name != "generation"]


def master_keys(badge: VirtualDesfire) -> set[str]:
    state = badge.to_json()
    (application,) = state["applications"]
    return {state["master"]["value"], *(key["value"] for key in application["keys"])}


def test_a_badge_that_stays_in_place_is_worked_on_in_the_session_of_its_tap(
    tmp_path: Path,
) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        number = row(service, badge).number
        badge.reset()
        for procedure in (m.Tap, m.Rekey, m.Tap, m.Inspect, m.Wipe, m.Prepare, m.Encode):
            if procedure is m.Wipe:
                service.revoke_badge(number, "returned")
            step: m.Step | m.Outcome = service.begin(procedure(uid=badge.uid))
            while isinstance(step, m.Step):
                step = service.next(step.handle, tuple(map(badge.transmit, step.commands)))
        assert row(service, badge).state == "stock"


def test_a_generation_can_be_named_also_an_older_one(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        first = master_keys(badge)
        assert rekeyed(service, badge, 2).generation == 2
        assert rekeyed(service, badge, 1).generation == 1
        assert master_keys(badge) == first
        assert tapped(service, badge).sid


def test_what_cannot_be_rekeyed_is_refused_before_the_card_is_asked(tmp_path: Path) -> None:
    badge, stranger = VirtualDesfire.factory("ev2"), VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        cases = [
            (m.Rekey(uid=badge.uid, generation=1), Code.CONFLICT),
            (m.Rekey(uid=badge.uid, generation=3), Code.NOT_FOUND),
            (m.Rekey(uid=stranger.uid), Code.BADGE_UNKNOWN),
        ]
        sent = len(badge.commands)
        for procedure, code in cases:
            with pytest.raises(Refused) as caught:
                service.begin(procedure)
            assert caught.value.code is code
        service.revoke_badge(row(service, badge).number, "lost")
        with pytest.raises(Refused) as caught:
            service.begin(m.Rekey(uid=badge.uid))
        assert caught.value.code is Code.CONFLICT
        assert caught.value.facts["state"] == "revoked"
        assert len(badge.commands) == sent


def test_a_client_without_the_right_rekeys_nothing(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        face = service
        client = dataclasses.replace(
            face._client,  # type: ignore[attr-defined]
            rights=frozenset(Right) - {Right.REKEY, Right.WIPE},
        )
        limited = type(face)(face._core, client)  # type: ignore[attr-defined,call-arg]
        assert refusal(limited, badge, m.Rekey(uid=badge.uid)) is Code.FORBIDDEN
        assert refusal(limited, badge, m.Wipe(uid=badge.uid)) is Code.FORBIDDEN


def test_the_authenticate_key_changes_last_and_little_follows_it(tmp_path: Path) -> None:
    sent = commands_of_a_rekey(tmp_path / "ev2", "ev2")
    changes = [at for at, command in enumerate(sent) if command[1] == CHANGE_KEY]
    assert [sent[at][5] for at in changes] == [0x80, 0x00, 0x01]
    after = [command[1] for command in sent[changes[-1] + 1 :]]
    assert after[:-1] == [0x71, 0xAF, 0x64], "an authentication, the version, and ReadData"
    assert after[-1] in {0xAD, 0xBD}


@pytest.mark.parametrize("executed", [False, True], ids=["lost-command", "lost-answer"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_a_rekey_cut_at_any_command_goes_on_when_the_badge_is_shown_again(
    tmp_path: Path, product: str, executed: bool
) -> None:
    sent = commands_of_a_rekey(tmp_path / "count", product)
    last_change = max(at for at, command in enumerate(sent) if command[1] == CHANGE_KEY)
    badges = [VirtualDesfire.factory(product) for _ in sent]
    (tmp_path / "run").mkdir()
    with with_next_generation(tmp_path / "run", *badges) as service:
        for cut_at, badge in enumerate(badges):
            first = copy_of(badge)
            with pytest.raises(Cut):
                Relay(service, badge).run(m.Rekey(uid=badge.uid), cut_at=cut_at, executed=executed)
            if cut_at > last_change or (executed and cut_at == last_change):
                code = refusal(service, badge, m.Tap(uid=badge.uid))
                assert code is Code.BADGE_UNFINISHED, f"after a cut at command {cut_at}"
            else:
                assert tapped(service, badge).sid, f"after a cut at command {cut_at}"
            assert rekeyed(service, badge).generation == 2
            assert tapped(service, badge).sid, f"after a cut at command {cut_at}"
            assert row(service, badge).generation == 2
            assert refusal(service, first, m.Tap(uid=badge.uid)) is Code.BADGE_NOT_GENUINE


def test_a_rekey_cut_twice_goes_on_all_the_same(tmp_path: Path) -> None:
    badges = [VirtualDesfire.factory("ev2") for _ in range(9)]
    with with_next_generation(tmp_path, *badges) as service:
        for number, badge in enumerate(badges):
            cut_at_change(service, badge, number // 3)
            with pytest.raises(Cut):
                Relay(service, badge).run(m.Rekey(uid=badge.uid), cut_at=8 + number, executed=True)
            assert rekeyed(service, badge).generation == 2
            assert tapped(service, badge).sid


def test_a_rekey_that_was_begun_is_finished_before_another(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        cut_at_change(service, badge, 1)
    config = configuration(tmp_path)
    assert new_generation(config) == 3
    with key_service(config, MovedClock()) as service:
        asked = m.Rekey(uid=badge.uid, generation=3)
        assert refusal(service, badge, asked) is Code.CONFLICT
        assert rekeyed(service, badge).generation == 2
        assert rekeyed(service, badge).generation == 3
        assert tapped(service, badge).sid


@pytest.mark.parametrize("changes", [1, 2])
def test_a_card_that_goes_back_behind_the_journal_is_another_card(
    tmp_path: Path, changes: int
) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        old = copy_of(badge)
        cut_at_change(service, badge, changes)
        assert refusal(service, old, m.Rekey(uid=badge.uid)) is Code.BADGE_NOT_GENUINE
        assert CHANGE_KEY not in {command[1] for command in old.commands}
        assert rekeyed(service, badge).generation == 2


def until_a_change(service: KeyService, badge: VirtualDesfire) -> m.Step:
    """Relay a re-key up to its first ChangeKey, which is returned and not sent."""
    badge.reset()
    step: m.Step | m.Outcome = service.begin(m.Rekey(uid=badge.uid))
    while isinstance(step, m.Step) and step.commands[0][1] != CHANGE_KEY:
        step = service.next(step.handle, tuple(map(badge.transmit, step.commands)))
    assert isinstance(step, m.Step)
    return step


def test_of_two_stations_that_rekey_one_badge_the_first_is_told_of_the_other(
    tmp_path: Path,
) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        here = until_a_change(service, badge)
        other = copy_of(badge)
        there = until_a_change(service, other)
        codes = []
        for step, card in ((here, badge), (there, other)):
            reply: m.Step | m.Outcome = step
            try:
                while isinstance(reply, m.Step):
                    reply = service.next(reply.handle, tuple(map(card.transmit, reply.commands)))
            except Refused as error:
                codes.append(error.code)
        assert codes == [Code.CONFLICT]
        assert tapped(service, other).sid


def test_a_second_station_cannot_begin_what_a_first_one_goes_on_with(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        badge.reset()
        late = service.begin(m.Rekey(uid=badge.uid))
        assert rekeyed(service, copy_of(badge)).generation == 2
        sent = 0
        with pytest.raises(Refused) as caught:  # noqa: PT012 - a loop of one call
            while isinstance(late, m.Step):
                sent += late.commands[0][1] == CHANGE_KEY
                late = service.next(late.handle, tuple(map(badge.transmit, late.commands)))
        assert caught.value.code is Code.CONFLICT
        assert sent == 0


def test_a_revocation_during_a_rekey_stays(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        badge.reset()
        step: m.Step | m.Outcome = service.begin(m.Rekey(uid=badge.uid))
        number = row(service, badge).number
        changed = 0
        while isinstance(step, m.Step):
            changed += step.commands[0][1] == CHANGE_KEY
            if changed == 2:
                service.revoke_badge(number, "stolen")
                changed += 1
            step = service.next(
                step.handle, tuple(badge.transmit(command) for command in step.commands)
            )
        assert isinstance(step, m.Rekeyed)
        assert (row(service, badge).state, row(service, badge).generation) == ("revoked", 2)
        assert refusal(service, badge, m.Tap(uid=badge.uid)) is Code.BADGE_REVOKED


def test_another_partys_picc_keeps_its_key(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        make_foreign(service, badge)
        before = badge.to_json()["master"]
        assert rekeyed(service, badge).generation == 2
        assert badge.to_json()["master"] == before
        assert tapped(service, badge).sid


def test_an_answer_that_was_spoilt_fails_a_rekey_cleanly_and_then_it_goes_on(
    tmp_path: Path,
) -> None:
    numbers = range(1, 44, 2)
    badges = [VirtualDesfire.factory("ev2") for _ in numbers]
    with with_next_generation(tmp_path, *badges) as service:
        for number, badge in zip(numbers, badges, strict=True):

            def spoil(count: int, answer: bytes, number: int = number) -> bytes:
                return bytes((answer[0] ^ 1,)) + answer[1:] if count == number else answer

            code = None
            try:
                Relay(service, badge).run(m.Rekey(uid=badge.uid), spoil=spoil)
            except Refused as error:
                code = error.code
            assert code in {
                Code.BADGE_NOT_GENUINE, Code.CARD_NOT_SUPPORTED, Code.UID_UNUSABLE, None
            }  # fmt: skip
            if code is not None:
                assert rekeyed(service, badge).generation == 2
            assert tapped(service, badge).sid


def test_a_badge_below_a_minimum_that_was_raised_is_not_rekeyed_but_can_be_wiped(
    tmp_path: Path,
) -> None:
    badge = VirtualDesfire.factory("ev1")
    with with_next_generation(tmp_path, badge, minimum_scheme="ev2-aes") as service:
        assert refusal(service, badge, m.Rekey(uid=badge.uid)) is Code.CARD_NOT_SUPPORTED
        service.revoke_badge(row(service, badge).number, "replaced")
        assert isinstance(Relay(service, badge).run(m.Wipe(uid=badge.uid)), m.Wiped)


def test_the_audit_tells_of_a_rekey_and_of_one_that_was_refused(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        cut_at_change(service, badge, 2)
        rekeyed(service, badge)
        refusal(service, badge, m.Rekey(uid=badge.uid))
        lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    told = [
        (
            line["event"],
            *(line["facts"].get(name) for name in ("resumed", "generation", "previous")),
        )
        for line in lines
        if line["event"].startswith("rekey.")
    ]
    assert told == [
        ("rekey.begun", False, 2, 1),
        ("rekey.begun", True, 2, 1),
        ("rekey.done", None, 2, 1),
    ]
    assert (lines[-1]["event"], lines[-1]["facts"]["procedure"]) == ("refused", "Rekey")
