"""A workstation with a daemon that believes a test IGC-Santé, and what is done with its cards."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cardd.client import AdminClient, Authentication, Cps
from scripts.private_pcscd import PrivatePcscd
from tests.e2e.daemon_world import Desk

PIN = "1234"
WRONG = "9999"
AUDIENCE = "https://dpi.test"
LIMIT_S = 25.0


class CpsDesk(Desk):
    """A workstation for CPS, and the client of whoever sits there."""

    def cps(self) -> Cps:
        """Return the one card that is in a reader."""
        (card,) = [each.card for each in self.admin.readers() if each.card_type == "cps"]
        assert card is not None
        return self.admin.cps(card)

    def begin(self, **options: object) -> Authentication:
        """Ask for a CPS."""
        options = {"methods": ["cps"], "timeout_s": 30.0, **options}
        return self.admin.start_authentication(AUDIENCE, **options)

    def until(self, started: Authentication, *states: str) -> Authentication:
        """Wait until an authentication is in one of these states."""
        seen = started
        for _ in range(10):
            if seen.state in states:
                return seen
            seen = self.admin.poll_authentication(seen.id, wait_s=LIMIT_S, state=seen.state)
        raise AssertionError(f"{seen.state} and not {states}: {seen.problem}")

    def asked(self, **options: object) -> Authentication:
        """Begin with a card that lies in the reader, until its PIN is asked for."""
        return self.until(self.begin(**options), "pin_required")

    def give(self, asked: Authentication, pin: str | None, **how: bool) -> Authentication:
        """Give a PIN."""
        assert asked.pin is not None
        return self.admin.give_pin(asked.id, asked.pin.card, pin, **how)


@contextmanager
def cps_desk(
    pki: Path, pcscd: PrivatePcscd | None = None, *, changes: tuple[tuple[str, str], ...] = ()
) -> Iterator[CpsDesk]:
    """Run a daemon on this pcscd, else on the built-in reader; `changes` are of its file."""
    with CpsDesk(light=pcscd is None, pcscd=pcscd) as made:
        text = made.configuration.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        made.configuration.write_text(text)
        shutil.copytree(pki, made.folder / "pki")
        made.run("cardd-kms", "init", "--config", made.configuration)
        made.start_daemon()
        made.admin = AdminClient(made.folder / "admin.sock", language="en")
        yield made
