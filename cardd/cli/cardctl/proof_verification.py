"""`cardctl verify-proof`: what anybody does with a card's proof, given a root certificate alone."""

import hmac
import time
from itertools import pairwise
from typing import Any

import click
import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from cardd.cli.cardctl.output import print_json
from cardd.cli.cardctl.session import Rejected, Session, pass_session
from cardd.cli.cardctl.text import plain
from cardd.cli.cardctl.verification import Invalid
from cardd.cps import proof as proofs
from cardd.cps.certificate import parse_certificate
from cardd.cps.identity import identity
from cardd.errors import Refused

LIMIT = 64 * 1024


@click.command("verify-proof")
@click.option("--root", "roots", required=True, multiple=True, type=click.File("rb"),
              metavar="FILE", help="A root certificate (PEM) that is trusted.")  # fmt: skip
@click.option("--audience", required=True, help="The relying party that it must be for.")
@click.option("--nonce", required=True, help="The nonce that was asked for.")
@click.option("--leeway", "leeway_s", type=click.IntRange(0, 60), default=5, show_default=True,
              metavar="S", help="How far clocks may be apart.")  # fmt: skip
@click.argument("proof", type=click.File("rb"), default="-")
@pass_session
def verify_proof(
    session: Session,
    /,
    *,
    roots: tuple[Any, ...],
    audience: str,
    nonce: str,
    leeway_s: int,
    proof: Any,
) -> None:
    """Verify a PROOF that a CPS signed (a file, or standard input): the evidence of a login.

    Signature, chain to a root, audience, nonce and times: all must hold. Whether the card was
    revoked is not looked at. The daemon is not asked.
    """
    try:
        claims, chain = verified(
            proof.read(LIMIT + 1).decode("ascii", "replace").strip(),
            [_certificates(root.read(LIMIT)) for root in roots],
            audience=audience,
            nonce=nonce,
            leeway_s=leeway_s,
        )
        who = identity(parse_certificate(chain[0])).claims()
    except (Invalid, Refused) as error:
        raise Rejected(f"cardctl: the proof is not valid: {plain(str(error))}") from error
    if not session.as_json:
        click.echo("The proof is valid.")
    print_json({"claims": claims, "identity": who})


def verified(
    compact: str,
    roots: list[x509.Certificate],
    *,
    audience: str,
    nonce: str,
    leeway_s: int = 5,
) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return the claims and the chain of a proof that holds; raise Invalid or Refused."""
    proof = proofs.parse(compact)
    proofs.verify_signature(proof)
    now = time.time()
    _require_chain([_parsed(der) for der in proof.chain], roots, now)
    claims = proof.claims
    if not hmac.compare_digest(claims.aud.encode(), audience.encode()):
        raise Invalid("it is for another audience")
    if not hmac.compare_digest(claims.nonce.encode(), nonce.encode()):
        raise Invalid("its nonce is another one: it answers another request")
    if not claims.iat - leeway_s <= now < claims.exp + leeway_s:
        raise Invalid("it is not of now: it has expired, or its time has not come")
    return msgspec.to_builtins(claims), proof.chain


def _require_chain(
    chain: list[x509.Certificate], roots: list[x509.Certificate], now: float
) -> None:
    """Raise Invalid unless each certificate is the next one's, and the last one a root's."""
    for certificate, issuer in pairwise(chain):
        if not _issued(certificate, issuer):
            raise Invalid("its certificates are no chain")
    root = next((root for root in roots if _issued(chain[-1], root)), None)
    if root is None:
        raise Invalid("its chain does not end under a root that is given")
    for each in (*chain, root):
        if not each.not_valid_before_utc.timestamp() <= now <= each.not_valid_after_utc.timestamp():
            raise Invalid(f"{each.subject.rfc4514_string()} is not valid now")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether an authority's key signed a certificate."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return constraints.ca


def _certificates(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise Invalid("a root is no certificate in PEM") from None


def _parsed(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise Invalid("a certificate of its chain cannot be read") from None
