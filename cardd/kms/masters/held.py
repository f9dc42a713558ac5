"""The masters that a token or a server holds and never gives out: what is alike in all of those."""

from collections.abc import Mapping
from typing import Protocol

from cardd.errors import Code, KmsUnavailable, Refused, StartCode, StartError
from cardd.kms.masters import sealing
from cardd.kms.masters.check_values import KCV_BYTES, KCV_MESSAGE
from cardd.kms.masters.names import MAXIMUM_GENERATION, MasterName
from cardd.kms.ports import KeyState, MasterKeys, Purpose
from cardd.secret import Secret

_MASTER_BYTES = 16


class KeyHolder(Protocol):
    """A token or a server. Thread-safe.

    Raises KmsUnavailable where it does not answer, within seconds, or has no such key; Refused
    (`not_supported`) where it cannot do what is asked.
    """

    def find(self) -> dict[MasterName, bool]:
        """Return the masters that there are, and whether each is promoted."""

    def mac(self, name: MasterName, message: bytes) -> bytes:
        """Return the AES-CMAC of a message under a master."""

    def generate(self, name: MasterName) -> None:
        """Make a random master, not promoted."""

    def import_key(self, name: MasterName, key: Secret) -> None:
        """Bring a master in, not promoted."""

    def promote(self, name: MasterName) -> None:
        """Record that a master is promoted, in one act."""

    def destroy(self, name: MasterName) -> None:
        """Destroy a master."""


class HeldMasters:
    """Implements `Masters` over a holder.

    Which masters there are is read when this is made, and again where one is asked for that was
    not there: another replica may already use a generation that was made since.
    Raises StartError (`masters_not_found`) where a purpose has no current master.
    """

    def __init__(self, holder: KeyHolder) -> None:
        self._holder = holder
        self._found: Mapping[MasterName, bool] = holder.find()
        missing = [each for each in Purpose if _current(self._found, each) is None]
        if missing:
            raise StartError(
                StartCode.MASTERS_NOT_FOUND,
                f"there is no current master for: {', '.join(missing)}; create them with "
                "`cardd-kms init`, or check that kms.masters names the right place",
            )

    def current(self, purpose: Purpose) -> int:
        """Return the generation that new badges get."""
        generation = _current(self._found, purpose)
        if generation is None:
            raise KmsUnavailable(f"there is no current {purpose} master any more")
        return generation

    def generations(self, purpose: Purpose) -> tuple[int, ...]:
        """Return the generations that can be used, oldest first."""
        return tuple(sorted(generation for of, generation in self._found if of is purpose))

    def mac(self, purpose: Purpose, generation: int, message: bytes) -> bytes:
        """Return the 16-byte AES-CMAC (NIST SP 800-38B) of a message under a master."""
        name = (purpose, generation)
        if name not in self._found:
            self._found = self._holder.find()
            if name not in self._found:
                raise KmsUnavailable(f"there is no {purpose} master of generation {generation}")
        return self._holder.mac(name, message)

    def kcv(self, purpose: Purpose, generation: int) -> bytes:
        """Return the 3-byte key check value of a master, in CMAC form."""
        return self.mac(purpose, generation, KCV_MESSAGE)[:KCV_BYTES]

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        """Encrypt and authenticate under the current master `registry`."""
        return sealing.seal(self, plaintext, associated)

    def open(self, sealed: bytes, associated: bytes) -> Secret:
        """Undo `seal`; raise KmsUnavailable where either argument was changed."""
        return sealing.open_sealed(self, sealed, associated)


