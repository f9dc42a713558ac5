"""What is on a CPS3, as lines for people: counters and sizes, never a code or a key."""

from collections.abc import Iterator

from simulators.cps import layout
from simulators.cps.chip import Chip

CODE_NAMES = {layout.PIN: "PIN", layout.PUK: "PUK"}


def describe(chip: Chip) -> Iterator[str]:
    """Yield the lines of a whole chip."""
    yield f"CPS3  {chip.number}"
    for reference, code in chip.codes.items():
        uses = "" if code.uses_left is None else f", {code.uses_left} uses left"
        name = CODE_NAMES.get(reference, f"code {reference:02X}")
        yield f"{name}  {code.tries_left} of {code.tries} tries left{uses}"
    for (folder, reference), key in chip.keys.items():
        yield f"key {folder.hex().upper()}/{reference:02X}  RSA {8 * key.size_bytes}"
    for path, file in chip.files.items():
        yield f"file {path.hex().upper()}  {len(file.content)} bytes"
