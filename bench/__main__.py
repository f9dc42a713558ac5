"""`make bench`: run the benchmarks, print a table, write bench/results/latest.json."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import look_up, tap
from bench.result import Result

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "latest.json"


def main() -> int:
    """Run them all."""
    results = [*tap.run(), *look_up.run()]
    Console().print(table(results))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    print(f"written to {RESULTS.relative_to(ROOT)}; times are this machine's, ratios travel better")
    return 0


def table(results: list[Result]) -> Table:
    """Return what a person reads."""
    made = Table("benchmark", "value", "peer", "ratio", "target")
    for result in results:
        target = "" if result.target is None else f"{result.target:.2f}"
        verdict = "" if result.met is None else (" met" if result.met else " not met")
        made.add_row(
            result.name,
            f"{result.value:.2f} {result.unit}",
            result.peer,
            f"{result.ratio:.2f}",
            target + verdict,
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
