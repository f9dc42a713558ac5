"""`cardd-kms ceremony shares | restore | drill`: the recovery shares of the keystore."""

import argparse
import os
from contextlib import ExitStack
from pathlib import Path

from cardd.cli.kms.credential import make_credential
from cardd.cli.kms.kcvs import kcv_lines
from cardd.cli.kms.papers import Paper, hand_out, take_in
from cardd.cli.kms.room import Room, keystore_path, new_passphrase, open_masters, open_room
from cardd.cli.kms.verbs import Verbs, add_dry_run, add_seconds, add_verb, say
from cardd.config import Config
from cardd.errors import CeremonyCode, CeremonyError
from cardd.kms.masters import keystore, shares
from cardd.kms.masters.configured import keystore_slot
from cardd.kms.masters.shares import MAXIMUM_SHARES, SECRET_BYTES, Share, split
from cardd.kms.masters.slots import (
    CredentialFile,
    Passphrase,
    RecoveryShares,
    RecoverySlot,
    Slot,
    StoredSlot,
    require_known,
)
from cardd.secret import Secret

AGAIN = frozenset(
    {
        CeremonyCode.SHARE_MISTYPED,
        CeremonyCode.SHARE_TWICE,
        CeremonyCode.SHARE_UNKNOWN,
        CeremonyCode.SHARE_WRONG,
        CeremonyCode.SHARES_MIXED,
    }
)
"""What another paper, or another look at it, may put right."""

_TRIES = 3


def add_to(group: Verbs) -> None:
    """Add the commands of this file."""
    making = add_verb(group, "shares", make, "hand out shares that together open the keystore")
    making.add_argument("--threshold", type=int, default=2, help="how many are needed (default: 2)")
    making.add_argument("--custodians", type=int, default=3, help="how many are made (default: 3)")
    making.add_argument("--replace", action="store_true", help="drop the shares of before")
    restoring = add_verb(group, "restore", restore, "open the keystore by shares, add a way in")
    restoring.add_argument(
        "--passphrase",
        action="store_true",
        help="let a new passphrase open it, and not kms.credential_file",
    )
    drilling = add_verb(group, "drill", drill, "prove that the shares here open the keystore")
    drilling.add_argument("--keystore", type=Path, help="of a backup, not the configured one")
    for verb in (making, restoring, drilling):
        add_dry_run(verb)
        add_seconds(verb)


def make(config: Config, options: argparse.Namespace) -> None:
    """Hand out shares, and let them open the keystore once all are written down."""
    path = keystore_path(config)
    threshold, count = options.threshold, options.custodians
    if not shares.MINIMUM_THRESHOLD <= threshold <= count <= MAXIMUM_SHARES:
        raise SystemExit(
            f"cardd-kms: {threshold} of {count} shares make no sense: 2 to {MAXIMUM_SHARES} are "
            "made, and at least 2 and at most all are needed"
        )
    if options.dry_run:
        say(f"would hand out {count} shares, any {threshold} of which open the keystore {path}")
        if options.replace:
            say("would drop the shares of before")
        return
    with open_room(config, options.seconds) as room:
        with room.masters() as masters:
            approved = room.approve(masters, always=False)
        made = split(Secret(os.urandom(SECRET_BYTES)), threshold, count)
        for share in made:
            hand_out(room.terminal, f"Custodian {share.index} of {count}", _paper(share, count))
        _add(room, made, approved, replace=options.replace)


def restore(config: Config, options: argparse.Namespace) -> None:
    """Open the keystore by shares, and let the configured credential or a passphrase open it."""
    path = keystore_path(config)
    credential = None if options.passphrase else config.kms.credential_file
    way = "a new passphrase" if credential is None else f"the credential file {credential}"
    if options.dry_run:
        for line in _of_slots(keystore.read_slots(path)):
            say(line)
        say(f"would take enough shares, have two operators approve, and let {way}")
        say(f"open {path}")
        return
    # Nothing else is asked for: that there is nothing else is why people are here.
    with open_room(config, options.seconds, opening=False) as room:
        recovery = take_shares(room)
        with open_masters(config, recovery) as masters:
            approved = room.approve(masters, always=True)
            kcvs = kcv_lines(masters)
        with ExitStack() as undo:
            if credential is None:
                new: Slot = Passphrase(new_passphrase(room.terminal, "of the keystore"))
            else:
                if make_credential(credential):
                    undo.callback(credential.unlink, missing_ok=True)
                new = CredentialFile(credential)
            with room.acting("restore", approved, **_facts(recovery), slot=str(new)):
                keystore.add_slot(path, recovery, new)
                undo.pop_all()
        room.terminal.say(f"{way} opens the keystore. Compare with the form:")
        for line in kcvs:
            room.terminal.say(line)


