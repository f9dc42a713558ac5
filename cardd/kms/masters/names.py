"""How a token or a server names the masters: `cardd/picc/2`, and `cardd/picc/3/next`.

The state of a master is part of its name, so that it lives and is backed up with the key itself
and no second record can contradict it. Promotion takes the `/next` away: one change of one object,
which happens or does not, whatever is cut when. The current master is the promoted one of the
highest generation, and those below it are the previous ones.
"""

import re
from dataclasses import dataclass

from cardd.kms.ports import Purpose

MAXIMUM_GENERATION = 255  # it is the version of a badge's key, one byte

MasterName = tuple[Purpose, int]
"""A purpose and a generation."""

_FORM = re.compile(r"(?P<purpose>[a-z-]+)/(?P<generation>[1-9][0-9]{0,2})(?P<next>/next)?")


@dataclass(frozen=True, slots=True)
class Names:
    """The names that begin with a prefix, one of which each key service has."""

    prefix: str

    def master(self, name: MasterName, *, promoted: bool) -> str:
        """Return what a master is called."""
        return f"{self.identifier(name)}{'' if promoted else '/next'}"

    def identifier(self, name: MasterName) -> str:
        """Return what a master is called once it is promoted: its lasting name."""
        purpose, generation = name
        return f"{self.prefix}/{purpose}/{generation}"

    def parse(self, text: str) -> tuple[MasterName, bool] | None:
        """Return which master a name means and whether it is promoted; None for any other name."""
        prefix = f"{self.prefix}/"
        match = _FORM.fullmatch(text.removeprefix(prefix)) if text.startswith(prefix) else None
        if match is None or match["purpose"] not in {each.value for each in Purpose}:
            return None
        generation = int(match["generation"])
        if generation > MAXIMUM_GENERATION:
            return None
        return (Purpose(match["purpose"]), generation), match["next"] is None

    @property
    def assertion_key(self) -> str:
        """What the key that signs assertions is called."""
        return f"{self.prefix}/assertion/1"
