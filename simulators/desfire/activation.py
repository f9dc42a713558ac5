"""What lives from one reset to the next: selected application, session, open transaction."""

from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.desfire.authentication import Session
from simulators.desfire.chip import PICC_AID, Application, Chip
from simulators.desfire.keys import Key
from simulators.desfire.messaging import Messaging, Unprotected
from simulators.desfire.product import carried_bytes
from simulators.desfire.status import Refusal, Status
from simulators.desfire.transaction import Transaction

Random = Callable[[int], bytes]
"""Gives that many random bytes."""

KEY_SETTING_MASTER_CHANGEABLE = 0x01
KEY_SETTING_FREE_LISTING = 0x02
KEY_SETTING_FREE_CREATION = 0x04
KEY_SETTING_CHANGEABLE = 0x08


@dataclass(slots=True)
class Activation:
    """The chip in the field. Commands replace `chip` as a whole, or leave it.

    `file` is the number of the file that the commands of ISO 7816-4 are about.
    `reader_frame_bytes` is the longest frame that the reader takes (its FSD).
    """

    chip: Chip
    rng: Random
    selected: bytes = PICC_AID
    session: Session | None = None
    transaction: Transaction = field(default_factory=dict)
    file: int | None = None
    reader_frame_bytes: int = 256
    _unprotected: Unprotected = field(default_factory=Unprotected)

    @property
    def messaging(self) -> Messaging:
        """The messaging in force."""
        return self.session or self._unprotected

    @property
    def authenticated(self) -> int | None:
        """The key number of the session, None without one."""
        return self.messaging.key_number

    @property
    def at_picc(self) -> bool:
        """Whether the PICC level is selected."""
        return self.selected == PICC_AID

    @property
    def application(self) -> Application:
        """The selected application; raise Refusal at PICC level."""
        if self.at_picc:
            raise Refusal(Status.PERMISSION)
        return self.chip.applications[self.selected]

    @property
    def settings(self) -> int:
        """The key settings of the selected level."""
        return self.chip.settings if self.at_picc else self.application.settings

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of the selected level."""
        return (self.chip.master,) if self.at_picc else self.application.keys

    def key(self, number: int) -> Key:
        """Return a key of the selected level; raise Refusal if there is none of that number."""
        if number >= len(self.keys):
            raise Refusal(Status.NO_SUCH_KEY)
        return self.keys[number]

    def require_picc(self) -> None:
        """Refuse a command that exists at PICC level only."""
        if not self.at_picc:
            raise Refusal(Status.PERMISSION)

    def require_master(self) -> None:
        """Refuse unless key 0 of the selected level is authenticated."""
        if self.authenticated != 0:
            raise Refusal(Status.AUTHENTICATION)

    def require_master_unless(self, setting: int) -> None:
        """Refuse unless the key settings make the command free, or key 0 is authenticated."""
        if not self.settings & setting:
            self.require_master()

    @property
    def request_frame_bytes(self) -> int:
        """What one frame of the reader's may carry."""
        return carried_bytes(self.chip.product.frame_bytes)

    @property
    def answer_frame_bytes(self) -> int:
        """What one frame of the card's carries.

        A reader of short frames makes the card cut its answers short: libfreefare reads a real EV2
        with a buffer for 59 bytes (its issue 120).
        """
        return carried_bytes(min(self.chip.product.frame_bytes, self.reader_frame_bytes))

    def select(self, aid: bytes) -> None:
        """Select a level, which ends the session and drops an open transaction."""
        self.selected, self.session, self.transaction, self.file = aid, None, {}, None
