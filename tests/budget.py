"""A pytest plugin: the seconds spent by marker, before pytest's own summary line."""

from collections import defaultdict

import pytest


def _markers(config: pytest.Config) -> list[str]:
    lines: list[str] = config.getini("markers")
    return [line.partition(":")[0].partition("(")[0].strip() for line in lines]


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    seconds: dict[str, float] = defaultdict(float)
    tests: dict[str, set[str]] = defaultdict(set)
    known = _markers(config)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            marker = next((name for name in known if name in report.keywords), "no marker")
            seconds[marker] += report.duration
            tests[marker].add(report.nodeid)
    if not seconds:
        return
    terminalreporter.section("seconds by marker")
    for marker in sorted(seconds, key=seconds.__getitem__, reverse=True):
        terminalreporter.write_line(
            f"{seconds[marker]:8.2f} s  {len(tests[marker]):5d} tests  {marker}"
        )
