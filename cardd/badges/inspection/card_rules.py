"""What a card shows to anybody, and what there is to say about it."""

from collections.abc import Iterator

from cardd.badges.inspection.case import Case
from cardd.badges.inspection.facts import FileFacts, RightsFacts
from cardd.badges.inspection.findings import Finding, FindingCode
from cardd.badges.model import Scheme


def product(case: Case) -> Iterator[Finding]:
    """Say where a card is no DESFire, or none that can be a badge here."""
    card, minimum = case.card, case.policy.minimum_scheme
    if card.product is None:
        answers = card.hardware or card.picc.key_versions or card.listed is not None
        code = FindingCode.PRODUCT_UNKNOWN if answers else FindingCode.NOT_A_DESFIRE
        yield Finding.of(code, hardware=card.hardware or "?")
    elif card.scheme is None:
        yield Finding.of(FindingCode.PRODUCT_WITHOUT_AES)
    elif not Scheme(card.scheme).meets(minimum):
        yield Finding.of(
            FindingCode.BELOW_MINIMUM_SCHEME, scheme=card.scheme, minimum=minimum.value
        )


def uid(case: Case) -> Iterator[Finding]:
    """Say where no lasting key can be made of the UID, or where card and reader disagree on it."""
    card = case.card
    if card.uid_kind == "random":
        yield Finding.of(FindingCode.RANDOM_UID)
    elif card.uid_kind != "double":
        yield Finding.of(FindingCode.UID_LENGTH, bytes=len(card.uid) // 2)
    if card.uid_kind != "random" and card.told_uid not in {None, card.uid}:
        told = card.told_uid or ""
        yield Finding.of(FindingCode.UID_MISMATCH, reader=card.uid, card=told)


def originality(case: Case) -> Iterator[Finding]:
    """Say where the chip's signature is not one of NXP's, or one of a virtual card."""
    found = case.card.originality
    if found.state == "not-verified":
        yield Finding.of(FindingCode.NOT_ORIGINAL)
    elif found.test:
        yield Finding.of(FindingCode.TEST_SIGNATURE)


def default_keys(case: Case) -> Iterator[Finding]:
    """Say which keys are public: those that answered to zeros, or that were never given a version.

    A key of version 0 proves nothing: many who set keys leave it.
    """
    for level in case.levels:
        where = level.aid
        if level.default_keys:
            yield Finding.of(FindingCode.DEFAULT_KEY, application=where, keys=level.default_keys)
        unset = tuple(n for n, version in enumerate(level.key_versions or ()) if version == 0)
        if level.default_keys is None and unset:
            yield Finding.of(FindingCode.KEY_NEVER_SET, application=where, keys=unset)


def free_settings(case: Case) -> Iterator[Finding]:
    """Say where somebody without a key may create and delete, or list."""
    for level in case.levels:
        if level.settings is None:
            continue
        if level.settings.free_create_delete:
            yield Finding.of(FindingCode.FREE_CREATE_DELETE, application=level.aid)
        if level.settings.free_directory:
            yield Finding.of(FindingCode.FREE_LISTING, application=level.aid)


def free_files(case: Case) -> Iterator[Finding]:
    """Say which files anybody may read, write or change the rights of."""
    for level in case.levels:
        for file in level.files or ():
            rights = _free_rights(file)
            if rights:
                yield Finding.of(
                    FindingCode.FREE_ACCESS_FILE,
                    application=level.aid,
                    file=file.number,
                    rights=rights,
                )


def other_applications(case: Case) -> Iterator[Finding]:
    """Say that there are applications of other parties."""
    others = tuple(aid for aid in case.listed if aid != case.policy.aid)
    if others:
        yield Finding.of(FindingCode.OTHER_APPLICATIONS, count=len(others), applications=others)


def _free_rights(file: FileFacts) -> tuple[str, ...]:
    sets: tuple[FileFacts | RightsFacts, ...] = (file, *file.additional)
    holders = {
        "read": {each.read for each in sets},
        "write": {each.write for each in sets},
        "read-write": {each.read_write for each in sets},
        "change": {each.change for each in sets},
    }
    names = tuple(name for name, keys in holders.items() if "free" in keys)
    return (*names, "value") if file.free_get_value else names
