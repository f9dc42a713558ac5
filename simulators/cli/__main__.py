"""`python -m simulators.cli`, which is `cardd-sim`."""

from simulators.cli import main

main(prog_name="cardd-sim")
