"""What is on a CPS4, as lines for people: counters and sizes, never a code or a key."""

from collections.abc import Iterator

from simulators.cps.chipdoc.chip import PIN_REFERENCE, PUK_REFERENCE, Chip

CODE_NAMES = {PIN_REFERENCE: "PIN", PUK_REFERENCE: "PUK"}


def describe(chip: Chip) -> Iterator[str]:
    """Yield the lines of a whole chip."""
    yield f"CPS4  ATR {chip.product.atr.hex().upper()}"
    for reference, code in chip.codes.items():
        name = CODE_NAMES.get(reference, f"code {reference:02X}")
        yield f"{name}  {code.tries_left} of {code.tries} tries left"
    for reference, key in chip.keys.items():
        yield f"key {reference:02X}  RSA {8 * key.size_in_bytes()}"
    for path, file in chip.files.items():
        yield f"file 3F00{path.hex().upper()}  {len(file.content)} bytes, read {file.read.value}"
