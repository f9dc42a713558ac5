"""The code tables of IGC-Santé's certificates, with the labels that ANS gives them.

Source: NOS, the nomenclatures that ANS publishes: TRE_G15-ProfessionSante 1.1.0,
TRE_G16-ProfessionFormation 1.1.0, TRE_G08-TypeIdentifiantPersonne 1.1.0 (labels as published, codes
that were ended included: cards outlive them); G01, G02 and G07 as the Cryptolib CPS knows them. A
code that is in no table has no label: tables grow, and cards are older or newer than this file.
"""

from enum import IntEnum
from typing import Final

PROFESSIONS_OID: Final = "1.2.250.1.71.1.2.7"
FUTURE_PROFESSIONS_OID: Final = "1.2.250.1.71.1.2.8"


class CardType(IntEnum):
    """G02: what a card is. CPE is also CDE, CPA also CDA: the cards of directors."""

    CPS = 0
    CPF = 1
    CPE = 2
    CPA = 3

    @property
    def label(self) -> str:
        """Return its name as people read it."""
        return CARD_TYPES[self]


class PersonIdentifier(IntEnum):
    """G08: of what kind the identifier of a person is, by its first digit."""

    ADELI = 0
    ADELI_PRACTICE = 1
    DRASS = 2
    FINESS = 3
    SIREN = 4
    SIRET = 5
    RPPS_PRACTICE = 6
    RPPS = 8
    STUDENT = 9

    @property
    def label(self) -> str:
        """Return its name as people read it."""
        return PERSON_IDENTIFIERS[self]


class StructureIdentifier(IntEnum):
    """G07: of what kind the identifier of a structure is. Its digits are not those of G08."""

    ADELI_PRACTICE = 0
    FINESS = 1
    SIREN = 2
    SIRET = 3
    RPPS_PRACTICE = 4

    @property
    def label(self) -> str:
        """Return its name as people read it."""
        return STRUCTURE_IDENTIFIERS[self]


CARD_TYPES: Final = {
    CardType.CPS: "CPS",
    CardType.CPF: "CPF",
    CardType.CPE: "CDE/CPE",
    CardType.CPA: "CDA/CPA",
}

# G01: product categories. The top bit marks those made for tests.
TEST_CATEGORIES: Final = frozenset({0x80, 0x82, 0x83})

PERSON_IDENTIFIERS: Final = {
    PersonIdentifier.ADELI: "N° ADELI",
    PersonIdentifier.ADELI_PRACTICE: "Id Cabinet ADELI / N° de registre",
    PersonIdentifier.DRASS: "N° DRASS",
    PersonIdentifier.FINESS: "FINESS / N° de registre",
    PersonIdentifier.SIREN: "SIREN / N° de registre",
    PersonIdentifier.SIRET: "SIRET / N° de registre",
    PersonIdentifier.RPPS_PRACTICE: "Id Cabinet RPPS / N° de registre",
    PersonIdentifier.RPPS: "N° RPPS",
    PersonIdentifier.STUDENT: "N° Etudiant",
}

STRUCTURE_IDENTIFIERS: Final = {
    StructureIdentifier.ADELI_PRACTICE: "Id Cabinet ADELI",
    StructureIdentifier.FINESS: "FINESS",
    StructureIdentifier.SIREN: "SIREN",
    StructureIdentifier.SIRET: "SIRET",
    StructureIdentifier.RPPS_PRACTICE: "Id Cabinet RPPS",
}

# Where the person's identifier begins with the structure's, which kind the structure's is.
STRUCTURE_OF_PERSON: Final = {
    PersonIdentifier.ADELI_PRACTICE: StructureIdentifier.ADELI_PRACTICE,
    PersonIdentifier.FINESS: StructureIdentifier.FINESS,
    PersonIdentifier.SIREN: StructureIdentifier.SIREN,
    PersonIdentifier.SIRET: StructureIdentifier.SIRET,
    PersonIdentifier.RPPS_PRACTICE: StructureIdentifier.RPPS_PRACTICE,
}

PROFESSIONS: Final = {
    10: "Médecin",
    21: "Pharmacien",
    26: "Audioprothésiste",
    28: "Opticien-Lunetier",
    31: "Assistant dentaire",
    32: "Physicien médical",
    35: "Aide-soignant",
    36: "Ambulancier",
    37: "Auxiliaire de puériculture",
    38: "Préparateur en pharmacie hospitalière",
    39: "Préparateur en pharmacie",
    40: "Chirurgien-Dentiste",
    50: "Sage-Femme",
    60: "Infirmier",
    69: "Infirmier psychiatrique",
    70: "Masseur-Kinésithérapeute",
    80: "Pédicure-Podologue",
    81: "Orthoprothésiste",
    82: "Podo-Orthésiste",
    83: "Orthopédiste-Orthésiste",
    84: "Oculariste",
    85: "Epithésiste",
    86: "Technicien de labo médical",
    91: "Orthophoniste",
    92: "Orthoptiste",
    93: "Psychologue",
    94: "Ergothérapeute",
    95: "Diététicien",
    96: "Psychomotricien",
    98: "Manipulateur ERM",
}

FUTURE_PROFESSIONS: Final = {
    10: "Médecin en formation",
    21: "Pharmacien en formation",
    40: "Chirurgien-Dentiste en formation",
    50: "Sage-Femme en formation",
}
