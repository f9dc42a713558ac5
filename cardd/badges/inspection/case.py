"""What the rules look at: all that is known of one card."""

from dataclasses import dataclass

from cardd.badges.inspection.facts import ApplicationFacts, BadgeFacts, CardFacts, RegistryFacts
from cardd.badges.model import Scheme


@dataclass(frozen=True, slots=True)
class Policy:
    """What the site asks of a badge; `aid` as people print it."""

    aid: str
    minimum_scheme: Scheme


@dataclass(frozen=True, slots=True)
class Case:
    """The facts of one card.

    `registry` is None where it is no badge of ours, `badge` also where it was not read through the
    key service. `is_unknown` says that the key service was asked, and does not know the badge.
    """

    card: CardFacts
    policy: Policy
    registry: RegistryFacts | None = None
    badge: BadgeFacts | None = None
    is_unknown: bool = False

    @property
    def levels(self) -> tuple[ApplicationFacts, ...]:
        """Return the PICC's level and the applications, each as the one who saw most told it."""
        seen = {level.aid: level for level in (self.card.picc, *self.card.applications)}
        if self.badge is not None:
            for level in (self.badge.picc, self.badge.application):
                if level is not None:
                    seen[level.aid] = _joined(level, seen.get(level.aid))
        return tuple(seen.values())

    @property
    def listed(self) -> tuple[str, ...]:
        """Return all applications that are known to be there."""
        if self.badge is not None and self.badge.listed is not None:
            return self.badge.listed
        listed = self.card.listed or ()
        found = (each.aid for each in self.card.applications)
        return (*listed, *(aid for aid in found if aid not in listed))


def _joined(level: ApplicationFacts, other: ApplicationFacts | None) -> ApplicationFacts:
    """Return what was read under a key, with the default keys that were found without one."""
    if other is None:
        return level
    return ApplicationFacts(
        aid=level.aid,
        df_name=other.df_name,
        iso_file_id=other.iso_file_id,
        settings=level.settings,
        key_count=level.key_count,
        key_type=level.key_type,
        key_versions=level.key_versions,
        files=level.files,
        default_keys=other.default_keys,
    )
