"""The CPS4 (NXP ChipDoc), contact face: its own commands on logical channel 1, no IAS-ECC.

From the facts of Cryptolib's source. No APDU trace of a real card is public: each module says what
in it is a model.
"""

from simulators.cps.chipdoc.card import VirtualCps4
from simulators.cps.chipdoc.chip import Product
from simulators.cps.chipdoc.personalisation import personalise

__all__ = ["Product", "VirtualCps4", "personalise"]
