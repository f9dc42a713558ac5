"""The check values of all masters, to compare with the form: they are no secrets."""

from cardd.cli.kms.papers import table
from cardd.kms.ports import Masters, Purpose


def kcv_lines(masters: Masters) -> list[str]:
    """Return a line for each master: purpose, generation, and its KCV in CMAC form."""
    return table(
        [
            (
                purpose.value,
                f"generation {generation}",
                f"KCV {shown(masters.kcv(purpose, generation))}",
            )
            for purpose in Purpose
            for generation in masters.generations(purpose)
        ]
    )


def shown(kcv: bytes) -> str:
    """Return a check value as it is written on a form."""
    return kcv.hex().upper()
