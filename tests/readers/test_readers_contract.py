"""What every source of readers does: PC/SC with a real pcscd, and the built-in reader."""

import threading
import time
from typing import Any

import pytest

from cardd.errors import CardBusy, CardError, CardRemoved
from cardd.readers.ports import CardInserted, CardWithdrawn
from simulators.faults import Faults
from tests.limits import SOON_S, ends_soon
from tests.readers.reader_world import ATR, ECHO, Desk, EchoCard

T1_ATR = bytes.fromhex("3B800181")


def test_a_card_that_is_shown_and_taken_away_gives_one_event_each(desk: Desk) -> None:
    with desk.card():
        assert desk.events.next() == CardInserted(desk.reader, ATR)
    assert desk.events.next() == CardWithdrawn(desk.reader)
    assert desk.events.quiet_for(0.5)


def test_a_command_reaches_the_card_and_its_answer_comes_back(desk: Desk) -> None:
    card = EchoCard()
    with desk.card_seen(card):
        connection = desk.source.connect(desk.reader)
        assert connection.atr == ATR
        assert connection.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
        assert card.commands == [ECHO]
        connection.close()


def test_an_extended_answer_passes_whole(desk: Desk) -> None:
    card = EchoCard(answer=lambda _: bytes(3000) + b"\x90\x00")
    with desk.card_seen(card):
        connection = desk.source.connect(desk.reader)
        assert connection.transmit(bytes(5)) == bytes(3000) + b"\x90\x00"
        connection.close()


def test_without_a_card_connect_says_that_there_is_none(desk: Desk) -> None:
    with pytest.raises(CardRemoved):
        desk.source.connect(desk.reader)


def test_an_unknown_reader_is_a_documented_error(desk: Desk) -> None:
    with pytest.raises(CardError):
        desk.source.connect("no such reader")


def test_a_card_torn_away_in_an_exchange_is_a_removal(desk: Desk) -> None:
    with desk.card_seen(faults=Faults(tear_after=2)):
        connection = desk.source.connect(desk.reader)
        connection.transmit(ECHO)
        with pytest.raises(CardRemoved):
            connection.transmit(ECHO)
        desk.wait_empty()
        with pytest.raises(CardRemoved):
            connection.transmit(ECHO)
        connection.close()


def test_a_card_swapped_in_a_moment_is_a_removal_and_an_insertion(desk: Desk) -> None:
    with desk.card_seen():
        old = desk.source.connect(desk.reader)
        old.transmit(ECHO)
    with desk.card(EchoCard(atr=T1_ATR)):
        assert desk.events.next() == CardWithdrawn(desk.reader)
        assert desk.events.next() == CardInserted(desk.reader, T1_ATR)
        with pytest.raises(CardRemoved):
            old.transmit(ECHO)
        old.close()
        new = desk.source.connect(desk.reader)
        assert new.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
        new.close()


def test_a_card_of_t0_alone_gets_no_le_after_data(desk: Desk) -> None:
    card = EchoCard(atr=b"\x3b\x00")
    with desk.card(card):
        desk.events.until(CardInserted)
        connection = desk.source.connect(desk.reader)
        connection.transmit(ECHO)
        connection.transmit(bytes.fromhex("80100000"))
        connection.close()
    assert card.commands[-2:] == [ECHO[:-1], bytes.fromhex("8010000000")]


def test_cards_in_a_row_alternate_with_their_removals(desk: Desk) -> None:
    for number in range(3):
        with desk.card(EchoCard(atr=bytes((0x3B, 0x01, number)))):
            assert desk.events.next() == CardInserted(desk.reader, bytes((0x3B, 0x01, number)))
        assert desk.events.next() == CardWithdrawn(desk.reader)


def test_a_reset_resets_the_card(desk: Desk) -> None:
    card = EchoCard()
    with desk.card_seen(card):
        connection = desk.source.connect(desk.reader)
        before = card.resets
        connection.reset()
        assert connection.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
        assert card.resets == before + 1
        connection.close()


def test_anothers_reset_ends_an_exchange_and_not_the_connection(desk: Desk) -> None:
    with desk.card_seen():
        ours, other = desk.source.connect(desk.reader), desk.source.connect(desk.reader)
        ours.transmit(ECHO)
        other.reset()
        with pytest.raises(CardRemoved):
            ours.transmit(ECHO)
        with ours.transaction():
            assert ours.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
        ours.close()
        other.close()


