"""The texts of the catalogue in English."""

from cardd.api.text import Text
from cardd.errors import Code

TEXTS: dict[Code, Text] = {
    Code.NO_CARD: Text(
        "No card",
        "No card was shown in time. Put your badge on the reader and try again.",
    ),
    Code.CARD_REMOVED: Text(
        "Card removed",
        "The card was taken away before the end. Show it again and leave it in place.",
    ),
    Code.TAP_TOO_SHORT: Text(
        "Tap too short",
        "The badge was taken away too soon. Hold it on the reader for one second.",
    ),
    Code.CARD_BUSY: Text(
        "Card busy",
        "The card or the reader is serving another request. Wait a moment, then try again.",
    ),
    Code.CARD_NOT_SUPPORTED: Text(
        "Card not recognised",
        "This card cannot be used here. Show a badge of this establishment.",
    ),
    Code.PIN_INCORRECT: Text(
        "Wrong PIN",
        "The card refused this PIN. Type the PIN of the card that is in the reader.",
    ),
    Code.PIN_LAST_TRY: Text(
        "One try left",
        "Another wrong PIN would block the card. Make sure of the PIN before the last try.",
    ),
    Code.PIN_BLOCKED: Text(
        "PIN blocked",
        "Too many wrong PINs: the card is blocked. Unblock it with its unblocking code.",
    ),
    Code.PUK_INCORRECT: Text(
        "Wrong unblocking code",
        "The card refused this unblocking code. Type the one that came with the card; where its "
        "tries run out, the card must be replaced.",
    ),
    Code.PUK_LAST_TRY: Text(
        "One try of the unblocking code left",
        "Another wrong unblocking code would make the card useless. Make sure of it before the "
        "last try.",
    ),
    Code.PUK_BLOCKED: Text(
        "Unblocking code blocked",
        "Too many wrong unblocking codes: the card cannot be unblocked any more. Ask its issuer "
        "for another card.",
    ),
    Code.PIN_MALFORMED: Text(
        "PIN of the wrong form",
        "This PIN has not the form of the card's: digits, as many as it takes. Type it again; "
        "the card has counted no try.",
    ),
    Code.PIN_CANCELLED: Text(
        "Entry cancelled",
        "The entry of the PIN was cancelled at the reader. Start again if you wish to.",
    ),
    Code.BADGE_UNKNOWN: Text(
        "Badge unknown",
        "This badge is not registered in this establishment. Ask the badge office.",
    ),
    Code.BADGE_NOT_GENUINE: Text(
        "Badge not genuine",
        "This badge did not prove that it is genuine. Hand it in at the badge office.",
    ),
    Code.BADGE_SUSPENDED: Text(
        "Badge suspended",
        "This badge is suspended. Ask the badge office to restore it.",
    ),
    Code.BADGE_REVOKED: Text(
        "Badge revoked",
        "This badge was revoked and will not work again. Ask the badge office for another.",
    ),
    Code.BADGE_EXPIRED: Text(
        "Badge expired",
        "This badge is past its expiry date. Have it renewed at the badge office.",
    ),
    Code.BADGE_NOT_HANDED_OVER: Text(
        "Badge not handed over",
        "This badge was not yet handed to its holder. Go to the badge office to activate it.",
    ),
    Code.HOLDER_ENDED: Text(
        "Holder has left",
        "The holder of this badge no longer belongs to the establishment. If that is a mistake, "
        "ask the staff office.",
    ),
    Code.HOLDER_UNKNOWN: Text(
        "Person not registered",
        "The person whom this card names is not registered in this establishment. Ask the staff "
        "office.",
    ),
    Code.PROOF_INVALID: Text(
        "Card not proven",
        "The card did not prove in time, and for this request, that it is genuine. Try again; if "
        "that fails too, have the card and the clock of this computer checked.",
    ),
    Code.WRONG_PERSON: Text(
        "Another person expected",
        "This badge belongs to somebody other than the person expected. Show your own badge.",
    ),
    Code.SECOND_FACTOR_REQUIRED: Text(
        "Second factor required",
        "The badge alone is not enough for this application. Authenticate with your second "
        "factor as well.",
    ),
    Code.KMS_UNAVAILABLE: Text(
        "Key service unavailable",
        "Badges cannot be verified at the moment. Sign in another way, and tell support.",
    ),
    Code.PCSC_UNAVAILABLE: Text(
        "Reader unavailable",
        "The card reader does not answer. Check that it is plugged in, then tell support.",
    ),
    Code.RATE_LIMITED: Text(
        "Too many requests",
        "There were too many requests in a short time. Wait a moment, then try again.",
    ),
    Code.TIMEOUT: Text(
        "Time limit passed",
        "The card or the service did not answer in time. Try again.",
    ),
    Code.FORBIDDEN: Text(
        "Not allowed",
        "You are not allowed to do this here. Ask your administrator for that right.",
    ),
    Code.NOT_FOUND: Text(
        "Not found",
        "What was asked for does not exist, or no longer does. Check the reference.",
    ),
    Code.CONFLICT: Text(
        "Already taken or changed",
        "The request contradicts what is already recorded. Refresh, check, then try again.",
    ),
    Code.NOT_SUPPORTED: Text(
        "Not possible here",
        "This key backend cannot do that. The message says what it can do instead.",
    ),
    Code.INVALID_REQUEST: Text(
        "Invalid request",
        "The application sent an invalid request. Tell support, and quote this message.",
    ),
    Code.BADGE_UNFINISHED: Text(
        "Renewal not finished",
        "The renewal of this badge's keys was interrupted. Have it finished at the badge office.",
    ),
    Code.BADGE_FULL: Text(
        "Badge full",
        "There is not enough room left on this badge. Take another badge.",
    ),
    Code.BADGE_KEYS_UNKNOWN: Text(
        "Keys of the badge unknown",
        "This badge has keys that the establishment does not know. Put it aside and take a "
        "blank one.",
    ),
    Code.UID_UNUSABLE: Text(
        "Chip number unusable",
        "The number of this badge's chip is not suitable. Take a badge of an accepted model.",
    ),
    Code.ALREADY_ACTIVE: Text(
        "Badge already active",
        "This badge is already in service. Revoke it first, or take a blank one.",
    ),
    Code.REGISTRY_INTEGRITY: Text(
        "Registry altered",
        "A record of the registry was changed without authority and is no longer accepted. Tell "
        "the administrator and the security officer without delay.",
    ),
    Code.CERTIFICATE_INVALID: Text(
        "Certificate unreadable",
        "The certificate of this card cannot be read. Try again; if it persists, have the card "
        "replaced.",
    ),
    Code.UNTRUSTED_ISSUER: Text(
        "Issuer unknown",
        "This card was not issued by an authority that the establishment trusts. Show another "
        "card, or tell support.",
    ),
    Code.ISSUER_SIGNATURE_INVALID: Text(
        "Certificate not genuine",
        "The certificate of this card was not signed by the authority it names. Tell the "
        "security officer.",
    ),
    Code.CERTIFICATE_EXPIRED: Text(
        "Card expired",
        "The validity of this card is over. Order a new one.",
    ),
    Code.CERTIFICATE_NOT_YET_VALID: Text(
        "Card not yet valid",
        "The validity of this card has not begun. Use the former card, or tell support if the "
        "date of this workstation is wrong.",
    ),
    Code.CERTIFICATE_REVOKED: Text(
        "Card revoked",
        "This card was revoked and will not work again. Use another one, or order a new one.",
    ),
    Code.CERTIFICATE_USAGE: Text(
        "Certificate unsuitable",
        "The certificate of this card is not one for signing in here. Show another card.",
    ),
    Code.CRL_EXPIRED: Text(
        "Revocation list expired",
        "The list of revoked cards is too old to verify yours. Sign in another way, and tell "
        "support.",
    ),
    Code.REVOCATION_UNAVAILABLE: Text(
        "Revocation not verifiable",
        "Whether this card was revoked cannot be verified now. Sign in another way, and tell "
        "support.",
    ),
    Code.TEST_CARD_REFUSED: Text(
        "Test card",
        "This is a test card and it is not accepted here. Show your own card.",
    ),
    Code.TRUST_UNAVAILABLE: Text(
        "Card authorities unavailable",
        "The authorities that cards are verified with cannot be read. Sign in another way, and "
        "tell support.",
    ),
    Code.INTERNAL_ERROR: Text(
        "Internal error",
        "The service met an unexpected error. Try again; if it persists, tell support.",
    ),
}
