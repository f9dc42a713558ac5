"""A pytest plugin: line and branch coverage of `cardd/desfire`, and failure below a least share.

    pytest --desfire-coverage=95

Tracing slows Python 3.11 down by half, wherever it runs. So what is traced is the import of the
driver, and the tests of its own folder; and of those neither the random ones (marker `fuzz`) nor
those that try everything (`exhaustive`): what a line does is to be pinned by a test that names it.
"""

import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage, CoverageData

ROOT = Path(__file__).parent.parent
MEASURED = "cardd/desfire"
TRACED_TESTS = "tests/desfire/"
UNTRACED_MARKERS = ("fuzz", "exhaustive")
OPTION = "--desfire-coverage"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        OPTION,
        type=float,
        metavar="PERCENT",
        help=f"measure the coverage of {MEASURED} by {TRACED_TESTS}; fail below PERCENT",
    )


def pytest_configure(config: pytest.Config) -> None:
    least = config.getoption(OPTION)
    if least is not None:
        config.pluginmanager.register(DesfireCoverage(least))


class DesfireCoverage:
    """Measures in each worker, adds up and reports in the process that controls them."""

    def __init__(self, least: float) -> None:
        self._least = least
        self._coverage = Coverage(
            data_file=None,
            branch=True,
            config_file=False,
            include=[str(ROOT / MEASURED / "*")],
        )
        self._totals: dict[str, Any] = {}
        self._table = ""
        with self._traced():
            _import_all(MEASURED.replace("/", "."))

    @contextmanager
    def _traced(self) -> Iterator[None]:
        self._coverage.start()
        try:
            yield
        finally:
            self._coverage.stop()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if _is_traced(item):
            with self._traced():
                return (yield)
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        output = getattr(node, "workeroutput", {})
        if "desfire_coverage" in output:
            data = CoverageData(no_disk=True)
            data.loads(output["desfire_coverage"])
            self._coverage.get_data().update(data)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["desfire_coverage"] = self._coverage.get_data().dumps()
            return
        self._report(session.config)
        if self._totals["percent_covered"] < self._least and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _report(self, config: pytest.Config) -> None:
        folder = config.cache.mkdir("desfire-coverage")
        outcome, table = folder / "coverage.json", folder / "coverage.txt"
        self._coverage.json_report(outfile=str(outcome), show_contexts=False)
        self._totals = json.loads(outcome.read_text())["totals"]
        with table.open("w") as text:
            self._coverage.report(file=text, show_missing=True, skip_covered=True)
        self._table = table.read_text()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        totals = self._totals
        if not totals:
            return
        terminalreporter.section(f"coverage of {MEASURED}")
        short = totals["percent_covered"] < self._least
        if short:
            terminalreporter.write(self._table)
        terminalreporter.write_line(
            f"lines {_share(totals['covered_lines'], totals['num_statements'])}, "
            f"branches {_share(totals['covered_branches'], totals['num_branches'])}, "
            f"together {totals['percent_covered']:.1f} %; at least {self._least:g} % are asked for",
            red=short,
        )


def _is_traced(item: pytest.Item) -> bool:
    untraced = any(item.get_closest_marker(name) for name in UNTRACED_MARKERS)
    return item.nodeid.startswith(TRACED_TESTS) and not untraced


def _share(covered: int, of: int) -> str:
    return f"{100 * covered / of:.1f} % ({covered} of {of})" if of else "none"


def _import_all(package: str) -> None:
    if package in sys.modules:
        raise pytest.UsageError(
            f"{OPTION} goes with the whole of tests/: {package} is imported already"
        )
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, f"{package}."):
        importlib.import_module(found.name)
