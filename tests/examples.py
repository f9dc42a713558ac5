"""A pytest plugin: how many examples random tests try, and which.

In `make test` few, and the same each time. With CARDD_FUZZ=N, as `make fuzz` sets it, N times as
many, and others for each `--hypothesis-seed`; what fails is then made as small as can be, which
takes minutes that `make test` has not.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

_TIMES = int(os.environ.get("CARDD_FUZZ", "0"))
_PROFILE = "cardd"


def pytest_configure(config: pytest.Config) -> None:
    # No deadline: how long an example takes says how busy the machine is.
    settings.register_profile(_PROFILE, derandomize=not _TIMES, deadline=None, print_blob=True)
    settings.load_profile(_PROFILE)


def examples(number: int, *, steps: int = 50) -> settings:
    """Return settings for a test marked `fuzz`: that many examples, of at most so many steps."""
    return settings(
        max_examples=number * max(_TIMES, 1),
        stateful_step_count=steps,
        phases=tuple(Phase) if _TIMES else (Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
