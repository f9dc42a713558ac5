"""`cardctl verify`: what a relying party does with an assertion, as a program of its own."""

import hmac
import json
from typing import Any

import click
import jwt

from cardd.cli.cardctl.output import print_json
from cardd.cli.cardctl.session import Rejected, Session, pass_session
from cardd.cli.cardctl.text import plain

TYPE = "cardd-auth+jwt"
ALGORITHM = "ES256"
REQUIRED = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "auth_time", "acr", "amr"]
_LIMIT = 64 * 1024


class Invalid(Exception):
    """The assertion, or the key set, does not hold."""


@click.command()
@click.option("--jwks", "key_set", required=True, type=click.File("rb"), metavar="FILE",
              help="The site's public keys (cardctl jwks, cardd-kms jwks).")  # fmt: skip
@click.option("--issuer", required=True, help="The site that must have signed it.")
@click.option("--audience", required=True, help="The relying party that it must be for.")
@click.option("--nonce", required=True, help="The nonce that was asked for.")
@click.option("--leeway", "leeway_s", type=click.IntRange(0, 60), default=5, show_default=True,
              metavar="S", help="How far clocks may be apart.")  # fmt: skip
@click.argument("assertion", type=click.File("rb"), default="-")
@pass_session
def verify(
    session: Session,
    /,
    *,
    key_set: Any,
    issuer: str,
    audience: str,
    nonce: str,
    leeway_s: int,
    assertion: Any,
) -> None:
    """Verify an ASSERTION (a file, or standard input), as a relying party does.

    Signature, algorithm, type, issuer, audience, nonce and times: all must hold. The daemon is not
    asked.
    """
    if getattr(key_set, "name", "") == getattr(assertion, "name", ""):
        raise click.UsageError("the key set and the assertion cannot come from the same place")
    try:
        claims = verified(
            _text(assertion, "the assertion"),
            _text(key_set, "the key set"),
            issuer=issuer,
            audience=audience,
            nonce=nonce,
            leeway_s=leeway_s,
        )
    except Invalid as error:
        raise Rejected(f"cardctl: the assertion is not valid: {plain(str(error))}") from error
    if not session.as_json:
        click.echo("The assertion is valid.")
    print_json(claims)


def verified(
    compact: str, key_set: str, *, issuer: str, audience: str, nonce: str, leeway_s: int = 5
) -> dict[str, Any]:
    """Return the claims of an assertion that holds; raise Invalid with the reason.

    The algorithm, the type and the issuer are pinned: nothing in the assertion chooses them.
    """
    try:
        header = jwt.get_unverified_header(compact)
        if header.get("alg") != ALGORITHM or header.get("typ") != TYPE or "crit" in header:
            raise Invalid(f"its header is not alg {ALGORITHM}, typ {TYPE} and nothing critical")
        claims: dict[str, Any] = jwt.decode(
            compact,
            _key(key_set, header.get("kid")),
            algorithms=[ALGORITHM],
            issuer=issuer,
            audience=audience,
            leeway=leeway_s,
            options={"require": REQUIRED, "strict_aud": True},
        )
    except jwt.PyJWTError as error:
        raise Invalid(str(error)) from error
    if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
        raise Invalid("its nonce is another one: it answers another request")
    return claims


def _key(key_set: str, kid: object) -> jwt.PyJWK:
    try:
        document = json.loads(key_set)
        candidates = [
            each
            for each in document["keys"]
            if each["kid"] == kid and (each["kty"], each.get("crv")) == ("EC", "P-256")
        ]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Invalid("the key set is no JWK Set (RFC 7517)") from error
    if len(candidates) != 1:
        raise Invalid(f"{len(candidates)} keys of the key set have its kid")
    return jwt.PyJWK(candidates[0], algorithm=ALGORITHM)


def _text(file: Any, what: str) -> str:
    raw: bytes = file.read(_LIMIT + 1)
    if len(raw) > _LIMIT:
        raise Invalid(f"{what} is larger than {_LIMIT} bytes")
    try:
        return raw.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise Invalid(f"{what} is not ASCII") from error
