"""What lives from one reset to the next: the application in hand, the current file, the PIN."""

from dataclasses import dataclass, field
from enum import Enum

from simulators.cps.chipdoc.chip import MF, PIN_REFERENCE, Access, Chip
from simulators.cps.chipdoc.status import Refusal, Status


class Application(Enum):
    """The applications of the card, by their AIDs."""

    CHIPDOC = bytes.fromhex("8025000001FF0100")
    CPS2TER = bytes.fromhex("8025000001FF0002")
    SECURITY_DOMAIN = bytes.fromhex("A0000001510000")


@dataclass(frozen=True, slots=True)
class Environment:
    """What MANAGE SECURITY ENVIRONMENT has set: an operation, its algorithm and key."""

    template: int
    algorithm: int
    key: int


@dataclass(slots=True)
class Session:
    """The card under power. Commands replace `chip` as a whole, or leave it.

    `taken`: the CPS2ter application has been used, and gives the card back only after a selection
    of the security domain and a new one of its own.
    """

    chip: Chip
    application: Application | None = None
    taken: bool = False
    directory: bytes = MF
    file: bytes | None = None
    verified: set[int] = field(default_factory=set)
    may_set_pin: bool = False
    environment: Environment | None = None

    def leave(self) -> None:
        """Forget the current file and every right, as another selection of an application does."""
        self.directory, self.file = MF, None
        self.verified.clear()
        self.may_set_pin = False
        self.environment = None

    def require(self, access: Access) -> None:
        """Refuse what a file's access condition does not allow now."""
        if access is Access.NEVER or (access is Access.PIN and PIN_REFERENCE not in self.verified):
            raise Refusal(Status.SECURITY_NOT_SATISFIED)
