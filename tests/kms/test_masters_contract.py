"""One contract for all backends: a keystore, tokens with CKM_AES_CMAC and without, KMIP."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest

from cardd.errors import CarddError, Code, KmsUnavailable, Refused, StartCode, StartError
from cardd.kms.diversification import diversify
from cardd.kms.masters.check_values import kcv_of
from cardd.kms.masters.opening import (
    Keys,
    add_generation,
    create_keys,
    open_keys,
    open_master_keys,
)
from cardd.kms.ports import BADGE_PURPOSES, KeyState, MasterKeys, Masters, Purpose
from cardd.secret import Secret
from tests.kms.masters_world import BACKENDS, Backend, backend_named

pytestmark = pytest.mark.services

VECTORS = Path(__file__).parents[1] / "vectors"
AN10922 = json.loads((VECTORS / "an10922_aes.json").read_text())["vectors"][0]
NIST = json.loads((VECTORS / "cmac_aes128.json").read_text())
ROWS = [b"cardd registry row 1" * 20, b"", b"x"]

NEXT, CURRENT, PREVIOUS = KeyState.NEXT, KeyState.CURRENT, KeyState.PREVIOUS


@pytest.fixture(params=BACKENDS)
def empty(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Backend:
    return backend_named(request.param, tmp_path, request, monkeypatch)


@pytest.fixture
def backend(empty: Backend) -> Backend:
    with create_keys(empty.kms):
        pass
    return empty


@contextmanager
def opened(backend: Backend) -> Iterator[Masters]:
    with open_keys(backend.kms) as keys:
        yield keys.masters


@contextmanager
def ceremony(backend: Backend) -> Iterator[MasterKeys]:
    with open_master_keys(backend.kms) as keys:
        yield keys


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(CarddError) as caught:
        action()
    return caught.value.code


def test_a_backend_is_created_with_a_random_master_for_each_purpose(backend: Backend) -> None:
    with opened(backend) as masters:
        assert [masters.current(each) for each in Purpose] == [1] * len(Purpose)
        assert [masters.generations(each) for each in Purpose] == [(1,)] * len(Purpose)
        assert len({masters.mac(each, 1, b"m") for each in Purpose}) == len(Purpose)


def test_what_is_there_is_never_overwritten(backend: Backend) -> None:
    with opened(backend) as masters:
        before = [masters.mac(each, 1, b"m") for each in Purpose]
    with pytest.raises(StartError) as caught, create_keys(backend.kms):
        pass
    assert caught.value.code in {StartCode.KEYSTORE_EXISTS, StartCode.MASTERS_EXIST}
    with opened(backend) as masters:
        assert [masters.mac(each, 1, b"m") for each in Purpose] == before


def test_a_backend_that_is_empty_is_said_so(empty: Backend) -> None:
    with pytest.raises(StartError) as caught, open_keys(empty.kms):
        pass
    assert caught.value.code in {StartCode.KEYSTORE_NOT_FOUND, StartCode.MASTERS_NOT_FOUND}


def test_a_creation_that_fails_later_is_undone(empty: Backend) -> None:
    with pytest.raises(ZeroDivisionError), create_keys(empty.kms):
        raise ZeroDivisionError
    with create_keys(empty.kms):
        pass
    with opened(empty) as masters:
        assert masters.generations(Purpose.PICC) == (1,)


def test_an_imported_master_gives_the_keys_of_an10922(backend: Backend) -> None:
    with ceremony(backend) as keys:
        keys.import_key(Purpose.AUTHENTICATE, 2, Secret(bytes.fromhex(AN10922["master"])))
    with opened(backend) as masters:
        key = diversify(masters, Purpose.AUTHENTICATE, 2, bytes.fromhex(AN10922["m"]))
    assert key == Secret(bytes.fromhex(AN10922["an10922"]))


def test_a_mac_is_that_of_sp_800_38b_and_the_check_value_too(backend: Backend) -> None:
    key = Secret(bytes.fromhex(NIST["key"]))
    with ceremony(backend) as keys:
        keys.import_key(Purpose.TRANSPORT, 9, key)
    with opened(backend) as masters:
        for vector in NIST["vectors"]:
            mac = masters.mac(Purpose.TRANSPORT, 9, bytes.fromhex(vector["message"]))
            assert mac.hex() == vector["mac"].lower()
        assert masters.kcv(Purpose.TRANSPORT, 9) == kcv_of(key)
        assert len(masters.kcv(Purpose.TRANSPORT, 1)) == 3


def test_a_master_is_next_then_current_then_previous_then_gone(backend: Backend) -> None:
    with ceremony(backend) as keys:
        assert keys.states(Purpose.PICC) == {1: CURRENT}
        keys.generate(Purpose.PICC, 2)
        assert keys.states(Purpose.PICC) == {1: CURRENT, 2: NEXT}
    with opened(backend) as masters:
        assert (masters.current(Purpose.PICC), masters.generations(Purpose.PICC)) == (1, (1, 2))
        first, second = masters.kcv(Purpose.PICC, 1), masters.kcv(Purpose.PICC, 2)
        assert first != second
    with ceremony(backend) as keys:
        keys.promote(Purpose.PICC, 2)
        assert keys.states(Purpose.PICC) == {1: PREVIOUS, 2: CURRENT}
        assert keys.states(Purpose.APP_MASTER) == {1: CURRENT}
    with opened(backend) as masters:
        assert masters.current(Purpose.PICC) == 2
        assert [masters.kcv(Purpose.PICC, each) for each in (1, 2)] == [first, second]
    with ceremony(backend) as keys:
        keys.destroy(Purpose.PICC, 1)
        assert keys.states(Purpose.PICC) == {2: CURRENT}
    with opened(backend) as masters:
        assert masters.generations(Purpose.PICC) == (2,)
        with pytest.raises(KmsUnavailable):
            masters.mac(Purpose.PICC, 1, b"m")


def test_a_next_master_that_was_overtaken_is_previous_and_stays_so(backend: Backend) -> None:
    with ceremony(backend) as keys:
        keys.generate(Purpose.PICC, 2)
        keys.generate(Purpose.PICC, 4)
        keys.promote(Purpose.PICC, 4)
        assert keys.states(Purpose.PICC) == {1: PREVIOUS, 2: PREVIOUS, 4: CURRENT}
        assert code_of(lambda: keys.promote(Purpose.PICC, 2)) == Code.CONFLICT


def test_what_the_states_do_not_allow_is_refused_and_changes_nothing(backend: Backend) -> None:
    with ceremony(backend) as keys:
        keys.generate(Purpose.PICC, 2)
        keys.promote(Purpose.PICC, 2)
        states = keys.states(Purpose.PICC)
        key = Secret(bytes(16))
        assert code_of(lambda: keys.generate(Purpose.PICC, 2)) == Code.CONFLICT
        assert code_of(lambda: keys.import_key(Purpose.PICC, 1, key)) == Code.CONFLICT
        assert code_of(lambda: keys.promote(Purpose.PICC, 1)) == Code.CONFLICT
        assert code_of(lambda: keys.promote(Purpose.PICC, 2)) == Code.CONFLICT
        assert code_of(lambda: keys.promote(Purpose.PICC, 3)) == Code.NOT_FOUND
        assert code_of(lambda: keys.destroy(Purpose.PICC, 2)) == Code.CONFLICT
        assert code_of(lambda: keys.destroy(Purpose.PICC, 3)) == Code.NOT_FOUND
        keys.destroy(Purpose.PICC, 1)
        assert code_of(lambda: keys.generate(Purpose.PICC, 1)) == Code.CONFLICT
        for generation, length in ((0, 16), (256, 16), (3, 15), (3, 32)):
            with pytest.raises(ValueError, match=r"bytes|255"):
                keys.import_key(Purpose.PICC, generation, Secret(bytes(length)))
        assert keys.states(Purpose.PICC) == {2: states[2]}


def test_purposes_that_rotate_together_get_one_generation(backend: Backend) -> None:
    with ceremony(backend) as keys:
        keys.generate(Purpose.PICC, 4)
    assert add_generation(backend.kms, BADGE_PURPOSES) == 5
    with opened(backend) as masters:
        assert [masters.current(each) for each in BADGE_PURPOSES] == [5, 5, 5]
        assert masters.current(Purpose.REGISTRY) == 1


def test_a_sealed_value_opens_whole_in_its_own_row_and_place(backend: Backend) -> None:
    with opened(backend) as masters:
        for plaintext in ROWS:
            sealed = masters.seal(plaintext, b"row 1")
            assert sealed != masters.seal(plaintext, b"row 1")
            assert masters.open(sealed, b"row 1") == Secret(plaintext)
            with pytest.raises(KmsUnavailable):
                masters.open(sealed, b"row 2")
        for position in range(len(sealed)):
            changed = bytearray(sealed)
            changed[position] ^= 0x40
            with pytest.raises(KmsUnavailable):
                masters.open(bytes(changed), b"row 1")
        for length in range(0, len(sealed), 7):
            with pytest.raises(KmsUnavailable):
                masters.open(sealed[:length], b"row 1")


def test_what_an_older_registry_master_sealed_still_opens(backend: Backend) -> None:
    with opened(backend) as masters:
        sealed = masters.seal(b"one-time key", b"row 1")
    add_generation(backend.kms, (Purpose.REGISTRY,))
    with opened(backend) as masters:
        assert masters.current(Purpose.REGISTRY) == 2
        assert masters.open(sealed, b"row 1") == Secret(b"one-time key")


def test_a_generation_that_is_not_there_makes_the_kms_unavailable(backend: Backend) -> None:
    with opened(backend) as masters:
        for generation in (2, 255):
            with pytest.raises(KmsUnavailable, match=f"generation {generation}"):
                masters.mac(Purpose.TRANSPORT, generation, b"m")
        assert masters.mac(Purpose.TRANSPORT, 1, b"m")


def test_a_running_service_uses_a_generation_made_meanwhile_where_it_can(
    backend: Backend,
) -> None:
    with opened(backend) as masters:
        add_generation(backend.kms, BADGE_PURPOSES)
        assert masters.current(Purpose.PICC) == 1
        if backend.held:
            assert len(masters.mac(Purpose.PICC, 2, b"m")) == 16
        else:
            with pytest.raises(KmsUnavailable):
                masters.mac(Purpose.PICC, 2, b"m")


def test_threads_that_share_the_masters_get_the_same_macs_as_one(backend: Backend) -> None:
    messages = [number.to_bytes(3, "big") * 9 for number in range(60)]
    results: dict[int, list[bytes]] = {}
    with opened(backend) as masters:
        expected = [masters.mac(Purpose.PICC, 1, message) for message in messages]

        def work(number: int) -> None:
            results[number] = [masters.mac(Purpose.PICC, 1, message) for message in messages]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert results == dict.fromkeys(range(6), expected)


def test_an_assertion_verifies_with_the_public_key_also_after_a_restart(
    backend: Backend,
) -> None:
    def signed(keys: Keys) -> tuple[str, dict[str, str]]:
        token = keys.signer.sign({"sub": "é", "n": 1}, "cardd-auth+jwt")
        (jwk,) = keys.signer.jwks()["keys"]
        return token, jwk

    with open_keys(backend.kms) as keys:
        token, jwk = signed(keys)
    with open_keys(backend.kms) as keys:
        again, same = signed(keys)
    assert jwk == same
    assert {"kty", "crv", "x", "y", "use", "alg", "kid"} == jwk.keys()
    for each in (token, again):
        assert jwt.decode(each, jwt.PyJWK(jwk), algorithms=["ES256"]) == {"sub": "é", "n": 1}
        assert jwt.get_unverified_header(each) == {
            "typ": "cardd-auth+jwt",
            "alg": "ES256",
            "kid": jwk["kid"],
        }


def test_no_secret_shows_in_what_is_open(backend: Backend) -> None:
    with open_keys(backend.kms) as keys:
        shown = "".join(
            repr(each) + repr(vars(each)) for each in (keys.masters, keys.signer) if each
        )
    assert "12345678" not in shown
    assert "BEGIN" not in shown


def test_a_ceremony_is_refused_with_a_code_that_people_have_a_text_for(backend: Backend) -> None:
    with ceremony(backend) as keys, pytest.raises(Refused, match="stays as it is"):
        keys.generate(Purpose.PICC, 1)