class HeldMasterKeys:
    """Implements `MasterKeys` over a holder."""

    def __init__(self, holder: KeyHolder) -> None:
        self._holder = holder

    def states(self, purpose: Purpose) -> dict[int, KeyState]:
        """Return each generation that there is, oldest first, and its state."""
        found = self._holder.find()
        current = _current(found, purpose) or 0
        return {
            generation: _state(generation, current)
            for of, generation in sorted(found, key=lambda name: name[1])
            if of is purpose
        }

    def generate(self, purpose: Purpose, generation: int) -> None:
        """Make a random master where it will live; it is `next`."""
        require_new(self.states(purpose), purpose, generation)
        self._holder.generate((purpose, generation))

    def import_key(self, purpose: Purpose, generation: int, key: Secret) -> None:
        """Bring a master in; it is `next`."""
        require_master(key)
        require_new(self.states(purpose), purpose, generation)
        self._holder.import_key((purpose, generation), key)

    def promote(self, purpose: Purpose, generation: int) -> None:
        """Make a `next` master the current one."""
        require_next(self.states(purpose), purpose, generation)
        self._holder.promote((purpose, generation))

    def destroy(self, purpose: Purpose, generation: int) -> None:
        """Destroy a master that is not current."""
        require_dispensable(self.states(purpose), purpose, generation)
        self._holder.destroy((purpose, generation))


def create_masters(keys: MasterKeys) -> list[MasterName]:
    """Make a first master for each purpose that has no current one; return those that were made.

    Where an earlier attempt broke off, this goes on with it. Raises StartError (`masters_exist`)
    where none is missing.
    """
    made: list[MasterName] = []
    there = {each: keys.states(each) for each in Purpose}
    missing = [each for each in Purpose if KeyState.CURRENT not in there[each].values()]
    if not missing:
        raise StartError(
            StartCode.MASTERS_EXIST,
            "all masters are there already; new ones would make every badge useless: name another "
            "object prefix if a second key service is meant",
        )
    for purpose in missing:
        generation = max(there[purpose], default=0)
        if not generation:
            generation = 1
            keys.generate(purpose, generation)
            made.append((purpose, generation))
        keys.promote(purpose, generation)
    return made


def require_master(key: Secret) -> None:
    """Raise ValueError for what is no AES-128 key."""
    if len(key) != _MASTER_BYTES:
        raise ValueError(f"a master has {_MASTER_BYTES} bytes, not {len(key)}")


def require_new(states: Mapping[int, KeyState], purpose: Purpose, generation: int) -> None:
    """Raise Refused (`conflict`) where a generation cannot be made; ValueError outside 1 to 255."""
    if not 1 <= generation <= MAXIMUM_GENERATION:
        raise ValueError(f"a generation is 1 to {MAXIMUM_GENERATION}, not {generation}")
    if generation in states:
        raise Refused(
            Code.CONFLICT,
            f"there is a {purpose} master of generation {generation} already; it stays as it is",
        )
    current = next((g for g, state in states.items() if state is KeyState.CURRENT), 0)
    if generation < current:
        raise Refused(
            Code.CONFLICT,
            f"generation {generation} is below the current {purpose} master's, {current}; make one "
            "above it",
        )


def require_next(states: Mapping[int, KeyState], purpose: Purpose, generation: int) -> None:
    """Raise Refused where a generation cannot be promoted: `not_found`, `conflict`."""
    state = _require_known(states, purpose, generation)
    if state is not KeyState.NEXT:
        raise Refused(
            Code.CONFLICT,
            f"the {purpose} master of generation {generation} is {state}: only a next one can be "
            "promoted; make a new generation",
        )


def require_dispensable(states: Mapping[int, KeyState], purpose: Purpose, generation: int) -> None:
    """Raise Refused where a generation cannot be destroyed: `not_found`, `conflict`."""
    if _require_known(states, purpose, generation) is KeyState.CURRENT:
        raise Refused(
            Code.CONFLICT,
            f"the {purpose} master of generation {generation} is the current one; promote another "
            "first",
        )


def _require_known(states: Mapping[int, KeyState], purpose: Purpose, generation: int) -> KeyState:
    if generation not in states:
        raise Refused(Code.NOT_FOUND, f"there is no {purpose} master of generation {generation}")
    return states[generation]


def _current(found: Mapping[MasterName, bool], purpose: Purpose) -> int | None:
    promoted = (generation for (of, generation), is_ in found.items() if of is purpose and is_)
    return max(promoted, default=None)


def _state(generation: int, current: int) -> KeyState:
    if generation == current:
        return KeyState.CURRENT
    return KeyState.NEXT if generation > current else KeyState.PREVIOUS
