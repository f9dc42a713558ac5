"""The demo's world in a test: a real daemon, and hands that show it virtual cards in process."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from cardd.client import AdminClient, Event
from cardd.client.events import EventStream
from scripts.private_pcscd import PrivatePcscd
from scripts.world import World, stop
from simulators.desfire.picc import VirtualDesfire
from simulators.link import insert

EVENT_S = 25


class Desk(World):
    """A workstation with a daemon, and its administrator."""

    admin: AdminClient

    @property
    def address(self) -> str:
        """Where a virtual card is inserted."""
        return self.place.address

    def stop_daemon(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the daemon; return its exit status."""
        assert self.daemon is not None
        return stop(self.daemon, how)

    def holder(self, number: str) -> str:
        """Register a person; return the id."""
        return self.admin.add_holder(number, given_name="Camille", family_name="Martin").id

    def try_to_start(self) -> "subprocess.CompletedProcess[str]":
        """Run cardd where it is expected to refuse."""
        ended = self.run("cardd", "--config", self.configuration, expect=None)
        return subprocess.CompletedProcess([], ended.code, ended.output, ended.errors)


@contextmanager
def desk(pcscd: PrivatePcscd | None = None, level: str = "debug") -> Iterator[Desk]:
    """Run a daemon as long as the block: on this pcscd, else on the built-in reader."""
    with Desk(light=pcscd is None, pcscd=pcscd) as made:
        with made.configuration.open("a") as file:
            file.write(f'level = "{level}"\n')
        made.run("cardd-kms", "init", "--config", made.configuration)
        made.start_daemon()
        made.admin = AdminClient(made.folder / "admin.sock", language="en")
        yield made


def enrolled(desk: Desk, product: str = "ev2", number: str = "A1") -> tuple[VirtualDesfire, str]:
    """Encode a factory-fresh badge for a new holder; return it with the holder's id."""
    badge = VirtualDesfire.factory(product)
    holder = desk.holder(number)
    with insert(badge, desk.address):
        receipt = desk.admin.enrol(holder, timeout_s=20)
    assert receipt.holder is not None
    assert receipt.holder.id == holder
    return badge, holder


def wait_for(stream: EventStream, kind: str, **data: object) -> Event:
    """Return the next event of a type whose data has these members."""
    for event in stream:
        if event.type == kind and all(event.data.get(k) == v for k, v in data.items()):
            return event
    raise AssertionError(f"the stream ended before {kind}")


def on_air(badge: VirtualDesfire) -> list[bytes]:
    """Return the commands that the card itself saw: not those that its reader answered."""
    return [command for command in badge.commands if command[0] != 0xFF]
