"""The configuration chooses: backends that are not installed, an assertion key in a sealed file."""

import subprocess
import sys
from pathlib import Path

import jwt
import pytest

from cardd.errors import StartCode, StartError
from cardd.kms.masters.opening import create_keys, open_keys
from tests.kms.kms_world import configuration
from tests.kms.masters_world import Backend, with_kms, written

pytestmark = pytest.mark.unit

# None in sys.modules is how Python marks a module that cannot be imported.
WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from cardd.cli.kms.main import main
main(["jwks", "--config", sys.argv[2]])
"""


def sealed(folder: Path) -> Backend:
    key = f"sealed:{folder / 'assertion.key'}"
    return Backend("soft", with_kms(configuration(folder), assertion_key=key))


def refusal(backend: Backend) -> StartCode:
    with pytest.raises(StartError) as caught, open_keys(backend.kms):
        pass
    return caught.value.code


@pytest.mark.parametrize(
    ("package", "masters"),
    [("pkcs11", "pkcs11:token=t?module-path=/m.so"), ("kmip", "kmip://127.0.0.1")],
)
def test_a_backend_that_is_not_installed_names_the_extra(
    tmp_path: Path, package: str, masters: str
) -> None:
    text = written(sealed(tmp_path), tmp_path).read_text().splitlines()
    lines = [f'masters = "{masters}"' if line.startswith("masters") else line for line in text]
    identity = ["[kms.kmip]", 'certificate = "/c"', 'key = "/k"', 'authority = "/a"']
    file = tmp_path / "cardd.toml"
    file.write_text("\n".join(lines + identity))
    command = [sys.executable, "-W", "error", "-c", WITHOUT, package, file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 78
    assert "backend_not_installed" in done.stderr
    assert f"pip install cardd[{package}]" in done.stderr


@pytest.mark.parametrize("package", ["pkcs11", "kmip"])
def test_a_keystore_needs_no_package_of_the_others(tmp_path: Path, package: str) -> None:
    backend = sealed(tmp_path)
    with create_keys(backend.kms):
        pass
    command = [sys.executable, "-c", WITHOUT, package, written(backend, tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_assertion_key_in_a_file_signs_and_the_masters_alone_open_it(tmp_path: Path) -> None:
    backend = sealed(tmp_path)
    path = tmp_path / "assertion.key"
    with create_keys(backend.kms):
        assert path.stat().st_mode & 0o777 == 0o600
    with open_keys(backend.kms) as keys:
        (jwk,) = keys.signer.jwks()["keys"]
        token = keys.signer.sign({"sub": "x"}, "t")
    assert jwt.decode(token, jwt.PyJWK(jwk), algorithms=["ES256"]) == {"sub": "x"}
    with open_keys(with_kms(backend.config, assertion_key="masters").kms) as keys:
        assert keys.signer.jwks()["keys"] != [jwk]


def test_an_assertion_key_is_never_overwritten(tmp_path: Path) -> None:
    backend = sealed(tmp_path)
    (tmp_path / "assertion.key").write_bytes(b"an old one")
    with pytest.raises(StartError) as caught, create_keys(backend.kms):
        pass
    assert caught.value.code is StartCode.KEYSTORE_EXISTS
    assert (tmp_path / "assertion.key").read_bytes() == b"an old one"
    assert not (tmp_path / "keystore.json").exists()


def test_a_creation_that_fails_later_leaves_no_assertion_key(tmp_path: Path) -> None:
    backend = sealed(tmp_path)
    with pytest.raises(ZeroDivisionError), create_keys(backend.kms):
        raise ZeroDivisionError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["credential"]


def test_an_assertion_key_that_is_missing_changed_or_another_s_is_said_so(tmp_path: Path) -> None:
    backend = sealed(tmp_path)
    with create_keys(backend.kms):
        pass
    path = tmp_path / "assertion.key"
    good = path.read_bytes()
    for bad in (b"", good[:-1], bytes((*good[:20], good[20] ^ 1, *good[21:])), good * 40):
        path.write_bytes(bad)
        assert refusal(backend) in {StartCode.KEYSTORE_DAMAGED, StartCode.KEYSTORE_UNAVAILABLE}
    path.write_bytes(good)
    with open_keys(backend.kms):
        pass
    path.unlink()
    assert refusal(backend) is StartCode.KEYSTORE_NOT_FOUND
