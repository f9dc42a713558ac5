"""How many commands a CPS login takes, of cardd and of OpenSC: docs/performance.md has these."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.private_pcscd import PrivatePcscd
from simulators.cps import VirtualCps
from simulators.cps.chipdoc import VirtualCps4
from simulators.issuing import issue_cps
from simulators.link import insert
from tests.e2e.conftest import Issued
from tests.e2e.cps_world import PIN, CpsDesk, cps_desk
from tests.e2e.daemon_world import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

GET_RESPONSE = 0xC0
OPENSC_MODULE = next(Path("/usr/lib").glob("*/opensc-pkcs11.so"), Path("opensc-pkcs11.so"))
LOGIN = 6
KNOWN_CARD = 7
FIRST_CARD = 28
CPS4 = 10
OPENSC = 101


@pytest.fixture(scope="module")
def desk(_pcscd: PrivatePcscd, issued: Issued) -> Iterator[CpsDesk]:
    _pcscd.start()
    with cps_desk(issued.folder, _pcscd) as made:
        register(made, issued.card())
        yield made


def register(desk: CpsDesk, card: VirtualCps | VirtualCps4, **data: str) -> None:
    """Register the person whom a card names."""
    with desk.admin.events(timeout_s=20) as events:
        next(events)
        with insert(card, desk.address):
            seen = wait_for(events, "card.identified", **data)
        wait_for(events, "card.removed")
    desk.admin.add_holder("1001", national_ids=[seen.data["identity"]["SubjectNameID"]])


def sent(card: VirtualCps | VirtualCps4, since: int = 0) -> int:
    """Count what a driver sent: not what fetches the rest of an answer (T=0)."""
    return sum(command[1] != GET_RESPONSE for command in card.commands[since:])


def counted(desk: CpsDesk, card: VirtualCps) -> tuple[int, int]:
    """Show a card and give its PIN; return the commands before the PIN, and with it."""
    with desk.admin.events(timeout_s=20) as events:
        next(events)
        started = desk.begin()
        with insert(card, desk.address):
            asked = desk.until(started, "pin_required")
            before, mark = sent(card), len(card.commands)
            assert desk.give(asked, PIN).state == "succeeded"
            login = sent(card, mark)
        wait_for(events, "card.removed")
    return before, login


def test_a_login_on_a_known_card_takes_six_commands(desk: CpsDesk, issued: Issued) -> None:
    counted(desk, issued.card())
    assert counted(desk, issued.card()) == (KNOWN_CARD, LOGIN)


def test_a_card_that_never_logged_in_is_read_whole_until_it_does(issued: Issued) -> None:
    # On the built-in reader: on pcscd, the daemon of the other tests would read the card too.
    with cps_desk(issued.folder) as fresh:
        register(fresh, issued.card())
        assert counted(fresh, issued.card()) == (FIRST_CARD, LOGIN)
        assert counted(fresh, issued.card()) == (KNOWN_CARD, LOGIN)


def test_opensc_takes_more_for_the_same_signature(
    desk: CpsDesk, issued: Issued, tmp_path: Path
) -> None:
    card = issued.card()
    (tmp_path / "data").write_bytes(b"x" * 51)
    with desk.admin.events(timeout_s=20) as events:
        next(events)
        with insert(card, desk.address):
            wait_for(events, "card.identified")
            mark = len(card.commands)
            subprocess.run(
                ["pkcs11-tool", "--module", str(OPENSC_MODULE), "--login", "--pin", PIN, "--sign",
                 "--mechanism", "RSA-PKCS", "--id", "e828bd080f8025000001ff001002",
                 "--input-file", str(tmp_path / "data"), "--output-file", str(tmp_path / "out")],
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip
            opensc = sent(card, mark)
        wait_for(events, "card.removed")
    # Another version of OpenSC may take some more or less.
    assert opensc > OPENSC / 2 > FIRST_CARD + LOGIN


def test_a_cps4_takes_ten(issued: Issued) -> None:
    card = issue_cps("cps4", "Camille Martin", issued.pki, None)
    with cps_desk(issued.folder) as fresh, fresh.admin.events(timeout_s=20) as events:
        next(events)
        register(fresh, card, family="cps4")
        wait_for(events, "card.removed")
        started = fresh.begin()
        with insert(card, fresh.address):
            asked = fresh.until(started, "pin_required")
            mark = len(card.commands)
            done = fresh.give(asked, PIN)
            assert done.state == "succeeded"
            assert done.result.acr == "urn:cardd:acr:strong"
            assert sent(card, mark) == CPS4
        wait_for(events, "card.removed")