def drill(config: Config, options: argparse.Namespace) -> None:
    """Prove that shares open the keystore; change nothing and show no key."""
    path = options.keystore or keystore_path(config)
    if options.dry_run:
        for line in _of_slots(keystore.read_slots(path)):
            say(line)
        say(f"would take enough shares, and open {path} with them")
        return
    with open_room(config, options.seconds, opening=False) as room:
        recovery = take_shares(room, path)
        masters = keystore.open_keystore(path, recovery)
        room.note("drill.done", (), **_facts(recovery), keystore=str(path))
        room.terminal.say(f"the shares open {path}. Nothing was changed. Compare with the form:")
        for line in kcv_lines(masters):
            room.terminal.say(line)


def take_shares(room: Room, path: Path | None = None) -> RecoveryShares:
    """Take shares from custodians, one after the other, until they are enough.

    Each is checked against the keystore at once, so that a wrong one is found with its custodian.
    Raises CeremonyError for the third wrong try of one.
    """
    stored = keystore.read_slots(path or keystore_path(room.config))
    given: list[Share] = []
    needed = shares.MINIMUM_THRESHOLD
    while len(given) < needed:
        share = _take_share(room, f"Custodian {len(given) + 1}", given, stored)
        needed = share.threshold
        given.append(share)
        room.terminal.say(f"{share}: taken; {len(given)} of {needed}")
    return RecoveryShares(tuple(given))


def _take_share(
    room: Room, custodian: str, given: list[Share], stored: tuple[StoredSlot, ...]
) -> Share:
    """Take one share; what is wrong with it is said, and it is asked for again.

    Raises CeremonyError (`shares_too_few`) where nobody has one.
    """
    for left in reversed(range(_TRIES)):
        try:
            groups = take_in(
                room.terminal,
                custodian,
                "Your share, group by group:",
                shares.GROUPS,
                shares.parse_group,
            )
            if groups is None:
                raise _too_few(given)
            share = shares.parse(" ".join(groups))
            for other in given:
                shares.require_together(other, share)
                if other.index == share.index:
                    raise shares.twice(share.index)
            require_known(share, stored)
        except CeremonyError as error:
            if not left or error.code not in AGAIN:
                raise
            room.terminal.say(f"{error.code}: {error}")
        else:
            return share
    raise AssertionError("the last try returns or raises")


def _too_few(given: list[Share]) -> CeremonyError:
    needed = given[0].threshold if given else shares.MINIMUM_THRESHOLD
    return CeremonyError(
        CeremonyCode.SHARES_TOO_FEW,
        f"{len(given)} of {needed} shares are here, which open nothing: call another custodian; "
        "nothing was changed",
    )


def _add(room: Room, made: tuple[Share, ...], approved: tuple[str, ...], *, replace: bool) -> None:
    recovery = RecoveryShares(made)
    path, opened_by = keystore_path(room.config), room.slot or keystore_slot(room.config.kms)
    with room.acting("shares", approved, **_facts(recovery), replace=replace):
        dropped = keystore.add_recovery(path, opened_by, recovery, replace=replace)
    say = room.terminal.say
    say(f"any {made[0].threshold} of the {len(made)} shares of the set {made[0].set_id} open it")
    say("make the backup of the keystore now: older copies do not know these shares")
    for slot in dropped:
        say(f"the set {slot.set_id} opens it no longer: destroy its papers, and older copies")


def _paper(share: Share, count: int) -> Paper:
    return Paper(
        f"Share {share.index} of {count}, set {share.set_id}, {share.threshold} needed",
        shares.text(share),
        (
            "Digits and letters without I, L, O and U: 0 is zero, 1 is one.",
            "The last character of each group is a check.",
        ),
        shares.parse_group,
    )


def _of_slots(stored: tuple[StoredSlot, ...]) -> list[str]:
    sets = [each for each in stored if isinstance(each, RecoverySlot)]
    return [
        f"the set {each.set_id}: {each.threshold} of {len(each.fingerprints)} shares are needed"
        for each in sets
    ] or ["no shares open this keystore"]


def _facts(recovery: RecoveryShares) -> dict[str, str]:
    """Return what the audit says of shares: which, and never their values."""
    indices = ", ".join(str(share.index) for share in recovery.shares)
    return {"set": recovery.shares[0].set_id, "shares": indices}
