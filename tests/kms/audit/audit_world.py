"""An audit file with checkpoints and a witness, and an attacker who computes hashes himself."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cardd.errors import StartCode, StartError
from cardd.kms.audit.checkpointing import Checkpointer, NoWitness, Witness
from cardd.kms.audit.checkpoints import CheckpointKeys
from cardd.kms.audit.delivery import Delivery
from cardd.kms.audit.recording import AuditFile, open_audit
from cardd.kms.audit.verification import Report, verify
from cardd.kms.audit.witness_file import WitnessFile
from cardd.kms.signer import EcdsaSigner
from cardd.secret import Secret
from tests.limits import SOON_S

NEVER_S = 3600.0
_TURN_S = 0.01


class FixedClock:
    def now(self) -> float:
        return 1_800_000_000.25


def new_signer() -> EcdsaSigner:
    key = generate_private_key(SECP256R1())
    form = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return EcdsaSigner(Secret(key.private_bytes(*form)))


class Scene:
    """A replica's audit file and its witness's file, in a folder."""

    def __init__(self, folder: Path, replica: str = "kms-1") -> None:
        self.path = folder / f"{replica}.jsonl"
        self.witness = folder / f"{replica}.witness"
        self.replica = replica
        self.signer = new_signer()

    @property
    def keys(self) -> CheckpointKeys:
        return CheckpointKeys(self.signer.jwks())

    @contextmanager
    def opened(self, *, every: int = 10, witness: Witness | None = None) -> Iterator[AuditFile]:
        with (
            open_audit(self.path, FixedClock(), self.replica) as audit,
            Checkpointer(
                audit,
                self.signer,
                FixedClock(),
                witness=witness or NoWitness(),
                every_lines=every,
                every_s=NEVER_S,
            ),
        ):
            yield audit

    def run(self, taps: int, *, witnessed: bool = True) -> None:
        """Start, record taps, stop: a checkpoint at each end."""
        if not witnessed:
            self._tap(taps, None)
            return
        with Delivery("w", WitnessFile(self.witness)) as delivery:
            self._tap(taps, delivery)

    def _tap(self, taps: int, witness: Witness | None) -> None:
        with self.opened(every=10_000, witness=witness) as audit:
            for number in range(taps):
                audit.record("tap", badge=f"badge {number}")

    def report(self, *, witness: bool = True) -> Report:
        return verify(
            self.path,
            keys=self.keys,
            replica=self.replica,
            witness=self.witness if witness else None,
        )

    def finding(self, *, witness: bool = False) -> tuple[str, int | None]:
        """Return what is found, and in which line."""
        error = self.refusal(witness=witness)
        return error.facts["finding"], error.facts["line"]

    def refusal(self, *, witness: bool = False) -> StartError:
        with pytest.raises(StartError) as caught:
            self.report(witness=witness)
        assert caught.value.code is StartCode.AUDIT_DAMAGED
        return caught.value

    def lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines(keepends=True)

    def write(self, lines: list[bytes]) -> None:
        self.path.write_bytes(b"".join(lines))


def rewritten(lines: list[bytes], at: int, change: Callable[[dict[str, Any]], None]) -> list[bytes]:
    """Change what line `at` says, and compute its hash and those of all lines after it."""
    documents = [json.loads(line) for line in lines]
    change(documents[at - 1])
    done = lines[: at - 1]
    before = documents[at - 2]["hash"] if at > 1 else "0" * 64
    for document in documents[at - 1 :]:
        document["prev"] = before
        document.pop("hash")
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        before = hashlib.sha256(text.encode()).hexdigest()
        done.append(f'{text[:-1]},"hash":"{before}"}}\n'.encode())
    return done


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread or program brings about."""
    never = threading.Event()
    for _ in range(int(SOON_S / _TURN_S)):
        if condition():
            return
        never.wait(_TURN_S)
    raise AssertionError("it did not come about")
