"""Virtual DESFire EV1 and EV2 cards."""

from simulators.desfire.picc import VirtualDesfire
from simulators.desfire.product import Product

__all__ = ["Product", "VirtualDesfire"]
