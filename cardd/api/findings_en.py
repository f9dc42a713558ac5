"""The texts of findings in English. Names in braces are the facts of the finding."""

from cardd.api.text import FindingText
from cardd.badges.inspection.findings import FindingCode as F

TEXTS: dict[F, FindingText] = {
    F.DEFAULT_KEY: FindingText(
        "Anybody knows a key of {application}: it is made of zeros (key {keys}).",
        "A blank is so before it is encoded. A badge in use must not be: take it back and have it "
        "encoded; where the application is another party's, tell them.",
    ),
    F.KEY_NEVER_SET: FindingText(
        "A key of {application} was perhaps never set (key {keys} has version 0).",
        "Inspect the card again with --try-default-keys to be sure.",
    ),
    F.SHARED_KEY: FindingText(
        "{key} is not this badge's own: {match}.",
        "One key for several badges is forbidden. Revoke this badge, find out how it was encoded, "
        "and look at the badges that were encoded with it.",
    ),
    F.PICC_KEY_NOT_OURS: FindingText(
        "The card's master key is not the one that this establishment gave it.",
        "Somebody changed it, or this is another card with the same UID. Revoke the badge and "
        "encode another.",
    ),
    F.BADGE_KEY_NOT_OURS: FindingText(
        "The badge does not answer to its own keys: {keys}.",
        "It cannot prove who it is. Revoke it, and find out whether it is a copy.",
    ),
    F.FREE_CREATE_DELETE: FindingText(
        "Anybody may create or delete things in {application}.",
        "A blank is so before it is encoded. Elsewhere, have its owner close it.",
    ),
    F.FREE_LISTING: FindingText(
        "Anybody may list what is in {application}.",
        "This gives away no content, but tells what the card is used for.",
    ),
    F.FREE_ACCESS_FILE: FindingText(
        "Anybody may use file {file} of {application}: {rights}.",
        "Nothing personal and nothing that opens a door may be in it. Tell its owner.",
    ),
    F.RANDOM_UID: FindingText(
        "The card shows another UID (serial number) at each tap.",
        "It cannot be a badge here, and this cannot be undone: take another card.",
    ),
    F.UID_LENGTH: FindingText(
        "The card's UID (serial number) has {bytes} bytes; a badge needs 7.",
        "It cannot be a badge here: take another card.",
    ),
    F.UID_MISMATCH: FindingText(
        "The card says that its UID is {card}, and the reader says {reader}.",
        "It may be a copy. Do not use it, and keep it for whoever looks after security.",
    ),
    F.NOT_A_DESFIRE: FindingText(
        "This card does not answer as a DESFire.",
        "It cannot be a badge here: take another card.",
    ),
    F.PRODUCT_UNKNOWN: FindingText(
        "This card answers as a DESFire of a kind that is not known (hardware {hardware}).",
        "It cannot be a badge here; look for a newer version of cardd.",
    ),
    F.PRODUCT_WITHOUT_AES: FindingText(
        "This card is too old: it does not know the AES cipher.",
        "Its keys can be read out with laboratory means. Replace it.",
    ),
    F.BELOW_MINIMUM_SCHEME: FindingText(
        "This card can do {scheme}, and the establishment asks for {minimum}.",
        "It is refused here. Replace it.",
    ),
    F.NOT_ORIGINAL: FindingText(
        "The maker's signature on this card is none that is known.",
        "It may be a copy, or a product that is newer than this program. Ask who delivered it.",
    ),
    F.TEST_SIGNATURE: FindingText(
        "This is a virtual card: its signature is made with a test key.",
        "It is accepted in development alone.",
    ),
    F.OTHER_APPLICATIONS: FindingText(
        "The card also carries applications of others ({count}): {applications}.",
        "They are not touched. Make sure that they are expected.",
    ),
    F.NOT_REGISTERED: FindingText(
        "The card carries the establishment's {application}, and the registry does not know it.",
        "It is refused here. Find out who encoded it.",
    ),
    F.NOT_IN_USE: FindingText(
        "The badge is not in use: {state}.",
        "It is refused until that changes.",
    ),
    F.UNFINISHED: FindingText(
        "Work on this badge was interrupted ({procedure}).",
        "Present it again for the same thing: it goes on where it was.",
    ),
    F.EXPIRED: FindingText(
        "The badge expired on {at}.",
        "It is refused. Give its holder another badge.",
    ),
    F.OUTDATED_GENERATION: FindingText(
        "The badge's keys are of generation {generation}; the current one is {current}.",
        "Renew its keys (cardctl badge rekey).",
    ),
    F.REGISTRY_DISAGREES: FindingText(
        "The badge is not as it was encoded: {what}.",
        "Somebody who had its keys changed it, or its encoding went wrong. Revoke it and encode "
        "another.",
    ),
}

PICC = "the card itself"
APPLICATION = "application {}"

WORDS = {
    "picc": "the card's master key",
    "master": "the master key of the badge",
    "authenticate": "the key that proves the badge",
    "another-badge": "another badge has it too",
    "without-uid": "it was made without the card's UID, so that every such badge has it",
    "zeros": "it is made of zeros, which everybody knows",
    "read": "read",
    "write": "write",
    "read-write": "read and write",
    "change": "change who may",
    "value": "read its value",
    "blank": "it is a blank that was not encoded yet",
    "stock": "it has no holder",
    "assigned": "it was not handed over",
    "suspended": "it is suspended",
    "revoked": "it is revoked",
    "wiped": "it was wiped",
    "prepare": "preparation",
    "encode-factory": "encoding",
    "encode-transport": "encoding",
    "rekey": "renewal of its keys",
    "wipe": "wiping",
    "uid": "its UID",
    "picc-settings": "the settings of the card",
    "picc-key-version": "the version of the card's master key",
    "application": "the establishment's application is not there",
    "application-settings": "the settings of the application",
    "key-versions": "the versions of its keys",
    "files": "the files that are there",
    "file-settings": "the settings of its file",
    "content": "the content of its file",
    "ev1-aes": "EV1 with AES",
    "ev2-aes": "EV2 with AES",
}
