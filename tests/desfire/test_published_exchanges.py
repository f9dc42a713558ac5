"""Every published exchange, byte for byte, through the card's methods."""

from typing import Any

import pytest

from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.messaging import SecureMessaging
from tests.desfire.recorded_card import (
    Playback,
    call,
    card_of,
    frames_of,
    messaging_of,
    play,
    recording_name,
    recordings,
    shown,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("recording", recordings(), ids=recording_name)
def test_the_commands_sent_and_the_results_are_the_published_ones(recording: dict[str, Any]):
    card = card_of(recording)
    for exchange in recording["exchanges"]:
        playback = Playback(frames_of(exchange))
        assert shown(play(call(card, exchange), playback.transmit)) == exchange.get("result")
        assert playback.position == len(playback.frames)
        if exchange.get("session", ...) is None:
            assert card.session is None
        else:
            assert card.session is not None


@pytest.mark.parametrize(
    "recording",
    [recording for recording in recordings() if recording["exchanges"][0].get("session")],
    ids=recording_name,
)
def test_an_authentication_opens_the_published_session(recording: dict[str, Any]):
    card = card_of(recording)
    exchange = recording["exchanges"][0]
    play(call(card, exchange), Playback(frames_of(exchange)).transmit)
    assert card.session is not None
    assert card.session.key_number == exchange["arguments"]["key_number"]
    published = messaging_of(exchange["session"])
    assert _fingerprint(card.session.messaging) == _fingerprint(published)


def _fingerprint(messaging: SecureMessaging) -> bytes:
    """Return bytes in which every key, vector and counter of a session shows."""
    return messaging.protect(
        Command(Ins.WRITE_DATA, b"header", b"enciphered", CommunicationMode.FULL)
    ) + messaging.protect(Command(Ins.WRITE_DATA, b"header", b"signed", CommunicationMode.MAC))
