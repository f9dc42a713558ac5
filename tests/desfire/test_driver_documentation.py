"""The driver's documentation does what it says."""

import re
from pathlib import Path

import pytest

from simulators.desfire.picc import VirtualDesfire

pytestmark = pytest.mark.unit

DOCUMENT = Path(__file__).parents[2] / "docs" / "desfire.md"


def test_the_examples_of_the_documentation_run_on_a_virtual_card(
    capsys: pytest.CaptureFixture[str],
):
    examples = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    virtual = VirtualDesfire.factory("ev2", uid=bytes.fromhex("04112233445566"))
    names = {"connection": virtual}
    exec("\n".join(examples), names)  # noqa: S102 - what the reader of the document would type
    assert len(examples) >= 6
    assert names["content"] == b"what the badge says".ljust(32)
    assert names["uid"] == virtual.uid
    assert names["signature"]
    assert capsys.readouterr().out.splitlines()[-1] == "not signed by NXP"
