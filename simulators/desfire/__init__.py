"""Virtual DESFire EV1 and EV2 cards."""

from simulators.desfire.chip import Product
from simulators.desfire.picc import VirtualDesfire

__all__ = ["Product", "VirtualDesfire"]
