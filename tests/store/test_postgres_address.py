"""What `kms.registry` may say of a PostgreSQL; no password is ever in what is said back."""

import subprocess
import sys

import pytest

from cardd.config import Kms
from cardd.errors import StartCode, StartError
from cardd.store.opening import CREDENTIAL, configured, place
from cardd.store.postgres_address import parse

pytestmark = pytest.mark.unit

PASSWORD = "hunter2-hunter2"


def refusal(url: str) -> str:
    with pytest.raises(StartError) as caught:
        place(url)
    assert caught.value.code is StartCode.CONFIG_INVALID
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://cardd:{PASSWORD}@localhost/cardd",
        f"postgresql://cardd@localhost/cardd?password={PASSWORD}",
        f"postgresql://cardd@localhost/cardd?sslpassword={PASSWORD}",
        f"postgresql://cardd:{PASSWORD}@localhost:5432x/cardd?%zz=1",
        f"postgresql://cardd:{PASSWORD}@[::1/cardd",
        f"postgresql://cardd:{PASSWORD}%00@localhost/cardd",
        f"postgresql://cardd:{PASSWORD}\udcff@localhost/cardd",
    ],
)
def test_a_password_in_the_address_is_refused_and_never_said_back(url):
    assert PASSWORD not in refusal(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u@db.chu.example/cardd", "sslrootcert"),
        ("postgresql://u@db.chu.example/cardd?sslmode=require", "verify-full"),
        ("postgresql://u@db/cardd?sslmode=disable&sslrootcert=/ca", "verify-full"),
        ("postgresql://u@localhost,10.0.0.7/cardd", "10.0.0.7"),
        ("postgresql://u@[2001:db8::1]/cardd", "2001:db8::1"),
    ],
)
def test_a_server_over_the_network_must_be_vouched_for(url, says):
    assert says in refusal(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql:///cardd", "host"),
        ("postgresql://u@localhost", "dbname"),
        ("postgresql://u@localhost/cardd?options=-c%20fsync%3Doff", "options"),
        ("postgresql://u@localhost/cardd?hostaddr=10.0.0.7", "hostaddr"),
        ("postgresql://u@localhost/cardd?nothing=1", "no address"),
    ],
)
def test_what_is_missing_or_not_taken_is_named(url, says):
    assert says in refusal(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@/cardd?host=/run/postgresql",
        "postgresql://u@localhost/cardd",
        "postgresql://u@[::1]:5433/cardd",
        "postgresql://u@127.0.0.2/cardd?sslmode=disable",
    ],
)
def test_a_server_on_this_machine_needs_no_certificate(url):
    assert parse(url, None).parameters["target_session_attrs"] == "read-write"


def test_a_server_over_the_network_is_verified_also_where_the_address_does_not_say_so():
    address = parse("postgresql://u@a.example,b.example/cardd?sslrootcert=/etc/ca.pem", None)
    assert address.parameters["sslmode"] == "verify-full"
    assert address.name == "postgresql://a.example,b.example/cardd"


def test_the_password_is_read_anew_each_time_and_shown_by_nothing(tmp_path):
    file = tmp_path / "password"
    file.touch(mode=0o600)
    address = parse("postgresql://u@localhost/cardd", file)
    for text in (PASSWORD, "another one"):
        file.write_text(text + "\nnot this line\n")
        assert address.password().reveal() == text.encode()
        assert text not in repr((address, address.password()))


@pytest.mark.parametrize("content", [b"", b"\n", b"caf\xc3\xa9\n", b"a\0b\n"])
def test_a_password_file_without_a_password_is_refused(tmp_path, content):
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_bytes(content)
    with pytest.raises(OSError, match="password"):
        parse("postgresql://u@localhost/cardd", file).password()


def test_a_password_file_that_everybody_may_read_is_refused(tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o604)
    with pytest.raises(PermissionError, match="0600"):
        parse("postgresql://u@localhost/cardd", file).password()


def test_the_credential_of_systemd_is_used_where_no_file_is_configured(tmp_path, monkeypatch):
    server = f"postgresql://u@/cardd?host={tmp_path}"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / CREDENTIAL).write_text("\n")
    (tmp_path / CREDENTIAL).chmod(0o600)
    with pytest.raises(StartError, match=f"{CREDENTIAL} cannot be used") as caught:
        configured(Kms(registry=server)).open()
    assert caught.value.code is StartCode.REGISTRY_UNAVAILABLE


def test_a_driver_that_is_not_installed_is_named():
    program = (
        "import sys\n"
        "sys.modules['psycopg'] = None\n"
        "from cardd.store.opening import place\n"
        "place('postgresql://u@localhost/cardd')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=30
    )
    assert "pip install cardd[postgres]" in done.stderr.splitlines()[-1]
