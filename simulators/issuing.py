"""Cards as their issuer hands them out: who holds them, their number, their certificates."""

import random
import secrets
from collections.abc import Callable
from pathlib import Path

from simulators.cps import VirtualCps, chipdoc, personalise, random_number
from simulators.cps.chipdoc import VirtualCps4
from simulators.cps.number import luhn
from simulators.pki import CardType, Holder, Pki, Profile, Structure

Random = Callable[[int], bytes]

CPS_KINDS = {
    "cps": CardType.CPS,
    "cpf": CardType.CPF,
    "cpe": CardType.CPE,
    "cps4": CardType.CPS,
}
DOCTOR = 10
MEDICINE = "Médecin"
EMPLOYEE_PREFIX = "3"


def random_source(seed: int | None) -> Random:
    """Return what a card's issuer draws from; a seed makes the same card each time.

    What a card draws in use is never seeded.
    """
    return secrets.token_bytes if seed is None else random.Random(seed).randbytes  # noqa: S311


def open_pki(folder: Path) -> Pki:
    """Return the PKI of a folder, made there where there is none; raise PkiError."""
    return Pki.load(folder) if (folder / "pki.json").exists() else Pki.create(folder)


def profile(kind: str, name: str | None, rng: Random) -> Profile:
    """Return what the certificates of a card of a `kind` say; `name` is "Given names SURNAME".

    Without a name, a CPE names nobody, as real ones may, and the others have one made up.
    """
    card_type = CPS_KINDS[kind]
    return Profile(
        holder=_holder(card_type, name, rng), card_type=card_type, card_number=random_number(rng)
    )


def issue_cps(kind: str, name: str | None, pki: Pki, seed: int | None) -> VirtualCps | VirtualCps4:
    """Return a new card of a `kind` with certificates of `pki`; slower with a seed."""
    rng = random_source(seed)
    said = profile(kind, name, rng)
    key_source = None if seed is None else rng
    if kind == "cps4":
        return chipdoc.personalise(pki, said, rng=key_source)
    return personalise(pki, said, rng=key_source)


def _holder(card_type: CardType, name: str | None, rng: Random) -> Holder:
    if card_type is CardType.CPE:
        given, surname = _names(name) if name else (None, None)
        structure = Structure()
        identifier = f"{EMPLOYEE_PREFIX}{structure.number[1:]}/CPET{_digits(rng, 5)}"
        return Holder(identifier, given, surname, None, None, None, (), structure)
    given, surname = _names(name or "Claire Testeuse")
    registered = f"997{_digits(rng, 7)}"
    identifier = f"8{registered}{luhn(registered)}"
    if card_type is CardType.CPF:
        return Holder(identifier, given, surname, None, None, DOCTOR, ())
    return Holder(identifier, given, surname, MEDICINE, DOCTOR)


def _names(name: str) -> tuple[str | None, str]:
    """Split a name as certificates write it: capitals, the surname last."""
    given, _, surname = name.strip().upper().rpartition(" ")
    return given or None, surname


def _digits(rng: Random, count: int) -> str:
    return f"{int.from_bytes(rng(8)) % 10**count:0{count}d}"
