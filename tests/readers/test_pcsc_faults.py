"""A real pcscd that is not there, is killed, comes back, or hangs."""

import os
import signal
import sys
import threading

import pytest

from cardd.errors import CarddError, CardError, ReaderUnavailable, StartCode, StartError
from cardd.readers.pcsc import open_resource_manager
from cardd.readers.ports import (
    CardInserted,
    CardWithdrawn,
    ReaderAdded,
    ReaderRemoved,
    SourceLost,
    SourceRestored,
)
from cardd.readers.watcher import PcscSource
from cardd.worker import Worker
from scripts.private_pcscd import PrivatePcscd
from simulators.link import insert
from tests.limits import ends_soon
from tests.readers.reader_world import ECHO, EchoCard, Events, pcsc_desk

pytestmark = [pytest.mark.pcscd, pytest.mark.faults]


def outcome_of(worker: Worker, desk: object, reader: str) -> "tuple[threading.Event, list[object]]":
    """Transmit in a worker; return an event that says it is over, and what it gave."""
    over, results = threading.Event(), []

    def job() -> None:
        connection = desk.source.connect(reader)  # type: ignore[attr-defined]
        try:
            results.append(connection.transmit(ECHO))
        except CarddError as error:
            results.append(error)
        finally:
            connection.close()
            over.set()

    worker.submit(job)
    return over, results


def test_pcscd_absent_at_the_start_is_an_event_and_its_coming_another(
    fresh_pcscd: PrivatePcscd,
) -> None:
    fresh_pcscd.kill()
    events = Events()
    source = PcscSource(open_resource_manager())
    source.start(events)
    try:
        lost = events.next()
        assert isinstance(lost, SourceLost)
        assert "pcscd" in lost.why
        assert events.quiet_for(1.0)
        assert source.turns <= 4
        with pytest.raises(ReaderUnavailable):
            source.connect(fresh_pcscd.readers[0])
        fresh_pcscd.start()
        assert events.next(6.0) == SourceRestored("pcsc")
        for reader in fresh_pcscd.readers:
            assert events.next() == ReaderAdded(reader)
    finally:
        source.stop()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_pcscd_that_ends_and_returns_loses_no_card_for_good(
    fresh_pcscd: PrivatePcscd, end: str
) -> None:
    with pcsc_desk(fresh_pcscd) as desk:
        with desk.card_seen():
            old = desk.source.connect(desk.reader)
            old.transmit(ECHO)
            idle = desk.source.connect(desk.reader)
            idle.close()  # Its context is kept, and dies with pcscd.
            getattr(fresh_pcscd, end)()
            assert desk.events.next() == CardWithdrawn(desk.reader)
            for reader in fresh_pcscd.readers:
                assert desk.events.next() == ReaderRemoved(reader)
            assert isinstance(desk.events.next(), SourceLost)
            with pytest.raises(ReaderUnavailable):
                old.transmit(ECHO)
            old.close()
        fresh_pcscd.start()
        assert desk.events.next(6.0) == SourceRestored("pcsc")
        with desk.card_seen():
            new = desk.source.connect(desk.reader)
            assert new.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
            new.close()


def test_pcscd_killed_in_the_middle_of_an_exchange_is_a_documented_error(
    fresh_pcscd: PrivatePcscd,
) -> None:
    reached, answer = threading.Event(), threading.Event()

    def slow(_: bytes) -> bytes:
        reached.set()
        answer.wait(10)
        return b"\x90\x00"

    worker = Worker("test-reader")
    worker.start()
    with pcsc_desk(fresh_pcscd) as desk:
        with desk.card_seen(EchoCard(answer=slow)):
            over, results = outcome_of(worker, desk, desk.reader)
            assert reached.wait(20)
            fresh_pcscd.kill()
            assert over.wait(20)
            answer.set()
        (error,) = results
        assert isinstance(error, ReaderUnavailable)
        desk.events.until(SourceLost)
        fresh_pcscd.start()
        desk.events.until(SourceRestored, 6.0)
        with desk.card_seen():
            over, results = outcome_of(worker, desk, desk.reader)
            assert over.wait(20)
            assert results == [b"\x01\x02\x03\x90\x00"]
    assert worker.stop(2.0)


def test_a_card_that_never_answers_holds_up_neither_the_stop_nor_the_other_reader(
    fresh_pcscd: PrivatePcscd,
) -> None:
    reached, answer = threading.Event(), threading.Event()

    def never(_: bytes) -> bytes:
        reached.set()
        answer.wait(30)
        return b"\x90\x00"

    stuck, free = Worker("stuck-reader"), Worker("free-reader")
    stuck.start()
    free.start()
    before = set(threading.enumerate())
    with pcsc_desk(fresh_pcscd) as desk, desk.card_seen(EchoCard(answer=never)):
        over, _ = outcome_of(stuck, desk, desk.reader)
        assert reached.wait(20)
        with insert(EchoCard(), fresh_pcscd.addresses[1]):
            seen = desk.events.until(CardInserted)
            assert seen.reader == fresh_pcscd.readers[1]
            other_over, results = outcome_of(free, desk, seen.reader)
            assert other_over.wait(20)
            assert results == [b"\x01\x02\x03\x90\x00"]
        assert free.stop(2.0)
        assert not stuck.stop(0.1)
        with ends_soon():
            desk.source.stop()
        ours = [t for t in set(threading.enumerate()) - before if t.name == "pcsc-watcher"]
        assert ours == []
        assert not over.is_set()
        answer.set()
        assert over.wait(20)


def test_a_card_held_by_a_stuck_exchange_is_busy_for_the_next(fresh_pcscd: PrivatePcscd) -> None:
    reached, answer = threading.Event(), threading.Event()

    def never(_: bytes) -> bytes:
        reached.set()
        answer.wait(30)
        return b"\x90\x00"

    worker = Worker("stuck-reader")
    worker.start()
    with pcsc_desk(fresh_pcscd) as desk, desk.card_seen(EchoCard(answer=never)):
        over, _ = outcome_of(worker, desk, desk.reader)
        assert reached.wait(20)
        with ends_soon(), pytest.raises(CardError):
            desk.source.connect(desk.reader)
        answer.set()
        assert over.wait(20)
    assert worker.stop(2.0)


def test_a_pcscd_that_hangs_does_not_hold_up_the_stop(fresh_pcscd: PrivatePcscd) -> None:
    with pcsc_desk(fresh_pcscd) as desk, desk.card_seen():
        desk.source.connect(desk.reader).close()  # Its context is kept.
        process = fresh_pcscd._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        with ends_soon():
            desk.source.stop()
        fresh_pcscd.kill()


def test_without_pyscard_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smartcard.scard", None)
    with pytest.raises(StartError, match=r"cardd\[pcsc\]") as caught:
        open_resource_manager()
    assert caught.value.code is StartCode.BACKEND_NOT_INSTALLED
