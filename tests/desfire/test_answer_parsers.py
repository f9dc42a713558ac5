"""Every parser of what a card answers: a result or a documented error, and an end, for any bytes.

Two cards answer. One has no session, so that its bytes reach the parsers as they are. The other
knows the key: its answers are well protected, and what they say is not.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.desfire import inspection, originality
from cardd.desfire.applications import ApplicationSettings, KeySettings
from cardd.desfire.authentication import AuthenticationScheme
from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Channel
from cardd.desfire.command import CommunicationMode
from cardd.desfire.files import FREE, AccessRights, DataFileSettings
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.iso7816.exchange import Exchange
from simulators.desfire import interpreter
from tests.desfire.attacked_wire import MECHANISMS, REFUSALS, Done, honest
from tests.desfire.recorded_card import play
from tests.examples import examples

pytestmark = pytest.mark.unit

MOST_FRAMES = 600
"""More than the longest of these answers takes, 256 applications with their names."""

ARGUMENTS: dict[str, Any] = {
    "access": AccessRights(FREE, FREE, FREE, FREE),
    "aid": 0xF51234,
    "amount": 5,
    "ats": bytes.fromhex("067577810280"),
    "count": 2,
    "data": b"data",
    "df_name": b"name",
    "first": 0,
    "iso_file_id": 0x1234,
    "key": DesfireKey.zero(KeyType.AES),
    "key_number": 0,
    "length": 40,
    "mode": CommunicationMode.PLAIN,
    "new_key": DesfireKey.zero(KeyType.AES),
    "number": 1,
    "offset": 0,
    "record": 0,
    "record_bytes": 5,
    "scheme": AuthenticationScheme.EV2_FIRST,
}
OF_ONE_METHOD: dict[str, dict[str, Any]] = {
    "authenticate_iso": {"key": DesfireKey.zero(KeyType.TDEA3)},
    "authenticate_legacy": {"key": DesfireKey.zero(KeyType.TDEA2)},
    "change_key_settings": {"settings": KeySettings()},
    "create_application": {"settings": ApplicationSettings(KeySettings(), 2)},
    "create_file": {"settings": DataFileSettings(CommunicationMode.PLAIN, ARGUMENTS["access"], 32)},
    "set_picc_configuration": {"random_uid_for_ever": True},
}
NEED_A_SESSION = {
    "authenticate_ev2_non_first",
    "authenticate_lrp_non_first",
    "change_file_settings",
    "change_key",
    "change_key_settings",
    "get_card_uid",
    "set_ats",
    "set_default_key",
    "set_picc_configuration",
}


def methods() -> list[str]:
    """Return the commands of the card layer, and not what they are made of."""
    every = {name for name, _ in inspect.getmembers(DesfireCard, inspect.isfunction)}
    made_of = {name for name, _ in inspect.getmembers(Channel, inspect.isfunction)}
    return sorted(name for name in every - made_of if not name.startswith("_"))


def call(card: DesfireCard, name: str) -> Exchange[Any]:
    """Call a method with arguments by their names; a new name is to be added above."""
    given = OF_ONE_METHOD.get(name, {})
    method = getattr(card, name)
    for each in inspect.signature(method).parameters.values():
        if each.default is inspect.Parameter.empty and each.name not in given:
            given = {**given, each.name: ARGUMENTS[each.name]}
    return method(**given)


def parsers() -> dict[str, Callable[[], Exchange[Any]]]:
    """Return whatever speaks to a card that nobody is authenticated to."""
    found: dict[str, Callable[[], Exchange[Any]]] = {
        name: lambda name=name: call(selected_card(), name)
        for name in methods()
        if name not in NEED_A_SESSION
    }
    found["inspect"] = lambda: inspection.inspect(also=(0xF51234,), try_default_keys=True)
    return found


def selected_card() -> DesfireCard:
    card = DesfireCard()
    card.selected = 0xF51234
    return card


def test_what_is_said_to_need_a_session_needs_one() -> None:
    for name in NEED_A_SESSION:
        with pytest.raises(RuntimeError):
            next(call(selected_card(), name))


# Well-formed answers, frame by frame: what chance would not come near.
VERSION = ["04010112001A05", "04010102011A05", "04DE5F1EACC040BA53A60D201826"]
SHAPES: list[list[str]] = [
    [""],
    VERSION,
    [*VERSION[:2], "00" * 7 + "BA53A60D201826"],
    [*VERSION[:2], "000A" + "04DE5F1EACC040112233" + "BA53A60D201826"],
    ["0F81"],
    ["0B4E"],
    ["3412F5 563412"],
    ["01" * 57, "02" * 30],
    ["3412F5 3412 A000000001", "563412 7856"],
    ["000102030405"],
    ["00 00 1100 500000"],
    ["01 03 EEEE 200000"],
    ["02 01 1100 00000080 FFFFFF7F 00000000 03"],
    ["03 00 1100 080000 040000 020000"],
    ["04 03 1100 080000 040000 040000"],
    ["00 40 00E0 000100 C1 F121 200000 430000 430000"],
    ["00 80 1100 500000 02 1234 5678"],
    ["05 00 1100 02 01"],
    ["04DE5F1EACC040"],
    ["0A0004DE5F1EACC040112233"],
    ["01"],
    ["001000"],
    ["FFFFFF7F"],
    ["AB" * 40],
    ["AB" * 10],
    ["11" * 56],
    ["11" * 16],
    ["11" * 32],
]
LEADS = st.sampled_from([[bytes.fromhex(frame) for frame in shape] for shape in SHAPES])
ODD_BYTES = st.sampled_from([0x00, 0x01, 0x0F, 0x7F, 0x80, 0xAF, 0xE0, 0xF0, 0xFF])


@st.composite
def mutated(draw: st.DrawFn, lead: bytes) -> bytes:
    """Return an answer with some of it changed, left out, repeated or put in."""
    answer = bytearray(lead)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(answer)))
        match draw(st.integers(0, 4)):
            case 0 if at < len(answer):
                answer[at] ^= 1 << draw(st.integers(0, 7))
            case 1 if at < len(answer):
                answer[at] = draw(ODD_BYTES)
            case 2:
                del answer[at : at + draw(st.integers(1, 16))]
            case 3:
                answer[at:at] = answer[at : at + draw(st.integers(1, 40))]
            case _:
                answer[at:at] = draw(st.binary(max_size=20))
    return bytes(answer[:256])


@st.composite
def cards(draw: st.DrawFn) -> Iterator[bytes]:
    """Return the answers of a card: a well-formed one, more or less; and how it goes on."""
    frames = [draw(mutated(frame)) for frame in draw(LEADS)]
    if draw(st.booleans()):
        frames = [draw(mutated(b"".join(frames)[:256]))]
    if draw(st.booleans()):
        frames = [frame for pair in pairwise([*frames, b""]) for frame in pair]
    statuses = [*([b"\x91\xaf"] * (len(frames) - 1)), b"\x91\x00"]
    if draw(st.integers(0, 7)) == 0:
        statuses = [draw(st.sampled_from(STATUSES)) for _ in frames]
    answers = [frame + status for frame, status in zip(frames, statuses, strict=True)]
    repeated = draw(st.integers(0, 3))
    if not repeated:
        answers.append(draw(st.binary(max_size=258)))
    return answers, draw(st.sampled_from(ENDINGS))


STATUSES = [
    b"\x91\x00",
    b"\x91\xaf",
    b"\x90\x00",
    b"\x91\x90",
    b"\x91\xae",
    b"\x6d\x00",
    b"\x63\x00",
]
ENDINGS = [
    b"\x91\x00",
    b"\x91\xaf",
    b"\x00\x91\xaf",
    bytes(16) + b"\x91\xaf",
    bytes(256) + b"\x91\xaf",
]
PARSERS = parsers()


@pytest.mark.fuzz
@examples(800)
@given(name=st.sampled_from(sorted(PARSERS)), card=cards())
def test_a_card_in_clear_is_understood_or_refused(
    name: str, card: tuple[list[bytes], bytes]
) -> None:
    first, for_ever = card
    remaining, sent = iter(first), 0

    def transmit(_: bytes) -> bytes:
        nonlocal sent
        sent += 1
        assert sent < MOST_FRAMES, "the exchange does not end"
        return next(remaining, for_ever)

    try:
        play(PARSERS[name](), transmit)
    except REFUSALS:
        return


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 57, 255, 256])
@pytest.mark.parametrize("name", sorted(PARSERS))
def test_a_card_that_chains_for_ever_is_refused(name: str, size: int) -> None:
    sent = 0

    def transmit(_: bytes) -> bytes:
        nonlocal sent
        sent += 1
        assert sent < MOST_FRAMES, "the exchange does not end"
        return bytes(size) + b"\x91\xaf"

    with pytest.raises(REFUSALS):
        play(PARSERS[name](), transmit)


STEPS = [done for name in ("D40 2TDEA", "EV1 AES", "EV2") for done in honest(MECHANISMS[name])]


@pytest.mark.fuzz
@examples(350)
@given(done=st.sampled_from(STEPS), data=st.data())
def test_a_card_that_knows_the_key_and_says_odd_things_is_understood_or_refused(
    done: Done, data: st.DataObject
) -> None:
    moment = done.before.copy()
    spoken: list[bytes] = []

    def saying(handler: Callable[..., bytes]) -> Callable[..., bytes]:
        def answer(*arguments: Any) -> bytes:
            true = handler(*arguments)
            lead = data.draw(st.one_of(st.just(true), LEADS.map(b"".join)))
            spoken.append(data.draw(mutated(lead[:256])))
            return spoken[-1]

        return answer

    odd = {
        code: replace(command, handler=saying(command.handler))
        for code, command in interpreter.COMMANDS.items()
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(interpreter, "COMMANDS", odd)
        try:
            result = play(done.step.run(moment.card), moment.virtual.transmit)
        except REFUSALS:
            assert moment.card.session is None
            return
    if isinstance(result, bytes) and spoken:
        # A CRC and zeros after it do not tell how long the data is: D40's CRC of data and of one
        # byte more, which is the CRC's own, can be the same cryptogram.
        assert result.startswith(spoken[-1]) or spoken[-1].startswith(result)


@pytest.mark.fuzz
@examples(150)
@given(uid=st.binary(max_size=12), signature=st.binary(max_size=60))
def test_no_made_up_signature_is_anybodys(uid: bytes, signature: bytes) -> None:
    try:
        assert originality.verify(uid, signature) is None
    except ValueError:
        assert len(signature) != originality.SIGNATURE_BYTES
