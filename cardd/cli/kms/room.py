"""The room of a key ceremony: people at one terminal, the operators who approve, the record."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cardd.assembly import site_of
from cardd.cli.terminal import SHOWN_S, Terminal, open_terminal
from cardd.clock import SystemClock
from cardd.config import Config
from cardd.errors import CeremonyCode, CeremonyError, StartCode, StartError
from cardd.files import open_regular
from cardd.kms import operators
from cardd.kms.audit.lines import lines
from cardd.kms.audit.recording import open_audit
from cardd.kms.masters import keystore
from cardd.kms.masters.opening import open_keys, open_master_keys
from cardd.kms.masters.slots import Passphrase, Slot
from cardd.kms.operators import Record
from cardd.kms.ports import Audit, MasterKeys, Masters, Registry
from cardd.memory import protect_memory
from cardd.secret import Secret
from cardd.store.opening import configured, open_registry
from cardd.store.sealing import MastersSealer

SOFT = "soft:"
_TRIES = 3
_CHANGED = "operators.done"


@dataclass(frozen=True, slots=True)
class Room:
    """A ceremony that is being held. `slot` opens the keystore, where the masters are in one."""

    config: Config
    terminal: Terminal
    audit: Audit
    folder: Path
    slot: Slot | None

    @contextmanager
    def masters(self, slot: Slot | None = None) -> Iterator[Masters]:
        """Open the masters, the keystore by `slot` where one is given."""
        with open_masters(self.config, slot or self.slot) as masters:
            yield masters

    @contextmanager
    def master_keys(self) -> Iterator[MasterKeys]:
        """Open the masters to change which there are."""
        with open_master_keys(self.config.kms, self.slot) as keys:
            yield keys

    @property
    def operators_path(self) -> Path:
        """Where the record of the operators is."""
        return self.folder / "operators.sealed"

    def record(self, masters: Masters) -> Record | None:
        """Return the record of the operators; errors as `operators.read`."""
        return operators.read(self.operators_path, masters, last_counter(self.folder))

    def change_operators(self, masters: Masters, record: Record, approved: tuple[str, ...]) -> None:
        """Put another record of the operators in place."""
        names = ", ".join(sorted(record.names))
        with self.acting("operators", approved, counter=record.counter, operators=names):
            operators.write(self.operators_path, masters, record)

    def approve(self, masters: Masters, *, always: bool) -> tuple[str, ...]:
        """Have two operators approve, each by their passphrase; return their names.

        Before operators are appointed nobody has to, but where `always`. Raises CeremonyError:
        `operators_missing`, `operator_twice`, `operator_refused`.
        """
        record = self.record(masters)
        if record is not None:
            return self.approve_by(record)
        if always:
            raise CeremonyError(
                CeremonyCode.OPERATORS_MISSING,
                "two operators must approve this, and there are none: `cardd-kms operator init`",
            )
        return ()

    def approve_by(self, record: Record) -> tuple[str, ...]:
        """Have two operators of a record approve; errors as `approve`."""
        names: tuple[str, ...] = ()
        for which in ("First", "Second"):
            name = self.terminal.ask(f"{which} operator, name: ")
            operators.require_two((*names, name))
            self.prove(record, name)
            names += (name,)
        return names

    @contextmanager
    def acting(self, act: str, approved: tuple[str, ...], **facts: Any) -> Iterator[None]:
        """Record what is done in a block, before and after it, and let no signal break it off."""
        with self.terminal.undisturbed():
            self.note(f"{act}.begun", approved, **facts)
            yield
            self.note(f"{act}.done", approved, **facts)

    def note(self, event: str, approved: tuple[str, ...] = (), **facts: Any) -> None:
        """Record what is done, and by whom; KmsUnavailable where it cannot."""
        self.audit.record(
            event, durable=True, approved=", ".join(approved), uid=os.getuid(), **facts
        )

    def prove(self, record: Record, name: str) -> None:
        """Ask an operator for their passphrase; CeremonyError (`operator_refused`) in the end."""
        for left in reversed(range(_TRIES)):
            typed = self.terminal.ask_secret(f"Passphrase of {name}: ")
            try:
                operators.require_passphrase(record, name, typed)
            except CeremonyError as error:
                self.note("operator.refused", name=name)
                if not left or name not in record.names:
                    raise
                self.terminal.say(f"  {error}")
            else:
                return


@contextmanager
def open_room(
    config: Config, shown_s: float = SHOWN_S, *, opening: bool = True, attended: bool = True
) -> Iterator[Room]:
    """Hold a ceremony at this terminal, which need not be one where it is not `attended`.

    The keystore's passphrase is asked for where nothing is configured that opens it, unless
    `opening` is false.

    Raises CeremonyError (`terminal_required`), StartError (`audit_*`).
    """
    protect_memory()
    folder = ceremonies_folder(config)
    with (
        open_terminal(shown_s, attended=attended) as terminal,
        open_audit(folder / "ceremonies.jsonl", SystemClock(), config.kms.replica) as audit,
    ):
        slot: Slot | None = None
        if opening and config.kms.masters.startswith(SOFT) and not is_configured(config):
            slot = Passphrase(terminal.ask_secret("Passphrase of the keystore: "))
        yield Room(config, terminal, audit, folder, slot)


@contextmanager
def open_masters(config: Config, slot: Slot | None) -> Iterator[Masters]:
    """Open the masters; `slot` opens a keystore that nothing configured is to open."""
    if slot is not None and config.kms.masters.startswith(SOFT):
        yield keystore.open_keystore(keystore_path(config), slot)
        return
    with open_keys(config.kms) as keys:
        yield keys.masters


@contextmanager
def open_rows(config: Config, masters: Masters) -> Iterator[Registry]:
    """Open the registry to read it, also while the key service runs; StartError (`registry_*`)."""
    sealer = MastersSealer(masters)
    with closing(open_registry(configured(config.kms), sealer, site_of(config))) as registry:
        yield registry


def keystore_path(config: Config) -> Path:
    """Return where the keystore is; StartError (`config_invalid`) where the masters are in none."""
    if not config.kms.masters.startswith(SOFT):
        raise StartError(
            StartCode.CONFIG_INVALID,
            f"{config.kms.masters} is no keystore: slots and shares are those of soft: keystores; "
            "what a token or a server holds is backed up by its own means, or by components",
        )
    return Path(config.kms.masters.removeprefix(SOFT))


def ceremonies_folder(config: Config) -> Path:
    """Return where the record of ceremonies and that of the operators are."""
    return config.kms.ceremonies or config.kms.audit.parent


def is_configured(config: Config) -> bool:
    """Tell whether the keystore can be opened without a person."""
    given = (
        config.kms.credential_file
        or config.kms.passphrase_file
        or config.kms.keystore_token
        or os.environ.get("CREDENTIALS_DIRECTORY")
    )
    return bool(given)


def new_passphrase(terminal: Terminal, whose: str) -> Secret:
    """Return a passphrase that was typed twice; CeremonyError where the two differ."""
    first = terminal.ask_secret(f"New passphrase {whose}: ")
    if len(first) < operators.PASSPHRASE_MINIMUM:
        raise CeremonyError(
            CeremonyCode.NOT_THE_SAME,
            f"a passphrase has at least {operators.PASSPHRASE_MINIMUM} characters; nothing was "
            "changed",
        )
    if terminal.ask_secret("The same again: ") != first:
        raise CeremonyError(
            CeremonyCode.NOT_THE_SAME, "the two passphrases differ; nothing was changed"
        )
    return first


def last_counter(folder: Path) -> int:
    """Return the counter of the newest record of operators that the audit knows; 0 for none."""
    counter = 0
    try:
        with open_regular(folder / "ceremonies.jsonl") as file:
            for line in lines(file):
                said = msgspec.json.decode(line)
                if said["event"] == _CHANGED:
                    counter = said["facts"]["counter"]
    except FileNotFoundError:
        return 0
    return counter
