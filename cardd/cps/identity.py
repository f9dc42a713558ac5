"""Who a CPS names: from its certificate to a person, with Pro Santé Connect's names.

Of a card of an employee (CPE, CPA) only the CN, the O and that names may be missing are confirmed;
that the OU holds the structure's identifier comes from one secondary source.
"""

import re
from dataclasses import dataclass
from typing import Any

from cardd.cps.certificate import CpsCertificate
from cardd.cps.nomenclature import (
    FUTURE_PROFESSIONS,
    FUTURE_PROFESSIONS_OID,
    PROFESSIONS,
    PROFESSIONS_OID,
    STRUCTURE_OF_PERSON,
    TEST_CATEGORIES,
    CardType,
    PersonIdentifier,
    StructureIdentifier,
)
from cardd.errors import Code, Refused

_RPPS_DIGITS = 11
_IDENTIFIER = re.compile(r"[0-9][0-9A-Z]{3,31}(?:/[!-~]{1,64})?\Z")
_STRUCTURE = re.compile(r"[0-4][0-9A-Z]{5,31}\Z")


@dataclass(frozen=True, slots=True)
class NationalId:
    """The identifier of a person: its kind by its first digit (G08), and all of it, as on the card.

    Employees' are a structure's identifier and a number of theirs in its register, with a `/`
    between: `3760021832/000000018`.
    """

    kind: PersonIdentifier
    value: str

    @property
    def number(self) -> str:
        """Return it without the digit of its kind."""
        return self.value[1:]


@dataclass(frozen=True, slots=True)
class Profession:
    """A profession (G15), or the one a holder of a CPF is trained for (G16); None: an unknown code.

    `table` is the OID of the table.
    """

    code: int
    label: str | None
    table: str


@dataclass(frozen=True, slots=True)
class Structure:
    """Where an employee works. `identifier` has its first digit (G07)."""

    name: str | None
    kind: StructureIdentifier | None
    identifier: str | None


@dataclass(frozen=True, slots=True)
class CpsIdentity:
    """The person that a card names. Names are None on a card that names nobody (CPE)."""

    card_type: CardType
    card_number: str | None
    national_id: NationalId
    given_name: str | None
    family_name: str | None
    title: str | None
    profession: Profession | None
    specialties: tuple[str, ...]
    structure: Structure | None
    is_test: bool

    def claims(self) -> dict[str, Any]:
        """Return the claims under Pro Santé Connect's names; what the card lacks is left out.

        `eidas1` and everything else that only Pro Santé Connect can vouch for is not among them.
        """
        name_id = self.national_id.value
        profession = self.profession
        structure = self.structure or Structure(None, None, None)
        claims: dict[str, Any] = {
            "SubjectNameID": name_id,
            "given_name": self.given_name,
            "family_name": self.family_name,
            "SubjectOrganization": structure.name,
            "SubjectOrganizationID": structure.identifier,
            "SubjectRole": [f"{profession.code}^{profession.table}"] if profession else None,
            "otherIds": [
                {
                    "identifiant": name_id,
                    "origine": self.national_id.kind.name,
                    "qualite": 1,
                }
            ],
        }
        return {name: value for name, value in claims.items() if value is not None}


def identity(certificate: CpsCertificate) -> CpsIdentity:
    """Return whom a certificate names; Refused (`certificate_invalid`) where it names nobody."""
    subject = certificate.subject
    national_id = _national_id(subject.common_name)
    return CpsIdentity(
        card_type=_card_type(certificate.card_type),
        card_number=certificate.card_number,
        national_id=national_id,
        given_name=subject.given_name,
        family_name=subject.surname,
        title=subject.title,
        profession=_profession(certificate),
        specialties=certificate.specialties,
        structure=_structure(certificate, national_id),
        is_test=certificate.category in TEST_CATEGORIES,
    )


def canonical_national_id(text: str) -> str:
    """Return the writing of a card for an identifier that a person typed or a file holds.

    An RPPS of 11 digits gets the 8 that cards put before it; other kinds must be given with their
    digit, for without it they cannot be told apart (an ADELI and a FINESS both have 9 characters).
    Spaces do not count. A card's own `NationalId.value` is compared as it is: it has its digit.
    """
    compact = "".join(text.split()).upper()
    if len(compact) == _RPPS_DIGITS and compact.isascii() and compact.isdigit():
        return f"{PersonIdentifier.RPPS.value}{compact}"
    return compact


def _national_id(common_name: str | None) -> NationalId:
    value = (common_name or "").upper()
    if not _IDENTIFIER.match(value):
        raise Refused(
            Code.CERTIFICATE_INVALID,
            "the certificate's CN is no national identifier (a digit of table G08 and a number)",
        )
    try:
        return NationalId(PersonIdentifier(int(value[0])), value)
    except ValueError:
        raise Refused(
            Code.CERTIFICATE_INVALID,
            f"the certificate's CN begins with {value[0]}, which table G08 does not have",
        ) from None


def _card_type(code: int | None) -> CardType:
    try:
        return CardType(-1 if code is None else code)
    except ValueError:
        what = "has no card type" if code is None else f"has the unknown card type {code}"
        raise Refused(
            Code.CERTIFICATE_INVALID, f"the certificate {what} (table G02): it is no CPS's"
        ) from None


def _profession(certificate: CpsCertificate) -> Profession | None:
    if certificate.profession is not None:
        code = certificate.profession
        return Profession(code, PROFESSIONS.get(code), PROFESSIONS_OID)
    if certificate.future_profession is not None:
        code = certificate.future_profession
        return Profession(code, FUTURE_PROFESSIONS.get(code), FUTURE_PROFESSIONS_OID)
    return None


def _structure(certificate: CpsCertificate, person: NationalId) -> Structure | None:
    """Return the structure by the OU, else by what stands before the `/` of the person's id."""
    subject = certificate.subject
    units = [unit for unit in subject.organizational_units if _STRUCTURE.match(unit)]
    if len(units) == 1:
        kind = StructureIdentifier(int(units[0][0]))
        return Structure(subject.organization, kind, units[0])
    before, slash, _ = person.number.partition("/")
    if slash and person.kind in STRUCTURE_OF_PERSON:
        kind = STRUCTURE_OF_PERSON[person.kind]
        return Structure(subject.organization, kind, f"{kind.value}{before}")
    if subject.organization is not None:
        return Structure(subject.organization, None, None)
    return None
