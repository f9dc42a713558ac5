"""Virtual CPS, CPF and CPE cards of generation CPS3 (IAS-ECC), with both their faces."""

from simulators.cps.card import VirtualCps
from simulators.cps.chip import Face
from simulators.cps.personalisation import personalise, random_number

__all__ = ["Face", "VirtualCps", "personalise", "random_number"]
