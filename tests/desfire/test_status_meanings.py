"""An error says what its status means in the command that it answers."""

import pytest

from cardd.desfire.applications import ApplicationSettings, KeySettings
from cardd.desfire.card import DesfireCard
from cardd.desfire.command import CommunicationMode, Ins
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.desfire.meanings import meaning, status_error
from cardd.desfire.status import Status
from cardd.errors import CardStatusError
from tests.desfire.recorded_card import play, unwrapped

pytestmark = pytest.mark.unit

PLAIN = CommunicationMode.PLAIN


def read(card: DesfireCard):
    return card.read_data(1, 0, 1, PLAIN)


def create(card: DesfireCard):
    return card.create_application(1, ApplicationSettings(KeySettings(), 2))


def authenticate(card: DesfireCard):
    return card.authenticate_iso(0, DesfireKey.zero(KeyType.TDEA2))


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (create, Status.PERMISSION_DENIED, "with the PICC selected"),
        (read, Status.PERMISSION_DENIED, "let nobody read it"),
        (create, Status.AUTHENTICATION_ERROR, "needs the PICC's master key"),
        (read, Status.AUTHENTICATION_ERROR, "none of the keys that may read"),
        (authenticate, Status.AUTHENTICATION_ERROR, "another key under that number"),
        (read, Status.BOUNDARY_ERROR, "file ends before"),
        (create, Status.COUNT_ERROR, "as many applications"),
        (create, Status.DUPLICATE_ERROR, "AID, ISO identifier or DF name"),
        (read, Status.FILE_NOT_FOUND, "no file of that number"),
    ],
)
def test_one_status_means_another_thing_in_another_command(command, status: Status, said: str):
    with pytest.raises(CardStatusError) as refusal:
        play(command(DesfireCard()), lambda _: unwrapped(f"{status:02X}"))
    text = str(refusal.value)
    assert said in text
    assert status.name in text
    assert f"{status.word:04X}" in text
    assert refusal.value.status == status.word
    assert refusal.value.facts["name"] == status.name


@pytest.mark.parametrize(
    ("ins", "said"),
    [
        (Ins.CREDIT, "exceed the file's upper limit"),
        (Ins.DEBIT, "below the file's lower limit"),
        (Ins.LIMITED_CREDIT, "last transaction debited"),
        (Ins.WRITE_RECORD, "the file is full"),
        (Ins.READ_RECORDS, "so many records"),
        (Ins.READ_DATA, "the file ends"),
    ],
)
def test_a_boundary_is_that_of_the_command(ins: Ins, said: str):
    assert said in meaning(ins, Status.BOUNDARY_ERROR.word)


def test_every_status_means_something_in_every_command():
    for ins in Ins:
        for status in Status:
            if status not in (Status.OPERATION_OK, Status.ADDITIONAL_FRAME):
                assert "no data sheet" not in meaning(ins, status.word), (ins, status)


@pytest.mark.parametrize("word", [0x9142, 0x91FF, 0x9101])
def test_a_status_of_no_data_sheet_is_said_to_be_one(word: int):
    error = status_error(Ins.FREE_MEM, word)
    assert "no data sheet" in str(error)
    assert error.facts == {"status": f"{word:04X}", "command": "FREE_MEM", "name": f"{word:04X}"}


def test_a_status_of_iso_7816_says_that_nothing_took_the_wrapping():
    assert "wrapped" in str(status_error(Ins.GET_VERSION, 0x6E00))
