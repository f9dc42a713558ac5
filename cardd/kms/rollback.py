"""Whether masters, registry or audit were put back from an older copy: their marks tell.

What is found: the last mark in the audit is one that the registry does not have (an old registry);
the audit does not have the line at which the registry's mark was put (an old or another audit); the
masters are behind what either mark says (an old keystore; of a token or a server only that a
promoted generation is missing). What is not found here: all of them put back from one moment.
Checkpoints at a witness show that, in the audit.
"""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

from cardd.errors import KmsUnavailable, Refused, StartCode, StartError
from cardd.kms.audit.lines import Head
from cardd.kms.audit.recording import AuditFile
from cardd.kms.marks import COUNTER, Marked, Marker, Position, latest, parsed, position
from cardd.kms.ports import ReplicaMark

ACCEPTED = "restore.accepted"


class Older(StrEnum):
    """What was put back."""

    KEYSTORE = "keystore"
    REGISTRY = "registry"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them is older than the others know it; `why` is a sentence."""

    older: Older
    why: str


_CODES = {
    Older.KEYSTORE: StartCode.KEYSTORE_ROLLED_BACK,
    Older.REGISTRY: StartCode.REGISTRY_ROLLED_BACK,
    Older.AUDIT: StartCode.AUDIT_ROLLED_BACK,
}


def require_current(marker: Marker) -> None:
    """Return where nothing is older than it was; StartError (`*_rolled_back`) else.

    Raises StartError (`registry_unavailable`) where that cannot be told.
    """
    try:
        findings = look(marker)
    except (KmsUnavailable, Refused) as error:
        raise StartError(
            StartCode.REGISTRY_UNAVAILABLE,
            f"whether an old copy was put back cannot be told: {error}",
        ) from error
    if not findings:
        return
    reasons = "; ".join(finding.why for finding in findings)
    names = " and the ".join(finding.older.value for finding in findings)
    raise StartError(
        _CODES[findings[0].older],
        f"the {names} of this key service was put back from an older copy: {reasons}. Put the "
        "newest copy in its place. If there is none and the loss is known, accept it with "
        "`cardd-kms accept-restore` (docs/audit.md says what it means for badges)",
        older=[finding.older.value for finding in findings],
    )


def accept(marker: Marker, reason: str, operators: tuple[str, ...] = ()) -> list[Finding]:
    """Record that what is older is meant to be, and go on from it; return what was accepted.

    Raises StartError (`nothing_to_accept`) where nothing is older; KmsUnavailable and Refused.
    """
    findings = require_older(marker)
    number = latest(marker.audit).number
    marker.audit.record(
        ACCEPTED,
        durable=True,
        older=",".join(finding.older.value for finding in findings),
        why="; ".join(finding.why for finding in findings),
        reason=reason,
        operators=",".join(operators),
    )
    with marker.registry.atomically():
        identity = marker.registry.identity()
        marker.registry.put_identity(dataclasses.replace(identity, restored=identity.restored + 1))
    marker.put(number)
    return findings


def require_older(marker: Marker) -> list[Finding]:
    """Return what is older than it was; StartError (`nothing_to_accept`) where nothing is."""
    findings = look(marker)
    if not findings:
        raise StartError(
            StartCode.NOTHING_TO_ACCEPT,
            "keystore, registry and audit are as new as each knows the others: there is nothing to "
            "accept, and nothing was changed",
        )
    return findings


def look(marker: Marker) -> list[Finding]:
    """Return what is older than it was. Raises KmsUnavailable, Refused."""
    stored = marker.registry.replica_mark(marker.replica)
    marked = latest(marker.audit)
    found = (
        _masters(position(marker.masters), stored, marked),
        _registry(marker.registry.identity().id.hex(), stored, marked),
        _audit(marker.audit, stored) if stored else None,
    )
    return [finding for finding in found if finding is not None]


def _masters(now: Position, stored: ReplicaMark | None, marked: Marked) -> Finding | None:
    known = {"registry": parsed(stored.masters) if stored else {}, "audit": marked.masters}
    for witness, before in known.items():
        behind = _behind(now, before)
        if behind is not None:
            what = "its counter" if behind == COUNTER else f"the current {behind} master"
            return Finding(
                Older.KEYSTORE, f"{what} is {now[behind]}, and the {witness} knows {before[behind]}"
            )
    return None


def _behind(now: Position, before: Position) -> str | None:
    """Return the first thing that is less far than before: the counter, if there is one."""
    names = sorted(before, key=lambda name: name != COUNTER)
    # Where the masters moved from a keystore to a token, there is no counter to compare.
    return next((name for name in names if name in now and now[name] < before[name]), None)


def _registry(identity: str, stored: ReplicaMark | None, marked: Marked) -> Finding | None:
    if not marked.number:
        return None
    if marked.registry != identity:
        why = f"it is registry {identity[:8]}, and the audit was written with {marked.registry[:8]}"
        return Finding(Older.REGISTRY, why)
    number = stored.number if stored else 0
    if number < marked.number:
        why = f"its mark is number {number}, and the audit knows number {marked.number}"
        return Finding(Older.REGISTRY, why)
    return None


def _audit(audit: AuditFile, stored: ReplicaMark) -> Finding | None:
    if stored.chain != audit.chain.id:
        return Finding(
            Older.AUDIT,
            "it is another file than the one that the registry knows of the replica "
            f"{stored.replica!r} (or two replicas have that name)",
        )
    if audit.head.seq < stored.seq:
        return Finding(
            Older.AUDIT, f"it ends at line {audit.head.seq}, and the registry knows {stored.seq}"
        )
    entry = next(entry for entry in audit.backwards() if entry.seq <= stored.seq)
    if entry.head != Head(stored.seq, stored.hash):
        return Finding(Older.AUDIT, f"its line {stored.seq} is not the one that the registry knows")
    return None
