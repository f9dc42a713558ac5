"""A test IGC-Santé and cards of it, made once: RSA keys take their time."""

from dataclasses import replace

import pytest

from simulators.cps import chipdoc, personalise
from simulators.cps.chip import Chip as Cps3Chip
from simulators.cps.chipdoc import Product
from simulators.cps.chipdoc.chip import Chip
from simulators.pki import Pki, Profile


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Give a PKI; what a test revokes stays revoked."""
    return Pki.create(tmp_path_factory.mktemp("igc") / "pki")


@pytest.fixture(scope="session")
def cps4_chip(pki: Pki) -> Chip:
    """Give a CPS4's chip that offers T=1; chips are values, so that no test can change it."""
    return chipdoc.personalise(pki, Profile()).chip


@pytest.fixture(scope="session")
def cps4_t0_chip(cps4_chip: Chip) -> Chip:
    """Give the same chip as a card of T=0 alone."""
    return replace(cps4_chip, product=Product.T0)


@pytest.fixture(scope="session")
def cps3_chip(pki: Pki) -> Cps3Chip:
    """Give a CPS3's chip; it is a value, so that no test can change it."""
    return personalise(pki, Profile()).chip
