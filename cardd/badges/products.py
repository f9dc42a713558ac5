"""What each product of DESFire is good for here."""

from cardd.badges.model import Scheme
from cardd.desfire.version import Product

_BEST = {
    Product.EV1: Scheme.EV1_AES,
    Product.EV2: Scheme.EV2_AES,
    Product.EV3: Scheme.EV2_AES,
}


def best_scheme(product: Product | None) -> Scheme | None:
    """Return the best scheme of a product; None for one without AES, or that is not known."""
    return None if product is None else _BEST.get(product)
