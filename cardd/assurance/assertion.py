"""What an assertion says: a signed statement to one relying party that a person authenticated.

Its form is that of an RFC 7523 grant. It has no `cnf`: the agent does not hold the badge's key.
"""

import secrets
import time
from typing import Any

from cardd.assurance.presence import PresenceRecord

TYP = "cardd-auth+jwt"
LIFETIME_S = 60
_JTI_BYTES = 16


def assertion_claims(
    *,
    issuer: str,
    record: PresenceRecord,
    audience: str,
    nonce: str,
    sid: str | None,
    now: int | None = None,
    jti: str | None = None,
) -> dict[str, Any]:
    """Return the claims of an assertion for exactly one audience, valid for 60 s from `now`.

    `record` says who was authenticated, where, when and how well; `sid` is None where no presence
    stays open. `nonce` is the relying party's own, already parsed (22 to 128 base64url
    characters); `now` is in Unix seconds; `jti` is random, of 128 bits. A CPS is named by the
    thumbprint of the certificate that signed (`x5t#S256`, RFC 7515, 4.1.8).
    Source: RFC 7519, 4.1; OpenID Connect Core 1.0, 2 (nonce, auth_time, acr, amr).
    """
    issued_at = int(time.time()) if now is None else now
    statement: dict[str, Any] = {
        "iss": issuer,
        "sub": record.holder_id,
        "aud": audience,
        "nonce": nonce,
        "jti": secrets.token_urlsafe(_JTI_BYTES) if jti is None else jti,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + LIFETIME_S,
        "auth_time": record.auth_time,
        "acr": str(record.acr),
        "amr": list(record.amr),
        "card": _card(record),
        "device": record.device,
    }
    if sid is not None:
        statement["sid"] = sid
    return statement


def _card(record: PresenceRecord) -> dict[str, Any]:
    if record.certificate is not None:
        return {"type": "cps", "x5t#S256": record.certificate}
    return {"type": "badge", "badge": record.badge_id}
