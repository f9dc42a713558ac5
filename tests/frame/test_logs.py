"""What gets into the logs, and what never does."""

import io
import json
import logging
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from cardd import logs
from cardd.config import Logs
from cardd.secret import Secret

pytestmark = pytest.mark.unit

KEY = bytes.fromhex("8d2d7a53d0c14c1b9a7f0b3c5e6f7788")


@pytest.fixture
def lines() -> "Lines":
    structlog.reset_defaults()
    before = logging.root.handlers[:], logging.root.level
    yield Lines()  # type: ignore[misc]
    structlog.reset_defaults()
    logging.root.handlers[:] = before[0]
    logging.root.setLevel(before[1])


class Lines(io.StringIO):
    def objects(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


class Terminal(Lines):
    def isatty(self) -> bool:
        return True


def test_a_line_of_a_service_is_one_json_object(lines: Lines) -> None:
    logs.configure(Logs(), lines)
    structlog.get_logger("x").info("tap.done", reader="desk", sw=0x9100)
    (line,) = lines.objects()
    assert line["event"] == "tap.done"
    assert line["level"] == "info"
    assert (line["reader"], line["sw"]) == ("desk", 0x9100)
    assert str(line["timestamp"]).endswith("Z")


nested = st.recursive(
    st.sampled_from([Secret(KEY), KEY, bytearray(KEY), memoryview(KEY)]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1)
        | st.tuples(inner)
    ),
    max_leaves=5,
)


@given(value=nested, form=st.sampled_from(["json", "console"]))
def test_no_byte_of_a_key_is_logged_however_it_is_wrapped(value: object, form: str) -> None:
    stream = Lines()
    logs.configure(Logs(format=form), stream)  # type: ignore[arg-type]
    structlog.get_logger("x").warning("seen", value=value)
    shown = stream.getvalue()
    assert "bytes" in shown
    for piece in (KEY.hex(), repr(KEY)[2:12], "141, 45"):
        assert piece not in shown


def test_an_object_that_json_does_not_know_is_named_by_its_class_alone(lines: Lines) -> None:
    class Session:
        def __repr__(self) -> str:
            return f"Session({KEY.hex()})"

    logs.configure(Logs(format="json"), lines)
    structlog.get_logger("x").warning("seen", session=Session())
    assert lines.objects()[0]["session"] == "<Session>"


def test_an_exception_is_logged_with_its_traceback_and_without_local_variables(
    lines: Lines,
) -> None:
    def fail() -> None:
        key = KEY.hex()  # noqa: F841 - it must not be shown
        raise ValueError("what happened")

    for stream, form in ((lines, "json"), (Terminal(), "console")):
        logs.configure(Logs(format=form), stream)  # type: ignore[arg-type]
        try:
            fail()
        except ValueError:
            structlog.get_logger("x").exception("failed")
        assert "what happened" in stream.getvalue()
        assert "Traceback" in stream.getvalue()
        assert KEY.hex() not in stream.getvalue()


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("error", 0)])
def test_the_level_of_the_configuration_holds(lines: Lines, level: str, count: int) -> None:
    logs.configure(Logs(level=level), lines)  # type: ignore[arg-type]
    log = structlog.get_logger("x")
    log.debug("a")
    log.info("b")
    log.warning("c")
    assert len(lines.objects()) == count


def test_a_library_that_logs_in_the_old_way_gives_the_same_lines(lines: Lines) -> None:
    logs.configure(Logs(), lines)
    logging.getLogger("aiohttp.server").error("Unhandled %s", "thing", extra={"raw": KEY})
    (line,) = lines.objects()
    assert (line["event"], line["logger"], line["level"]) == (
        "Unhandled thing",
        "aiohttp.server",
        "error",
    )


def test_a_logger_made_before_follows_the_configuration(lines: Lines) -> None:
    log = structlog.get_logger("early")
    logs.configure(Logs(), io.StringIO())
    log.info("first")
    logs.configure(Logs(), lines)
    log.info("second")
    assert [line["event"] for line in lines.objects()] == ["second"]


def test_a_terminal_gets_readable_lines(lines: Lines) -> None:
    terminal = Terminal()
    logs.configure(Logs(), terminal)
    structlog.get_logger("x").info("reader.added", reader="desk")
    assert "reader.added" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_standard_error_is_the_default(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logs(format="json"))
    structlog.get_logger("x").info("here")
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["event"] == "here"
    assert sys.stderr is not None
