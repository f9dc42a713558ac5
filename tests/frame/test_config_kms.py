"""Which key services, clients and certificates a configuration may name."""

from pathlib import Path

import pytest

from cardd.config import Config, parse
from cardd.config_kms import host_and_port, https_address, unix_path
from cardd.errors import StartCode, StartError

pytestmark = pytest.mark.unit

BADGE = '[badge]\nsystem_identifier = "0011223344556677"\n'
TLS = '[kms.tls]\ncertificate = "/c"\nkey = "/k"\nauthority = "/a"\n'
PRINT = "AB" * 32


def config(text: str) -> Config:
    return parse(BADGE + text, "test")


def client(**members: str) -> str:
    wanted = {"name": '"desk"', "user": '"0"', "rights": '["tap"]', **members}
    lines = (f"{name} = {value}\n" for name, value in wanted.items() if value)
    return "[[kms.clients]]\n" + "".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "[kms]\nurls = []\n",
        '[kms]\nurls = ["embedded:", "unix:/a"]\n',
        '[kms]\nurls = ["unix:relative"]\n',
        '[kms]\nurls = ["http://kms.example"]\n' + TLS,
        '[kms]\nurls = ["https://user@kms.example"]\n' + TLS,
        '[kms]\nurls = ["https://kms.example/path"]\n' + TLS,
        '[kms]\nurls = ["https://kms.example:0"]\n' + TLS,
        '[kms]\nurls = ["https://kms.example:65536"]\n' + TLS,
        '[kms]\nurls = ["https://kms.example"]\n',
        '[kms]\nurls = ["unix:/a", "unix:/a"]\n',
        '[kms.listen]\nhttps = "host"\n' + TLS,
        '[kms.listen]\nhttps = "host:65536"\n' + TLS,
        '[kms.listen]\nhttps = "[::]:8443"\n',
        '[kms.listen]\njwks = "[::]:8444"\n',
        "[kms.listen]\nmax_connections = 7\n",
        TLS.replace('"/k"', '"relative"'),
        client(user=""),
        client(fingerprint=f'"{PRINT}"'),
        client(user="", fingerprint='"AB"'),
        client(user="", fingerprint="[]"),
        client(name='"de sk"'),
        client(rights='["rule"]'),
        client(aids='["F5CA"]'),
        client(badges_per_hour="0"),
        client() + client(name='"other"'),
        client() + client(user='"1"'),
        client(user="", fingerprint=f'"{PRINT}"')
        + client(user="", name='"b"', fingerprint=f'["{"ab:" * 31}ab"]'),
    ],
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(StartError) as caught:
        config(text)
    assert caught.value.code is StartCode.CONFIG_INVALID


def test_a_client_may_have_two_certificates_while_one_is_renewed() -> None:
    text = client(user="", fingerprint=f'["{PRINT}", "{":".join(["01"] * 32)}"]')
    (found,) = config(text).kms.clients
    assert found.fingerprints == (bytes.fromhex(PRINT), b"\x01" * 32)
    assert found.badges_per_hour == 300


def test_addresses_are_split() -> None:
    assert unix_path("unix:/run/kms.sock") == Path("/run/kms.sock")
    assert unix_path("https://kms") is None
    assert https_address("https://kms.example") == ("kms.example", 8443)
    assert https_address("https://[::1]:9443") == ("::1", 9443)
    assert https_address("unix:/a") is None
    assert host_and_port("[::]:8443") == ("::", 8443)
    assert host_and_port("kms.example:0") == ("kms.example", 0)