def test_two_connections_share_the_card_between_transactions(desk: Desk) -> None:
    with desk.card_seen():
        ours, other = desk.source.connect(desk.reader), desk.source.connect(desk.reader)
        for connection in (ours, other, ours, other):
            with connection.transaction():
                assert connection.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
        ours.close()
        other.close()


@pytest.mark.parametrize("attempt", ["transmit", "transaction", "reset"])
def test_what_a_transaction_shuts_out_is_busy_after_two_seconds(desk: Desk, attempt: str) -> None:
    def use(connection: Any) -> None:
        if attempt == "transmit":
            connection.transmit(ECHO)
        elif attempt == "reset":
            connection.reset()
        else:
            with connection.transaction():
                pass

    card = EchoCard()
    with desk.card_seen(card):
        ours, other = desk.source.connect(desk.reader), desk.source.connect(desk.reader)
        resets = card.resets
        with other.transaction():
            with other.transaction():
                pass  # The end of an inner one lets nobody in.
            began = time.monotonic()
            with pytest.raises(CardBusy):
                use(ours)
            assert time.monotonic() - began > 1.8
            assert (card.commands, card.resets) == ([], resets)
        use(ours)
        ours.close()
        other.close()


def test_a_transaction_waits_for_the_end_of_anothers(desk: Desk) -> None:
    began, ended = threading.Event(), threading.Event()
    order: list[str] = []

    def hold() -> None:
        other = desk.source.connect(desk.reader)
        with other.transaction():
            began.set()
            ended.wait(0.3)
            order.append("other")
        other.close()

    with desk.card_seen():
        ours = desk.source.connect(desk.reader)
        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert began.wait(20)
        with ours.transaction():
            order.append("ours")
        thread.join(5)
        assert order == ["other", "ours"]
        ours.close()


def test_a_transaction_ends_when_the_block_fails(desk: Desk) -> None:
    with desk.card_seen():
        ours, other = desk.source.connect(desk.reader), desk.source.connect(desk.reader)
        with pytest.raises(ZeroDivisionError), ours.transaction():
            _ = 1 // 0
        with other.transaction():
            other.transmit(ECHO)
        ours.close()
        other.close()


def test_a_closed_connection_is_closed_for_good(desk: Desk) -> None:
    with desk.card_seen():
        connection = desk.source.connect(desk.reader)
        connection.close()
        connection.close()
        with pytest.raises(CardRemoved):
            connection.transmit(ECHO)
        with pytest.raises(CardRemoved), connection.transaction():
            pass


def test_an_answer_without_a_status_word_is_an_error(desk: Desk) -> None:
    with desk.card_seen(EchoCard(answer=lambda _: b"\x90")):
        connection = desk.source.connect(desk.reader)
        with pytest.raises(CardError):
            connection.transmit(ECHO)
        connection.close()


@pytest.mark.parametrize("command", [b"", b"\x04", b"\x00\xa4\x04"])
def test_a_command_shorter_than_a_header_is_our_misuse(desk: Desk, command: bytes) -> None:
    card = EchoCard()
    with desk.card_seen(card):
        connection = desk.source.connect(desk.reader)
        with pytest.raises(ValueError, match="4 to"):
            connection.transmit(command)
        assert card.commands == []
        connection.close()


def test_idle_readers_cost_no_more_than_a_few_turns_a_second(desk: Desk) -> None:
    with desk.card_seen():
        before = desk.source.turns  # type: ignore[attr-defined]
        assert desk.events.quiet_for(1.5)
        assert desk.source.turns - before <= 8  # type: ignore[attr-defined]
        assert time.monotonic() - desk.source.heartbeat() < SOON_S


def test_stop_leaves_no_thread_and_tells_nothing_more(desk: Desk) -> None:
    with desk.card_seen():
        connection = desk.source.connect(desk.reader)
        connection.transmit(ECHO)
        connection.close()
        with ends_soon():
            desk.source.stop()
        told = len(desk.events.heard)
    watchers = ("pcsc-watcher", "virtual:desk")
    assert not [thread for thread in threading.enumerate() if thread.name in watchers]
    assert desk.events.quiet_for(0.5)
    assert len(desk.events.heard) == told


def test_a_listener_that_fails_does_not_end_the_watch(desk: Desk) -> None:
    keep = desk.events

    def failing(event: object) -> None:
        keep(event)  # type: ignore[arg-type]
        raise RuntimeError("a fault of the listener")

    desk.source._listener = failing  # type: ignore[attr-defined]
    for _ in range(2):
        with desk.card_seen():
            pass
        desk.wait_empty()
