"""The lives of the masters in a keystore file. Each act replaces the file as a whole."""

from collections.abc import Sequence
from pathlib import Path

from cardd.errors import Code, Refused
from cardd.kms.masters import envelope as form
from cardd.kms.masters.held import (
    require_dispensable,
    require_master,
    require_new,
    require_next,
)
from cardd.kms.masters.keystore import Change, new_secret, open_envelope, rewriting
from cardd.kms.masters.slots import Slot
from cardd.kms.ports import KeyState, Purpose
from cardd.secret import Secret


class SoftMasterKeys:
    """Implements `MasterKeys` on the keystore at a path, which `slot` opens."""

    def __init__(self, path: Path, slot: Slot) -> None:
        self._path = path
        self._slot = slot

    def states(self, purpose: Purpose) -> dict[int, KeyState]:
        """Return each generation that there is, oldest first, and its state."""
        _, keys = open_envelope(self._path, self._slot)
        return _states(keys, purpose)

    def generate(self, purpose: Purpose, generation: int) -> None:
        """Make a random master; it is `next`."""
        self._add(purpose, generation, new_secret(purpose.value))

    def import_key(self, purpose: Purpose, generation: int, key: Secret) -> None:
        """Bring a master in; it is `next`."""
        require_master(key)
        self._add(purpose, generation, key)

    def promote(self, purpose: Purpose, generation: int) -> None:
        """Make a `next` master the current one; the one that was is now `previous`."""
        with rewriting(self._path, self._slot) as change:
            require_next(_states(change.keys, purpose), purpose, generation)
            _promote(change, purpose, generation)

    def destroy(self, purpose: Purpose, generation: int) -> None:
        """Destroy a master that is not current. Copies of the file from before still have it."""
        with rewriting(self._path, self._slot) as change:
            require_dispensable(_states(change.keys, purpose), purpose, generation)
            change.keys = {
                entry: key
                for entry, key in change.keys.items()
                if (entry.purpose, entry.generation) != (purpose, generation)
            }

    def _add(self, purpose: Purpose, generation: int, key: Secret) -> None:
        with rewriting(self._path, self._slot) as change:
            require_new(_states(change.keys, purpose), purpose, generation)
            _add(change, purpose, generation, key)


def add_generation(path: Path, slot: Slot, purposes: Sequence[Purpose]) -> int:
    """Give purposes a new random master each, of one generation, the current one from now on.

    Returns that generation. All of them change in one act. Raises Refused (`conflict`) where the
    keystore has room for no more, and StartError as `open_keystore`.
    """
    with rewriting(path, slot) as change:
        mine = [entry.generation for entry in change.keys if entry.purpose in purposes]
        generation = 1 + max(mine)
        for purpose in purposes:
            _add(change, purpose, generation, new_secret(purpose.value))
            _promote(change, purpose, generation)
    return generation


def _add(change: Change, purpose: Purpose, generation: int, key: Secret) -> None:
    if generation > form.MAXIMUM_GENERATION or len(change.keys) >= form.MAXIMUM_KEYS:
        raise Refused(
            Code.CONFLICT,
            f"the keystore holds {len(change.keys)} keys and has no room for generation "
            f"{generation}; it holds {form.MAXIMUM_KEYS} keys at most, of generations up to "
            f"{form.MAXIMUM_GENERATION}",
        )
    identity, kek = change.envelope.id, change.kek
    entry = form.new_key(identity, kek, purpose.value, key, generation=generation, state="next")
    change.keys = {**change.keys, entry: key}


def _promote(change: Change, purpose: Purpose, generation: int) -> None:
    changed = {}
    for entry, key in change.keys.items():
        state = entry.state
        if entry.purpose == purpose and entry.generation <= generation:
            state = "current" if entry.generation == generation else "previous"
        if state != entry.state:
            entry = form.restated_key(change.envelope.id, change.kek, entry, key, state)  # noqa: PLW2901
        changed[entry] = key
    change.keys = changed


def _states(keys: dict[form.WrappedKey, Secret], purpose: Purpose) -> dict[int, KeyState]:
    mine = [entry for entry in keys if entry.purpose == purpose]
    return {e.generation: KeyState(e.state) for e in sorted(mine, key=lambda e: e.generation)}
