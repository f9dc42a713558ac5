"""The configuration: what is refused, and with which code."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.config import load, parse
from cardd.errors import StartCode, StartError

pytestmark = pytest.mark.unit

BADGE = '[badge]\nsystem_identifier = "0011223344556677"\n'


def refused(text: str) -> StartError:
    with pytest.raises(StartError) as caught:
        parse(text, "cardd.toml")
    assert "cardd.toml" in str(caught.value)
    return caught.value


def test_a_system_identifier_is_all_that_is_required() -> None:
    settings = parse(BADGE, "cardd.toml")
    assert settings.kms.urls == ("embedded:",)
    assert settings.badge.aid == "F5CA4D"


def test_paths_are_read() -> None:
    settings = parse(BADGE + '[kms]\ncredential_file = "/etc/cardd/c"\n', "cardd.toml")
    assert settings.kms.credential_file == Path("/etc/cardd/c")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (BADGE + '[site]\nisuer = "urn:x"\n', ["isuer", "site"]),
        (BADGE + "colour = 1\n", ["colour", "badge"]),
        ("surprise = 1\n" + BADGE, ["surprise"]),
        (BADGE + '[[readers.virtual]]\nname = "a"\nlisten = "unix:/x"\nport = 1\n', ["port"]),
    ],
)
def test_an_unknown_key_is_named_with_its_place(text: str, named: list[str]) -> None:
    error = refused(text)
    assert error.code is StartCode.CONFIG_UNKNOWN_KEY
    assert all(word in str(error) for word in named)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[badge]\n",
        'badge = "x"\n',
        BADGE + 'keys = "shared"\n',
        BADGE + "keys = 5\n",
        BADGE + "keys = []\n",
        '[badge]\nkeys = "diversified"\n',
        BADGE + 'keys = "none"\nsurprise = 1\n',
    ],
)
def test_a_configuration_that_would_share_one_key_is_refused_with_the_rule(text: str) -> None:
    error = refused(text)
    assert error.code is StartCode.CONFIG_SHARED_KEY
    assert "one symmetric key common to all badges" in str(error)


def test_stored_keys_need_no_system_identifier() -> None:
    settings = parse('[badge]\nkeys = "stored"\n', "cardd.toml")
    assert settings.badge.keys == "stored"
    assert settings.badge.system_identifier == ""


KMIP = '[kms.kmip]\ncertificate = "/c"\nkey = "/k"\nauthority = "/a"\n'


@pytest.mark.parametrize(
    "text",
    [
        BADGE + 'aid = "000000"\n',
        BADGE + "[trust]\nocsp_timeout_s = 4.1\n",
        BADGE + "[trust]\nocsp_timeout_s = 0\n",
        BADGE + 'aid = "F5CA"\n',
        BADGE.replace("0011223344556677", "0011223344"),
        BADGE.replace("0011223344556677", "00" * 19),
        BADGE.replace("0011223344556677", "x" * 16),
        BADGE + "lifetime_days = 1097\n",
        BADGE + f'originality_test_keys = ["04{"11" * 56}"]\n',
        "development = true\n" + BADGE + 'originality_test_keys = ["0411"]\n',
        BADGE + '[kms]\nurls = ["https://kms.example"]\n',
        BADGE + '[kms]\ncredential_file = "/a"\npassphrase_file = "/b"\n',
        BADGE + '[kms]\ncredential_file = "relative"\n',
        BADGE + "[kms]\ncredential_file = 5\n",
        BADGE + '[kms]\nmasters = "vault:x"\n',
        BADGE + '[kms]\nmasters = "kmip://h"\nassertion_key = "sealed:/k"\n',
        BADGE + f'[kms]\nmasters = "kmip://h"\n{KMIP}',
        BADGE + '[kms]\nassertion_key = "/k"\n',
        BADGE + '[sockets]\npath = "cardd.sock"\n',
        BADGE + '[sockets]\npath = "/run/\\u0000x"\n',
        BADGE + '[[readers.virtual]]\nname = "a"\nlisten = "tcp:0.0.0.0:1"\n',
        BADGE + '[[readers.virtual]]\nname = "a"\nlisten = "unix:/x"\n' * 2,
        BADGE + "[presence]\nidle_s = 0\n",
        BADGE + "[presence]\nidle_s = nan\n",
        BADGE + '[[access.grants]]\nrights = ["admin"]\n',
        BADGE + '[[access.grants]]\nuser = "a"\ngroup = "b"\nrights = ["admin"]\n',
        BADGE + '[[access.grants]]\nuser = "a"\nrights = ["rule"]\n',
        BADGE + '[[access.grants]]\nuser = "a"\nrights = ["observe"]\naudiences = ["x"]\n',
        BADGE + '[logs]\nlevel = "loud"\n',
    ],
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    assert refused(text).code is StartCode.CONFIG_INVALID


def test_what_is_no_toml_is_refused() -> None:
    assert refused("[badge\n").code is StartCode.CONFIG_SYNTAX


def test_a_file_that_is_missing_or_unreadable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        load(tmp_path / "none.toml")
    assert caught.value.code is StartCode.CONFIG_NOT_FOUND
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name in ("binary.toml", "."):
        with pytest.raises(StartError) as caught:
            load(tmp_path / name)
        assert caught.value.code is StartCode.CONFIG_INVALID


@given(st.text(alphabet='[]="\n abcdef0123.{}#', max_size=60))
def test_any_text_is_a_configuration_or_a_documented_error(text: str) -> None:
    for whole in (text, BADGE + text):
        with suppress(StartError):
            parse(whole, "cardd.toml")
