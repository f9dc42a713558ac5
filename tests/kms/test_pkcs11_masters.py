"""What is a token's own: it goes and comes back, its PIN locks, its keys must stay in it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass, Session

from cardd.errors import Code, KmsUnavailable, Refused, StartCode, StartError
from cardd.kms.masters import pkcs11_module
from cardd.kms.masters.held import HeldMasterKeys, HeldMasters
from cardd.kms.masters.names import Names
from cardd.kms.masters.opening import create_keys, open_keys, open_master_keys
from cardd.kms.masters.outage import PAUSE_S
from cardd.kms.masters.pkcs11 import Pkcs11Keys
from cardd.kms.masters.pkcs11_token import OpenToken
from cardd.kms.masters.pkcs11_uri import parse
from cardd.kms.ports import Purpose
from cardd.secret import Secret
from tests.kms.kms_world import configuration
from tests.kms.masters_world import Backend, on_token, token_uri, with_kms
from tests.services.fixtures import Token

pytestmark = pytest.mark.services

MESSAGE = b"a message of more than a block"


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def backend(token: Token, tmp_path: Path) -> Backend:
    backend = Backend("pkcs11", on_token(configuration(tmp_path), tmp_path, token))
    with create_keys(backend.kms):
        pass
    return backend


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def opened(backend: Backend, token: Token, watch: Watch) -> Iterator[OpenToken]:
    held = OpenToken(
        parse(token_uri(token)), Secret(token.pin.encode()), writable=True, monotonic=watch
    )
    yield held
    held.close()


def masters_of(token: OpenToken) -> HeldMasters:
    return HeldMasters(Pkcs11Keys(token, Names("cardd")))


def lose_sessions(token: OpenToken) -> None:
    """Do to the module what a device does that was reset: every session and login is gone."""
    token._module.take_turn()
    token._module.library().finalize()
    token._module.library().initialize()
    token._module.end_turn()


def refusal(backend: Backend) -> StartCode:
    with pytest.raises(StartError) as caught, open_keys(backend.kms):
        pass
    return caught.value.code


def test_a_master_may_compute_macs_and_nothing_else_and_never_leaves(opened: OpenToken) -> None:
    def look(session: Session) -> list[dict[Attribute, object]]:
        wanted = (
            *(Attribute.TOKEN, Attribute.PRIVATE, Attribute.SENSITIVE, Attribute.EXTRACTABLE),
            *(Attribute.NEVER_EXTRACTABLE, Attribute.ALWAYS_SENSITIVE, Attribute.VALUE_LEN),
            *(Attribute.SIGN, Attribute.VERIFY, Attribute.ENCRYPT, Attribute.DECRYPT),
            *(Attribute.WRAP, Attribute.UNWRAP, Attribute.DERIVE, Attribute.KEY_TYPE),
        )
        keys = list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))
        return [key.get_attributes(wanted) for key in keys]

    found = opened.call(look)
    assert len(found) == len(Purpose)
    for key in found:
        assert {attribute for attribute, value in key.items() if value is True} == {
            *(Attribute.TOKEN, Attribute.PRIVATE, Attribute.SENSITIVE, Attribute.SIGN),
            *(Attribute.NEVER_EXTRACTABLE, Attribute.ALWAYS_SENSITIVE),
        }
        assert (key[Attribute.KEY_TYPE], key[Attribute.VALUE_LEN]) == (KeyType.AES, 16)


def test_a_lost_session_is_opened_again_unseen(opened: OpenToken) -> None:
    masters = masters_of(opened)
    before = masters.mac(Purpose.PICC, 1, MESSAGE)
    for _ in range(3):
        lose_sessions(opened)
        assert masters.mac(Purpose.PICC, 1, MESSAGE) == before
    lose_sessions(opened)
    assert masters_of(opened).current(Purpose.PICC) == 1


def test_a_ceremony_goes_on_in_a_session_that_was_lost(opened: OpenToken) -> None:
    keys = HeldMasterKeys(Pkcs11Keys(opened, Names("cardd")))
    lose_sessions(opened)
    keys.generate(Purpose.PICC, 2)
    lose_sessions(opened)
    keys.promote(Purpose.PICC, 2)
    assert masters_of(opened).current(Purpose.PICC) == 2


def test_a_token_that_is_gone_is_said_so_at_once_and_is_used_when_it_is_back(
    opened: OpenToken, token: Token, watch: Watch
) -> None:
    masters = masters_of(opened)
    before = masters.mac(Purpose.PICC, 1, MESSAGE)
    away = token.directory.with_name("away")
    token.directory.rename(away)
    token.directory.mkdir()
    for _ in range(3):
        with pytest.raises(KmsUnavailable, match="is not there"):
            masters.mac(Purpose.PICC, 1, MESSAGE)
    token.directory.rmdir()
    away.rename(token.directory)
    with pytest.raises(KmsUnavailable):  # nobody looks again within the pause
        masters.mac(Purpose.PICC, 1, MESSAGE)
    watch.time += PAUSE_S
    assert masters.mac(Purpose.PICC, 1, MESSAGE) == before


def test_a_wrong_pin_is_tried_once_and_then_not_until_somebody_logged_in_rightly(
    backend: Backend, token: Token
) -> None:
    pin = backend.kms.pin_file
    assert pin is not None
    pin.write_text("99999999\n")
    with pytest.raises(StartError, match="tried once") as caught, open_keys(backend.kms):
        pass
    assert caught.value.code is StartCode.MASTERS_CREDENTIALS
    assert "99999999" not in str(caught.value)
    pin.write_text(f"{token.pin}\n")
    with pytest.raises(StartError, match="was not tried") as caught, open_keys(backend.kms):
        pass
    assert caught.value.code is StartCode.MASTERS_CREDENTIALS
    log_in_by_hand(token)
    with open_keys(backend.kms) as keys:
        assert keys.masters.current(Purpose.PICC) == 1


def test_a_pin_that_was_changed_meanwhile_is_refused_once_and_never_tried_again(
    opened: OpenToken, token: Token, watch: Watch
) -> None:
    masters = masters_of(opened)
    opened.call(lambda session: session.set_pin(token.pin, "11223344"))
    lose_sessions(opened)
    with pytest.raises(KmsUnavailable, match="refused the PIN"):
        masters.mac(Purpose.PICC, 1, MESSAGE)
    log_in_by_hand(token, "11223344", new=token.pin)
    watch.time += PAUSE_S
    with pytest.raises(KmsUnavailable, match="not tried again"):
        masters.mac(Purpose.PICC, 1, MESSAGE)


def log_in_by_hand(token: Token, pin: str = "", new: str = "") -> None:
    """Log in as an administrator's tool would, in turn with whoever uses the module here."""
    module = pkcs11_module.module_at(token.module)
    module.take_turn()
    try:
        module.enter()
        (found,) = module.library().get_tokens(token_label=token.label)
        session = found.open(rw=True, user_pin=pin or token.pin)
        if new:
            session.set_pin(pin, new)
        session.close()
        module.leave()
    finally:
        module.end_turn()


