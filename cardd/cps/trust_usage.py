"""What a certificate may be used for, by the configuration: checked without any key or list."""

from collections.abc import Iterator
from enum import StrEnum

from cardd.config import ContactAuthentication, Trust
from cardd.cps.certificate import CpsCertificate
from cardd.cps.nomenclature import TEST_CATEGORIES, CardType
from cardd.errors import Code, Refused


class Usage(StrEnum):
    """What a certificate is presented as."""

    CONTACT_AUTHENTICATION = "contact-authentication"
    CONTACTLESS_AUTHENTICATION = "contactless-authentication"


def check_test_card(certificate: CpsCertificate, settings: Trust) -> None:
    """Refuse a test card (`test_card_refused`) where the configuration does not allow any."""
    if certificate.category in TEST_CATEGORIES and not settings.allow_test_cards:
        raise Refused(
            Code.TEST_CARD_REFUSED,
            f"the card's category is {certificate.category:02X}, that of test cards; "
            "trust.allow_test_cards is not set",
        )


def check_usage(certificate: CpsCertificate, usage: Usage, settings: Trust) -> None:
    """Refuse a certificate (`certificate_usage`, with what it lacks) that may not be used so."""
    if usage is Usage.CONTACT_AUTHENTICATION:
        lacking = list(_lacking(certificate, settings.contact_authentication))
    else:
        lacking = list(_lacking_contactless(certificate, settings))
    if lacking:
        raise Refused(
            Code.CERTIFICATE_USAGE,
            f"the certificate is not one for {usage}: {'; '.join(lacking)}",
        )


def _lacking(certificate: CpsCertificate, wanted: ContactAuthentication) -> Iterator[str]:
    """Say what keeps it from being the authentication certificate of a contact card."""
    if certificate.issuer_common_name not in wanted.issuers:
        yield f"its issuer {certificate.issuer_common_name!r} is not one of trust's issuers"
    yield from _lacking_key_usage(certificate)
    for oid in wanted.extended_key_usages:
        if oid not in certificate.extended_key_usages:
            yield f"it lacks the extended key usage {oid}"
    if wanted.policies and certificate.policies.isdisjoint(wanted.policies):
        yield "it has none of the wanted policies"
    if not certificate.card_number:
        yield "it has no card number"
    if certificate.category not in wanted.categories:
        yield f"its category is {certificate.category}, none of {list(wanted.categories)}"
    types = {CardType[name.upper()] for name in wanted.types}
    if certificate.card_type not in types:
        yield f"its card type is {certificate.card_type}, none of {sorted(types)}"


def _lacking_contactless(certificate: CpsCertificate, settings: Trust) -> Iterator[str]:
    """Say what keeps it from being a technical certificate, whose profile is not confirmed."""
    if not settings.allow_contactless:
        yield "trust.allow_contactless is not set"
    yield from _lacking_key_usage(certificate)
    if not certificate.card_number:
        yield "it has no card number"


def _lacking_key_usage(certificate: CpsCertificate) -> Iterator[str]:
    if certificate.is_authority:
        yield "it is an authority's"
    usages = certificate.key_usages
    if usages is not None and "digital_signature" not in usages:
        yield "its key usage lacks digitalSignature"
