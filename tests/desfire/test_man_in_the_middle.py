"""Somebody sits between driver and card, in every mechanism: what is refused, and what is not seen.

Each attack is tried at each frame of a session. What a mechanism cannot see by its design is in the
tables here, written by hand; whatever else deviates is refused and ends the session.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.desfire.authentication import AuthenticationScheme
from cardd.desfire.status import Status
from cardd.errors import CardProtocolError, CardStatusError
from tests.desfire.attacked_wire import (
    AID,
    FULL,
    MECHANISMS,
    REFUSALS,
    USER,
    Attack,
    Done,
    Mechanism,
    Wire,
    altered,
    attacked,
    begin,
    bit_flips,
    extensions,
    honest,
    instead,
    session_of,
    swallow,
    truncations,
    twice,
)
from tests.desfire.recorded_card import play
from tests.examples import examples

pytestmark = pytest.mark.unit

OK, MORE = b"\x91\x00", b"\x91\xaf"

DESCRIPTIONS = {"key version", "key settings", "file ids", "file settings"}
WRITES = {"write plain", "write MAC", "write full", "write backup"}
SHORT_CHANGES = {
    *(WRITES - {"write MAC"}),
    *("credit", "debit", "write record", "commit"),
    *("change another key", "change settings", "change own key"),
}
CHANGES = SHORT_CHANGES | {"write MAC"}

UNSEEN: dict[str, dict[str, set[str]]] = {
    # D40 protects the data of files, and what goes to the card enciphered; nothing that describes.
    "D40": {
        "damaged answer": DESCRIPTIONS | {"read plain"},
        # Its acknowledgements are a bare status: whether the card had the command is not known.
        # An empty list of files is a bare status, too.
        "invented success": CHANGES | {"file ids"},
        # Nothing says which command an answer belongs to, and nothing counts: what a file held
        # earlier in the session passes for what it holds, where the length is the same.
        "earlier answer": CHANGES | {"file ids", "read MAC again"},
        "answer of another session": CHANGES | {"file ids"},
        "repeated command": {"credit", "debit"},
        # Its headers are protected by nothing: another file, another offset.
        "another command": SHORT_CHANGES | {"file ids", "read full"},
        "altered command": WRITES
        | {"key version", "file settings", "read plain"}
        | {"read MAC", "read full", "read full, two frames"},
    },
    # EV1 chains every command and answer, whatever the mode of the file; but the session is over
    # once its own key has changed, and the answer that says so carries no MAC.
    "EV1": {
        "invented success": {"change own key"},
        "earlier answer": {"change own key"},
        "answer of another session": {"change own key"},
        "another command": {"change own key"},
    },
    # So it is in EV2, whose plain files are plain indeed.
    "EV2": {
        "damaged answer": {"read plain"},
        "invented success": {"write plain", "change own key"},
        "earlier answer": {"write plain", "change own key"},
        "answer of another session": {"write plain", "change own key"},
        "another command": {"write plain", "change own key"},
        "altered command": {"read plain", "write plain"},
    },
}

TRIED_AT_EACH_FRAME = ("D40 2TDEA", "EV1 3TDEA", "EV1 AES", "EV2")
"""The other mechanisms differ in the length of a key alone; the random series have them all."""


def unseen(mechanism: Mechanism, kind: str) -> set[str]:
    return UNSEEN[mechanism.name.partition(" ")[0]].get(kind, set())


def damaged_answers(done: Done, _: Mechanism) -> Iterator[Attack]:
    for frame, (_command, answer) in enumerate(done.frames):
        for damage in (bit_flips, truncations, extensions):
            yield from (instead(frame, each) for each in damage(answer) if each != answer)


def invented_success(done: Done, _: Mechanism) -> Iterator[Attack]:
    for frame in range(len(done.frames)):
        yield swallow(frame, OK)
        yield swallow(frame, MORE)


def earlier_answers(done: Done, mechanism: Mechanism) -> Iterator[Attack]:
    session = honest(mechanism)
    earlier = {answer for each in session[: session.index(done)] for _, answer in each.frames}
    yield from _answers_instead(done, earlier)


def answers_of_another_session(done: Done, mechanism: Mechanism) -> Iterator[Attack]:
    other = {answer for each in honest(mechanism, "two") for _, answer in each.frames}
    yield from _answers_instead(done, other)


def _answers_instead(done: Done, answers: set[bytes]) -> Iterator[Attack]:
    for frame, (_, answer) in enumerate(done.frames):
        for each in sorted(answers):
            yield swallow(frame, each)
            if each != answer:
                yield instead(frame, each)


def other_commands(done: Done, mechanism: Mechanism) -> Iterator[Attack]:
    sessions = (*honest(mechanism), *honest(mechanism, "two"))
    commands = {command for each in sessions for command, _ in each.frames}
    for frame, (command, _) in enumerate(done.frames):
        yield from (altered(frame, each) for each in sorted(commands - {command}))


def altered_commands(done: Done, _: Mechanism) -> Iterator[Attack]:
    for frame, (command, _answer) in enumerate(done.frames):
        for damage in (bit_flips, truncations):
            yield from (altered(frame, each) for each in damage(command) if each != command)


def repeated_commands(done: Done, _: Mechanism) -> Iterator[Attack]:
    yield from map(twice, range(len(done.frames)))


ATTACKS = {
    "damaged answer": damaged_answers,
    "invented success": invented_success,
    "earlier answer": earlier_answers,
    "answer of another session": answers_of_another_session,
    "another command": other_commands,
    "altered command": altered_commands,
    "repeated command": repeated_commands,
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ATTACKS)
@pytest.mark.parametrize("name", TRIED_AT_EACH_FRAME)
def test_an_attack_is_refused_but_where_the_mechanism_cannot_see_it(name: str, kind: str) -> None:
    mechanism = MECHANISMS[name]
    passed: dict[str, int] = defaultdict(int)
    for done in honest(mechanism):
        for attack in ATTACKS[kind](done, mechanism):
            verdict, result, after = attacked(done, attack)
            deviates = result != done.result or after.stored != done.stored_after
            if verdict == "accepted" and deviates:
                passed[done.step.name] += 1
    assert set(passed) == unseen(mechanism, kind), dict(passed)


def test_an_ev2_card_that_says_it_has_no_ev2_is_not_spoken_to_in_ev1() -> None:
    mechanism = MECHANISMS["EV2"]
    moment, sent = begin(mechanism, "downgrade"), []

    def without_ev2(command: bytes) -> bytes:
        sent.append(command[1])
        return b"\x91\x1c" if command[1] == 0x71 else moment.virtual.transmit(command)

    exchange = moment.card.select_and_authenticate(
        AID, USER, mechanism.key(USER), AuthenticationScheme.EV2_FIRST
    )
    with pytest.raises(CardStatusError) as refusal:
        play(exchange, without_ev2)
    assert refusal.value.status == Status.ILLEGAL_COMMAND_CODE.word
    assert sent == [0x5A, 0x71]
    assert moment.card.session is None


def test_an_ev1_answer_to_an_ev2_authentication_opens_nothing() -> None:
    """The card does the EV1 authentication that the man in the middle asks for instead."""
    moment = begin(MECHANISMS["EV1 AES"], "mixed")
    play(moment.card.select_application(AID), moment.virtual.transmit)

    def as_ev1(command: bytes) -> bytes:
        if command[1] == 0x71:
            command = bytes((0x90, 0xAA, 0, 0, 1, command[5], 0))
        return moment.virtual.transmit(command)

    key = MECHANISMS["EV1 AES"].key(USER)
    with pytest.raises(REFUSALS):
        play(moment.card.authenticate_ev2_first(USER, key), as_ev1)
    assert moment.card.session is None


def test_after_a_refusal_nothing_travels_under_the_session() -> None:
    for mechanism in MECHANISMS.values():
        done = next(each for each in honest(mechanism) if each.step.name == "read full")
        _, error, after = attacked(done, instead(0, b"\x91\x9d"))
        assert isinstance(error, CardStatusError)
        with pytest.raises(RuntimeError):
            next(after.card.read_data(3, 0, 5, FULL))


Trick = tuple[str, int, Any]
"""What is done, at which frame of the session, and what more it takes."""

FRAMES = st.integers(0, 25)
TRICKS = st.one_of(
    st.tuples(st.just("flip answer"), FRAMES, st.integers(0, 2**10)),
    st.tuples(st.just("flip command"), FRAMES, st.integers(0, 2**10)),
    st.tuples(st.just("cut"), FRAMES, st.integers(0, 80)),
    st.tuples(st.just("append"), FRAMES, st.binary(min_size=1, max_size=64)),
    st.tuples(st.just("replay"), FRAMES, FRAMES),
    st.tuples(st.just("swap with the next"), FRAMES, st.none()),
    st.tuples(st.just("other session"), FRAMES, FRAMES),
    st.tuples(st.just("swallow"), FRAMES, st.sampled_from([OK, MORE, b"\x00" + OK])),
    st.tuples(st.just("twice"), FRAMES, st.none()),
)


class Liar:
    """Plays tricks on a whole session, each at its frame; passes on what it has no trick for."""

    def __init__(self, tricks: list[Trick], other: list[bytes]) -> None:
        self._tricks = {frame: (name, what) for name, frame, what in tricks}
        self._other = other
        self._held: bytes | None = None

    def __call__(self, wire: Wire, number: int, command: bytes) -> bytes | None:
        if self._held is not None:
            held, self._held = self._held, wire.virtual.transmit(command)
            return held
        name, what = self._tricks.get(number, ("", None))
        earlier = [answer for _, answer in wire.frames] or [OK]
        instead = {"swallow": [what], "other session": self._other, "replay": earlier}.get(name)
        if instead:
            return instead[what % len(instead) if isinstance(what, int) else 0]
        if name == "flip command":
            command = _flipped(command, what)
        answer = wire.virtual.transmit(command)
        if name == "twice":
            return wire.virtual.transmit(command)
        if name == "swap with the next":
            self._held, answer = answer, earlier[-1]
        return _distorted(name, what, answer)


def _distorted(name: str, what: Any, answer: bytes) -> bytes:
    if name == "flip answer":
        return _flipped(answer, what)
    if name == "cut":
        return answer[: max(len(answer) - 2 - what, 0)] + answer[-2:]
    return answer[:-2] + what + answer[-2:] if name == "append" else answer


def _flipped(frame: bytes, bit: int) -> bytes:
    bit %= 8 * len(frame)
    return (int.from_bytes(frame) ^ 1 << bit).to_bytes(len(frame))


@pytest.mark.fuzz
@examples(150)
@given(
    name=st.sampled_from(sorted(MECHANISMS)),
    tricks=st.lists(TRICKS, min_size=1, max_size=6),
)
def test_no_series_of_tricks_gives_a_protected_answer_that_the_card_did_not_give(
    name: str, tricks: list[Trick]
) -> None:
    mechanism = MECHANISMS[name]
    moment = begin(mechanism, "one")
    other = [answer for each in honest(mechanism, "two") for _, answer in each.frames]
    wire = Wire(moment.virtual, Liar(tricks, other))
    blind = set().union(*UNSEEN[name.partition(" ")[0]].values())
    for step, done in zip(session_of(mechanism, "one"), honest(mechanism), strict=True):
        try:
            result = play(step.run(moment.card), wire.transmit)
        except REFUSALS:
            assert moment.card.session is None
            return
        except RuntimeError:
            assert moment.card.session is None, "a command had no session to travel under"
            return
        # What was written unseen is read again, and rightly so.
        trusted = step.name not in blind and moment.stored == done.stored_after
        assert not trusted or result == done.result, step.name


def test_a_refused_proof_says_so() -> None:
    """The error is the protocol's own, not that of a status: the card did not refuse, we did."""
    for mechanism in MECHANISMS.values():
        done = next(each for each in honest(mechanism) if each.step.name == "authenticate")
        (_, (_, proof)) = done.frames
        for forged in bit_flips(proof[:-2]):
            _, error, after = attacked(done, instead(1, forged + OK))
            assert isinstance(error, CardProtocolError)
            assert after.card.session is None