def test_two_key_services_in_one_process_do_not_log_each_other_out(backend: Backend) -> None:
    with open_keys(backend.kms) as one:
        before = one.masters.mac(Purpose.PICC, 1, MESSAGE)
        with open_keys(backend.kms) as two:
            assert two.masters.mac(Purpose.PICC, 1, MESSAGE) == before
        assert one.masters.mac(Purpose.PICC, 1, MESSAGE) == before
        with open_master_keys(backend.kms) as keys:
            keys.generate(Purpose.PICC, 2)
        assert one.masters.mac(Purpose.PICC, 2, MESSAGE) != before
        assert one.signer.sign({}, "t")


def test_a_module_that_does_not_return_makes_the_kms_unavailable(
    opened: OpenToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    masters = masters_of(opened)
    monkeypatch.setattr(pkcs11_module, "CALL_LIMIT_S", 0.05)
    inside, leave = threading.Event(), threading.Event()

    def stuck(session: Session) -> None:
        inside.set()
        leave.wait(20)

    thread = threading.Thread(target=opened.call, args=(stuck,))
    thread.start()
    assert inside.wait(20)
    try:
        for _ in range(3):
            with pytest.raises(KmsUnavailable, match="does not return"):
                masters.mac(Purpose.PICC, 1, MESSAGE)
    finally:
        leave.set()
        thread.join(20)
    assert masters.mac(Purpose.PICC, 1, MESSAGE)


def add_key(token: OpenToken, label: str, **template: bool) -> None:
    more = {Attribute[name.upper()]: value for name, value in template.items()}

    def make(session: Session) -> None:
        capabilities = MechanismFlag.SIGN
        session.generate_key(
            KeyType.AES, 128, label=label, store=True, capabilities=capabilities, template=more
        )

    token.call(make)


def test_a_key_that_could_leave_the_token_is_no_master(opened: OpenToken, backend: Backend) -> None:
    add_key(opened, "cardd/picc/2", extractable=True)
    with pytest.raises(KmsUnavailable, match="can be taken out"):
        masters_of(opened)
    assert refusal(backend) is StartCode.MASTERS_UNAVAILABLE


def test_two_keys_of_one_name_are_told_and_neither_is_used(
    opened: OpenToken, backend: Backend
) -> None:
    add_key(opened, "cardd/picc/1", extractable=False)
    assert refusal(backend) is StartCode.MASTERS_UNAVAILABLE
    add_key(opened, "cardd/registry/2", extractable=False)
    with open_master_keys(backend.kms) as keys, pytest.raises(KmsUnavailable, match="two masters"):
        keys.states(Purpose.PICC)


def test_keys_of_other_names_are_nobody_s_masters(opened: OpenToken) -> None:
    for label in ("card/picc/7", "cardd/picc/0", "cardd/picc/256", "other", ""):
        add_key(opened, label, extractable=True)
    assert masters_of(opened).generations(Purpose.PICC) == (1,)


def test_a_creation_that_was_cut_goes_on(token: Token, tmp_path: Path) -> None:
    backend = Backend("pkcs11", on_token(configuration(tmp_path), tmp_path, token))
    with open_master_keys(backend.kms) as keys:
        keys.generate(Purpose.PICC, 1)
        keys.promote(Purpose.PICC, 1)
        keys.generate(Purpose.APP_MASTER, 1)
    with create_keys(backend.kms) as masters:
        assert [masters.current(each) for each in Purpose] == [1] * len(Purpose)


def test_what_the_token_cannot_do_is_refused_and_leaves_nothing(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What only the security officer may ask for: refused as others refuse the import of keys.
    monkeypatch.setattr(Pkcs11Keys, "_template", lambda *_: {Attribute.TRUSTED: True})
    with open_master_keys(backend.kms) as keys:
        for refused in (
            lambda: keys.generate(Purpose.PICC, 2),
            lambda: keys.import_key(Purpose.PICC, 2, Secret(bytes(16))),
        ):
            with pytest.raises(Refused, match="AttributeReadOnly") as caught:
                refused()
            assert caught.value.code is Code.NOT_SUPPORTED
        assert list(keys.states(Purpose.PICC)) == [1]


def test_a_token_without_the_assertion_key_is_told_what_to_do(
    opened: OpenToken, backend: Backend
) -> None:
    def destroy(session: Session) -> None:
        for key in list(session.get_objects({Attribute.LABEL: "cardd/assertion/1"})):
            key.destroy()

    opened.call(destroy)
    assert refusal(backend) is StartCode.MASTERS_NOT_FOUND


def test_a_public_key_of_another_pair_is_found_before_anything_is_signed(
    opened: OpenToken, backend: Backend
) -> None:
    def swap(session: Session) -> None:
        label = {Attribute.LABEL: "cardd/assertion/1", Attribute.CLASS: ObjectClass.PUBLIC_KEY}
        (public,) = list(session.get_objects(label))
        point = bytearray(public[Attribute.EC_POINT])
        parameters = public[Attribute.EC_PARAMS]
        public.destroy()
        point[-1] ^= 1
        session.create_object(
            {
                **label,
                Attribute.TOKEN: True,
                Attribute.KEY_TYPE: KeyType.EC,
                Attribute.EC_PARAMS: parameters,
                Attribute.EC_POINT: bytes(point),
            }
        )

    opened.call(swap)
    assert refusal(backend) is StartCode.MASTERS_UNUSABLE


def test_what_is_configured_wrongly_is_said_by_its_own_code(
    backend: Backend, token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = backend.kms.pin_file
    assert pin is not None
    text = tmp_path / "text.so"
    text.write_text("no module")
    for masters, code in {
        "pkcs11:token=none?module-path=" + str(token.module): StartCode.MASTERS_UNAVAILABLE,
        f"pkcs11:token={token.label}?module-path=/none.so": StartCode.MASTERS_NOT_FOUND,
        f"pkcs11:token={token.label}?module-path={text}": StartCode.MASTERS_UNAVAILABLE,
        f"pkcs11:token={token.label}": StartCode.CONFIG_INVALID,
        token_uri(token, "another"): StartCode.MASTERS_NOT_FOUND,
    }.items():
        assert refusal(Backend("pkcs11", with_kms(backend.config, masters=masters))) is code
    pin.chmod(0o640)
    assert refusal(backend) is StartCode.KEYSTORE_PERMISSIONS
    pin.chmod(0o600)
    for content in (b"", b"\n12345678\n", b"\xff\n"):
        pin.write_bytes(content)
        assert refusal(backend) is StartCode.MASTERS_CREDENTIALS
    pin.unlink()
    assert refusal(backend) is StartCode.MASTERS_CREDENTIALS
    without = Backend("pkcs11", with_kms(backend.config, pin_file=None))
    assert refusal(without) is StartCode.MASTERS_CREDENTIALS
    (tmp_path / "cardd-pin").write_text(token.pin)
    (tmp_path / "cardd-pin").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with open_keys(without.kms) as keys:
        assert keys.masters.current(Purpose.PICC) == 1
