"""What every part of the key service stands on, gathered once."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cardd.badges.model import Scheme
from cardd.clock import Clock
from cardd.config import Config
from cardd.kms.badge_keys import KeySource
from cardd.kms.challenges import Challenges
from cardd.kms.handles import Handles
from cardd.kms.limits import BadgeLimits, Repeats
from cardd.kms.notices import Notices
from cardd.kms.ports import AssertionSigner, Audit, CardTrust, Masters, Registry


@dataclass(frozen=True, slots=True)
class Core:
    """The collaborators of the key service, as the composition root made them.

    `troubles` are sentences on what does not work, and stops no badge.
    """

    config: Config
    masters: Masters
    signer: AssertionSigner
    registry: Registry
    audit: Audit
    clock: Clock
    keys: KeySource
    handles: Handles
    notices: Notices
    challenges: Challenges
    trust: CardTrust
    limits: BadgeLimits = field(default_factory=BadgeLimits)
    repeats: Repeats = field(default_factory=Repeats)
    troubles: Callable[[], tuple[str, ...]] = tuple

    @property
    def minimum_scheme(self) -> Scheme:
        """The weakest scheme that the site takes."""
        return Scheme(self.config.badge.minimum_scheme)

    def now(self) -> int:
        """Return the KMS's time in whole Unix seconds; every decision here uses it."""
        return int(self.clock.now())
