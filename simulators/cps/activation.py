"""What lives from one reset to the next: what is selected, verified and set up."""

from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.cps import layout
from simulators.cps.chip import Chip, ElementaryFile, Face, PrivateKey
from simulators.cps.status import Refusal, Status

Random = Callable[[int], bytes]
"""Gives that many random bytes."""


@dataclass(slots=True)
class Activation:
    """A powered chip. Commands replace `chip` as a whole, or leave it.

    `environment` keeps the control reference template last set under each tag; `digest` what
    PSO HASH has left for PSO COMPUTE DIGITAL SIGNATURE.
    """

    chip: Chip
    face: Face
    folder: bytes = layout.MF
    file: bytes | None = None
    verified: set[int] = field(default_factory=set)
    environment: dict[int, dict[int, int]] = field(default_factory=dict)
    digest: bytes | None = None

    @property
    def current(self) -> ElementaryFile:
        """The selected file; raise Refusal where none is."""
        if self.file is None:
            raise Refusal(Status.NO_FILE_SELECTED)
        return self.chip.files[self.file]

    def require(self, rule: int) -> None:
        """Refuse unless a security condition byte is met (IAS-ECC: SE x names the code)."""
        if rule == layout.ALWAYS:
            return
        code = layout.SECURITY_ENVIRONMENTS.get(rule & 0x0F)
        if rule & 0xF0 != 0x10 or code not in self.verified:
            raise Refusal(Status.SECURITY)

    def key(self, reference: int) -> PrivateKey:
        """Return a key of the selected folder; raise Refusal. `reference` has the local bit."""
        key = self.chip.keys.get((self.folder, reference & ~layout.LOCAL))
        if key is None or not reference & layout.LOCAL:
            raise Refusal(Status.REFERENCE_NOT_FOUND)
        return key

    def select_folder(self, path: bytes) -> None:
        """Select a folder; its keys' environment is gone with the one before."""
        if path != self.folder:
            self.environment.clear()
            self.digest = None
        self.folder, self.file = path, None

    def select_file(self, path: bytes) -> None:
        """Select a file, and the folder it is in."""
        self.select_folder(path[:-2])
        self.file = path
