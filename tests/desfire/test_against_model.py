"""Driver and virtual card together do what a small model of a DESFire says, whatever is asked.

Random commands, right and wrong ones, in sessions of every mechanism on every product; cards that
leave the field between any two frames. After each command the chip holds what the model holds.
"""

import copy
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import seed
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cardd.desfire.applications import CHANGE_KEY_FROZEN, CHANGE_KEY_SAME, KeySettings
from cardd.desfire.applications import ApplicationSettings as Settings
from cardd.desfire.authentication import AuthenticationScheme as Scheme
from cardd.desfire.authentication import handshake
from cardd.desfire.card import DesfireCard
from cardd.desfire.command import CommunicationMode
from cardd.desfire.files import (
    FREE,
    NEVER,
    AccessRights,
    DataFileSettings,
    FileSettings,
    RecordFileSettings,
    ValueFileSettings,
)
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import CardProtocolError, CardRemoved, CardStatusError
from cardd.iso7816.exchange import Exchange
from cardd.secret import Secret
from simulators.desfire.picc import VirtualDesfire
from tests.desfire.attacked_wire import Numbers
from tests.desfire.card_model import ANY_RIGHT, PICC, READ, WRITE, Mistake, ModelCard
from tests.desfire.recorded_card import play
from tests.desfire.stored_state import in_model, on_chip
from tests.examples import examples

pytestmark = [pytest.mark.unit, pytest.mark.fuzz]

HOME, OTHER, UNKNOWN = 0xF51234, 0x000001, 0x777777
KEYS = 3
NO_ROOM = "OUT_OF_EEPROM_ERROR"
OVERHEAD_BYTES = 1024
"""More than any card needs beside the bytes of a file: where less is free, it may say so."""

SCHEMES = {
    KeyType.TDEA2: (Scheme.LEGACY, Scheme.ISO),
    KeyType.TDEA3: (Scheme.ISO,),
    KeyType.AES: (Scheme.AES, Scheme.EV2_FIRST),
}
MECHANISMS = {
    "D40": (Scheme.LEGACY, KeyType.TDEA2),
    "EV1 2TDEA": (Scheme.ISO, KeyType.TDEA2),
    "EV1 3TDEA": (Scheme.ISO, KeyType.TDEA3),
    "EV1 AES": (Scheme.AES, KeyType.AES),
    "EV2": (Scheme.EV2_FIRST, KeyType.AES),
}
CASES = [
    (product, mechanism)
    for product in ("ev1", "ev2", "ev3")
    for mechanism in MECHANISMS
    if (product, mechanism) != ("ev1", "EV2")
]

AIDS = st.sampled_from([HOME, HOME, HOME, OTHER, PICC, UNKNOWN])
NUMBERS = st.integers(0, 7)
LUCKY = st.sampled_from([True, True, True, True, False])
"""Whether a command is prepared: with a key that has the right, on a file of the right type."""

KEY_NUMBERS = st.sampled_from([0, 0, 1, 2, 3])
MODES = st.sampled_from(list(CommunicationMode))
RIGHTS = st.sampled_from([0, 1, 1, 2, FREE, NEVER, KEYS])
ACCESS = st.builds(AccessRights, RIGHTS, RIGHTS, RIGHTS, st.sampled_from([0, 0, 1, FREE, NEVER]))
OFFSETS = st.sampled_from([0, 0, 0, 0, 1, 7, 30, 200])
DATA = st.one_of(
    st.binary(min_size=1, max_size=9),
    st.binary(min_size=1, max_size=9),
    st.binary(min_size=60, max_size=130),
)
EDGES = st.sampled_from([None, None, -1, 0, 1])
"""By how much a command ends before or beyond what there is; None leaves it as it comes."""

AMOUNTS = st.sampled_from([0, 1, 5, 40, 2**31 - 1])
KEY_SETTINGS = st.builds(
    KeySettings,
    change_key=st.sampled_from([0, 0, 1, CHANGE_KEY_SAME, CHANGE_KEY_FROZEN]),
    configuration_changeable=st.sampled_from([True, True, True, False]),
    free_create_delete=st.booleans(),
    free_directory=st.booleans(),
    master_key_changeable=st.sampled_from([True, True, True, False]),
)
FILES: st.SearchStrategy[FileSettings] = st.one_of(
    st.builds(
        DataFileSettings,
        MODES,
        ACCESS,
        st.sampled_from([1, 8, 32, 150, 700, 2**24 - 1]),
        backup=st.booleans(),
    ),
    st.builds(
        ValueFileSettings,
        MODES,
        ACCESS,
        st.sampled_from([-100, -5, -(2**31)]),
        st.sampled_from([10, 100, 2**31 - 1]),
        st.integers(-5, 10),
        limited_credit=st.booleans(),
        free_get_value=st.booleans(),
    ),
    st.builds(
        RecordFileSettings,
        MODES,
        ACCESS,
        st.sampled_from([1, 8, 70]),
        st.integers(2, 4),
        cyclic=st.booleans(),
    ),
)

OWN = AccessRights(read=1, write=1, read_write=1, change=0)
FIRST_FILES: dict[int, FileSettings] = {
    0: DataFileSettings(CommunicationMode.FULL, OWN, 150),
    1: DataFileSettings(CommunicationMode.MAC, OWN, 32, backup=True),
    2: ValueFileSettings(CommunicationMode.FULL, OWN, -100, 100, 5, limited_credit=True),
    3: RecordFileSettings(CommunicationMode.MAC, OWN, 8, 3),
    4: RecordFileSettings(CommunicationMode.FULL, OWN, 8, 3, cyclic=True),
    5: DataFileSettings(CommunicationMode.PLAIN, OWN, 32),
}

Call = Callable[[DesfireCard], Exchange[Any]]
Prediction = Callable[[ModelCard], Any]


class Torn(CardRemoved):
    """The card left the field, on purpose."""


class Machine(RuleBasedStateMachine):
    """A reader, a card and the model of that card. `product` and `mechanism` are the subclass's."""

    product: str
    mechanism: str

    def __init__(self) -> None:
        super().__init__()
        self.scheme, self.key_type = MECHANISMS[self.mechanism]
        self.virtual = VirtualDesfire.factory(self.product, rng=Numbers(self.product))
        self.card = DesfireCard()
        self.model = ModelCard(is_ev1=self.product == "ev1")
        self.numbers = Numbers("reader")
        self.opened_by: Scheme | None = None
        self.tear: tuple[int, bool] | None = None

    # How a command is run

    def do(self, call: Call, predict: Prediction, *, perhaps: str = "") -> bool:
        """Run a command on the card and in the model, and tell whether it succeeded.

        `perhaps` is a status that is no surprise.
        """
        before, predicted, mistake = copy.copy(self.model), None, None
        before.waiting = dict(self.model.waiting)
        try:
            predicted = predict(self.model)
        except Mistake as wrong:
            mistake = wrong
        try:
            result = play(call(self.card), self._transmit())
        except CardStatusError as refusal:
            self._refused(refusal, mistake, before, perhaps)
        except Torn:
            self._torn(before)
        else:
            assert mistake is None, f"the card succeeded; expected {mistake}"
            assert result == predicted
            return True
        finally:
            self.tear = None
        return False

    def _refused(
        self, refusal: CardStatusError, mistake: Mistake | None, before: ModelCard, perhaps: str
    ) -> None:
        name = refusal.facts["name"]
        if mistake is None:
            assert name == perhaps, f"the card refused: {refusal}"
        else:
            assert name in mistake.statuses | {perhaps}, f"{refusal}; expected {mistake}"
        assert self.card.session is None
        self.model = before
        self._start_again()

    def _start_again(self) -> None:
        """Bring reader and card to one view: a D40 session outlives errors on the card alone."""
        self.model.lose_session()
        if self.card.selected is None or self.opened_by is Scheme.LEGACY:
            self._select_at_last()

    def _select_at_last(self) -> None:
        """Select what was selected; a card that waits for more of a command aborts it first."""
        for attempt in range(2):
            try:
                play(self.card.select_application(self.model.selected), self.virtual.transmit)
            except CardStatusError as refusal:
                if attempt or refusal.facts["name"] != "COMMAND_ABORTED":
                    raise
            else:
                return

    def _transmit(self) -> Callable[[bytes], bytes]:
        sent = 0

        def transmit(command: bytes) -> bytes:
            nonlocal sent
            sent += 1
            if self.tear and sent > self.tear[0]:
                if self.tear[1]:
                    self.virtual.transmit(command)
                raise Torn("torn by the test")
            return self.virtual.transmit(command)

        return transmit

    def _torn(self, before: ModelCard) -> None:
        """Take the card as it was before or as it should be after: nothing between the two."""
        self.virtual.reset()
        self.card = DesfireCard()
        chip = on_chip(self.virtual.chip)
        if chip == in_model(before.stored) or self.tear == (0, False):
            self.model = before
        self.model.power_cycle()

    # How a command is prepared

    def _enter(self, level: int | None, key: int | None = None) -> None:
        """Select a level and authenticate, unless it is so; None is any application."""
        model, applications = self.model, sorted(self.model.stored.applications)
        if level is None:
            level = model.selected or next(iter(applications), PICC)
        if model.selected != level:
            self.select(level)
        if key is not None and self.model.authenticated != key:
            self.authenticate(key, self.scheme, True)

    def _file(self, lucky: bool, number: int, kind: type[FileSettings], *rights: str) -> int:
        """Return the number of a file; where lucky, of one that the command can be used on."""
        if not lucky:
            return number
        self._enter(None)
        files = {} if self.model.selected == PICC else self.model.application.files
        fitting = [each for each in sorted(files) if isinstance(files[each].settings, kind)]
        if not fitting:
            return number
        chosen = fitting[number % len(fitting)]
        if self.model.mode_for(chosen, *rights) is None:
            holder = min(getattr(files[chosen].access, right) for right in rights)
            self._enter(None, holder if holder < FREE else None)
        return chosen

    @invariant()
    def the_chip_holds_what_the_model_holds(self) -> None:
        assert on_chip(self.virtual.chip) == in_model(self.model.stored)

    @invariant()
    def both_know_who_is_authenticated(self) -> None:
        session = self.card.session
        assert (session.key_number if session else None) == self.model.authenticated

    # Levels and keys

    @initialize()
    def personalise(self) -> None:
        settings = KeySettings(free_directory=True)
        self.create_application(False, HOME, settings, KEYS, self.key_type)
        self.select(HOME)
        self.authenticate(0, Scheme.AES, True)
        for number, files in FIRST_FILES.items():
            self.create_file(False, number, files)
        self.authenticate(1, Scheme.AES, True)
        assert self.model.authenticated == 1

    @rule(aid=AIDS)
    def select(self, aid: int) -> None:
        self.do(
            lambda card: card.select_application(aid),
            lambda model: model.select(aid),
        )

    @rule(
        number=KEY_NUMBERS,
        other=st.sampled_from(list(Scheme)),
        is_right=st.sampled_from([True, True, True, False]),
    )
    def authenticate(self, number: int, other: Scheme, is_right: bool) -> None:
        """Authenticate with the mechanism of this machine, where the key is of its type."""
        key_type = self.model.keys[0].type
        schemes = SCHEMES[key_type]
        scheme = self.scheme if self.scheme in schemes else schemes[-1 * (other in schemes)]
        if not self.model.is_ev1 and other in schemes and number == 2:
            scheme = other
        if scheme is Scheme.EV2_FIRST and self.model.waiting:
            return  # whether a new EV2 session drops the changes that wait is not known
        exists = number < len(self.model.keys)
        right = self.model.keys[number] if exists else DesfireKey.zero(key_type)
        key = right if is_right else DesfireKey(key_type, Secret(b"\x5a" * key_type.key_bytes))
        rnd_a = self.numbers(key_type.challenge_bytes)
        ev2 = scheme is Scheme.EV2_FIRST
        self.do(
            lambda card: card.authenticate(handshake(scheme, number, key, rnd_a=rnd_a)),
            lambda model: model.authenticate(number, is_right=is_right, ev2=ev2),
        )
        if self.model.authenticated is not None:
            self.opened_by = scheme

    @precondition(lambda self: self.opened_by is Scheme.EV2_FIRST)
    @rule(number=KEY_NUMBERS, is_right=st.sampled_from([True, True, True, False]))
    def authenticate_further(self, number: int, is_right: bool) -> None:
        if not (self.card.session is not None and number < len(self.model.keys)):
            return
        wrong = DesfireKey(KeyType.AES, Secret(b"\x5a" * 16))
        key = self.model.keys[number] if is_right else wrong
        rnd_a = self.numbers(16)
        self.do(
            lambda card: card.authenticate_ev2_non_first(number, key, rnd_a=rnd_a),
            lambda model: model.authenticate(number, is_right=is_right, ev2=True),
        )

    @rule(number=KEY_NUMBERS)
    def get_key_version(self, number: int) -> None:
        self.do(lambda card: card.get_key_version(number), lambda model: model.key_version(number))

    @rule()
    def get_key_settings(self) -> None:
        self.do(
            lambda card: card.get_key_settings(),
            lambda model: Settings(*model.key_settings()),
        )

    @rule(
        lucky=LUCKY,
        number=KEY_NUMBERS,
        value=st.integers(0, 3),
        version=st.integers(0, 255),
        old_is_right=st.sampled_from([True, True, False]),
    )
    def change_key(
        self, lucky: bool, number: int, value: int, version: int, old_is_right: bool
    ) -> None:
        if lucky:
            self._enter(None, 0)
        if not (self.card.session):
            return
        model = self.model
        # Whether a transaction outlives the session that its own key's change ends is not known.
        if number == model.authenticated and model.waiting:
            return
        if not (model.selected != PICC or number == 0):
            return
        key_type = model.keys[0].type
        new = DesfireKey(key_type, Secret(Numbers(f"{value}")(key_type.key_bytes)), version)
        old = model.keys[number] if number < len(model.keys) else new
        if not old_is_right:
            old = DesfireKey(key_type, Secret(b"\x5a" * key_type.key_bytes))
        self.do(
            lambda card: card.change_key(number, new, old_key=old),
            lambda model: model.change_key(number, new, old_is_right=old_is_right),
        )

    @rule(lucky=LUCKY, key_type=st.sampled_from(list(KeyType)), version=st.integers(0, 255))
    def change_type_of_picc_key(self, lucky: bool, key_type: KeyType, version: int) -> None:
        if lucky:
            self._enter(PICC, 0)
        if not (self.card.session and self.model.selected == PICC):
            return
        new = DesfireKey(key_type, Secret(Numbers("PICC")(key_type.key_bytes)), version)
        self.do(
            lambda card: card.change_key(0, new),
            lambda model: model.change_key(0, new, old_is_right=True),
        )

    @rule(lucky=LUCKY, level=st.sampled_from([None, None, PICC]), settings=KEY_SETTINGS)
    def change_key_settings(self, lucky: bool, level: int | None, settings: KeySettings) -> None:
        if lucky:
            self._enter(level, 0)
        if not (self.card.session):
            return
        if not (self.model.selected != PICC or not settings.change_key):
            return
        self.do(
            lambda card: card.change_key_settings(settings),
            lambda model: model.change_key_settings(settings),
        )

    # Applications and the PICC

    @rule(
        lucky=LUCKY,
        aid=st.sampled_from([HOME, OTHER, 0xABCDEF]),
        settings=KEY_SETTINGS,
        count=st.integers(2, 14),
        key_type=st.sampled_from(list(KeyType)),
    )
    def create_application(
        self, lucky: bool, aid: int, settings: KeySettings, count: int, key_type: KeyType
    ) -> None:
        if lucky:
            self._enter(PICC, 0)
        room = self.virtual.chip.free_bytes
        self.do(
            lambda card: card.create_application(aid, Settings(settings, count, key_type)),
            lambda model: model.create_application(aid, settings, count, key_type),
            perhaps=NO_ROOM if room < OVERHEAD_BYTES else "",
        )

    @rule(lucky=LUCKY, aid=AIDS)
    def delete_application(self, lucky: bool, aid: int) -> None:
        if lucky:
            self._enter(PICC, 0)
        if not (self.model.selected == PICC and aid != PICC):
            return
        self.do(
            lambda card: card.delete_application(aid),
            lambda model: model.delete_application(aid),
        )

    @rule(lucky=LUCKY)
    def list_applications(self, lucky: bool) -> None:
        if lucky:
            self._enter(PICC, 0)
        self.do(
            lambda card: _as_set(card.get_application_ids()),
            lambda model: model.application_ids(),
        )

    @rule(lucky=LUCKY)
    def format_picc(self, lucky: bool) -> None:
        if lucky:
            self._enter(PICC, 0)
        if self.model.selected != PICC:
            return
        if self.do(lambda card: card.format_picc(), lambda model: model.format()):
            assert self.virtual.chip.used_bytes == 0

    @rule(lucky=LUCKY, key_type=st.sampled_from(list(KeyType)), version=st.integers(0, 255))
    def set_default_key(self, lucky: bool, key_type: KeyType, version: int) -> None:
        if lucky:
            self._enter(PICC, 0)
        if not (self.card.session and self.model.selected == PICC):
            return
        key = DesfireKey(key_type, Secret(Numbers("default")(key_type.key_bytes)), version)
        self.do(lambda card: card.set_default_key(key), lambda model: model.set_default_key(key))

    @rule()
    def free_memory(self) -> None:
        self.do(lambda card: card.free_memory(), lambda _: self.virtual.chip.free_bytes)

    @rule()
    def get_version(self) -> None:
        self.do(_uid_of_version, lambda _: self.virtual.uid)

    @rule(lucky=LUCKY)
    def get_card_uid(self, lucky: bool) -> None:
        if lucky:
            self._enter(None, 1)
        if not (self.card.session):
            return
        # What a D40 session does with this command of EV1 is not known.
        if not (self.opened_by is not Scheme.LEGACY):
            return
        self.do(lambda card: card.get_card_uid(), lambda _: self.virtual.uid)

    # Files

    @rule(lucky=LUCKY, number=NUMBERS, settings=FILES)
    def create_file(self, lucky: bool, number: int, settings: FileSettings) -> None:
        if lucky:
            self._enter(None, 0)
        least = _least_bytes(settings)
        room = self.virtual.chip.free_bytes

        def predict(model: ModelCard) -> None:
            model.create_file(number, settings)
            if least > room:
                raise Mistake(NO_ROOM)

        self.do(
            lambda card: card.create_file(number, settings),
            predict,
            perhaps=NO_ROOM if 2 * least + OVERHEAD_BYTES > room else "",
        )

    @rule(lucky=LUCKY, number=NUMBERS)
    def delete_file(self, lucky: bool, number: int) -> None:
        if lucky:
            self._enter(None, 0)
        self.do(lambda card: card.delete_file(number), lambda model: model.delete_file(number))

    @rule(lucky=LUCKY)
    def list_files(self, lucky: bool) -> None:
        if lucky:
            self._enter(None)
        self.do(lambda card: _as_set(card.get_file_ids()), lambda model: model.file_ids())

    @rule(lucky=LUCKY, number=NUMBERS)
    def get_file_settings(self, lucky: bool, number: int) -> None:
        if lucky:
            self._enter(None)
        self.do(
            lambda card: _comparable(card.get_file_settings(number)),
            lambda model: _without_refund(model.file_settings(number)),
        )

    @rule(lucky=LUCKY, number=NUMBERS, mode=MODES, access=ACCESS)
    def change_file_settings(
        self, lucky: bool, number: int, mode: CommunicationMode, access: AccessRights
    ) -> None:
        if lucky:
            self._enter(None, 0)
        free = self.model.change_is_free(number)
        if not (free or self.card.session):
            return
        self.do(
            lambda card: card.change_file_settings(number, mode, access, change_is_free=free),
            lambda model: model.change_file_settings(number, mode, access),
        )

    @rule(
        edge=EDGES,
        lucky=LUCKY,
        number=NUMBERS,
        offset=OFFSETS,
        length=st.sampled_from([1, 1, 8, 8, 32, 150]),
    )
    def read_data(
        self, lucky: bool, number: int, offset: int, length: int, edge: int | None
    ) -> None:
        number = self._file(lucky, number, DataFileSettings, *READ)
        offset = self._edged(number, offset, length, edge)
        mode = self._mode(number, *READ)
        self.do(
            lambda card: card.read_data(number, offset, length, mode),
            lambda model: model.read_data(number, offset, length),
        )

    @rule(edge=EDGES, lucky=LUCKY, number=NUMBERS, offset=OFFSETS, data=DATA)
    def write_data(
        self, lucky: bool, number: int, offset: int, data: bytes, edge: int | None
    ) -> None:
        number = self._file(lucky, number, DataFileSettings, *WRITE)
        offset = self._edged(number, offset, len(data), edge)
        mode = self._mode(number, *WRITE)
        self.do(
            lambda card: card.write_data(number, offset, data, mode),
            lambda model: model.write_data(number, offset, data),
        )

    @rule(lucky=LUCKY, number=NUMBERS)
    def get_value(self, lucky: bool, number: int) -> None:
        number = self._file(lucky, number, ValueFileSettings, *ANY_RIGHT)
        mode = self._mode(number, *ANY_RIGHT, to_get_value=True)
        self.do(lambda card: card.get_value(number, mode), lambda model: model.get_value(number))

    @rule(edge=EDGES, lucky=LUCKY, number=NUMBERS, amount=AMOUNTS)
    def credit(self, lucky: bool, number: int, amount: int, edge: int | None) -> None:
        number = self._file(lucky, number, ValueFileSettings, "read_write")
        amount = self._to_the_limit(number, amount, edge, upwards=True)
        mode = self._mode(number, "read_write")
        self.do(
            lambda card: card.credit(number, amount, mode),
            lambda model: model.credit(number, amount),
        )

    @rule(edge=EDGES, lucky=LUCKY, number=NUMBERS, amount=AMOUNTS)
    def debit(self, lucky: bool, number: int, amount: int, edge: int | None) -> None:
        number = self._file(lucky, number, ValueFileSettings, *ANY_RIGHT)
        # What may be refunded of a debit beside a refund is not known.
        if not (number not in self.model.waiting or not self.model.waiting[number].refunded):
            return
        amount = self._to_the_limit(number, amount, edge, upwards=False)
        mode = self._mode(number, *ANY_RIGHT)
        self.do(
            lambda card: card.debit(number, amount, mode),
            lambda model: model.debit(number, amount),
        )

    @rule(lucky=LUCKY, number=NUMBERS, amount=AMOUNTS)
    def limited_credit(self, lucky: bool, number: int, amount: int) -> None:
        number = self._file(lucky, number, ValueFileSettings, *WRITE)
        waiting = self.model.waiting.get(number)
        if not (waiting is None or (waiting.debited is None and not waiting.refunded)):
            return
        mode = self._mode(number, *WRITE)
        self.do(
            lambda card: card.limited_credit(number, amount, mode),
            lambda model: model.limited_credit(number, amount),
        )

    @rule(
        edge=EDGES,
        lucky=LUCKY,
        number=NUMBERS,
        offset=st.sampled_from([0, 0, 3, 8]),
        data=st.binary(min_size=1, max_size=9),
    )
    def write_record(
        self, lucky: bool, number: int, offset: int, data: bytes, edge: int | None
    ) -> None:
        number = self._file(lucky, number, RecordFileSettings, *WRITE)
        offset = self._edged(number, offset, len(data), edge)
        mode = self._mode(number, *WRITE)
        self.do(
            lambda card: card.write_record(number, offset, data, mode),
            lambda model: model.write_record(number, offset, data),
        )

    @rule(
        lucky=LUCKY,
        number=NUMBERS,
        record=st.integers(0, 2),
        offset=st.sampled_from([0, 3]),
        data=st.binary(min_size=1, max_size=6),
    )
    def update_record(
        self, lucky: bool, number: int, record: int, offset: int, data: bytes
    ) -> None:
        number = self._file(lucky, number, RecordFileSettings, "read_write")
        mode = self._mode(number, "read_write")
        self.do(
            lambda card: card.update_record(number, record, offset, data, mode),
            lambda model: model.update_record(number, record, offset, data),
        )

    @rule(
        lucky=LUCKY,
        number=NUMBERS,
        first=st.sampled_from([0, 0, 1]),
        count=st.sampled_from([1, 1, 2]),
    )
    def read_records(self, lucky: bool, number: int, first: int, count: int) -> None:
        number = self._file(lucky, number, RecordFileSettings, *READ)
        mode = self._mode(number, *READ)
        settings = self._settings(number)
        size = settings.record_bytes if isinstance(settings, RecordFileSettings) else 8
        self.do(
            lambda card: card.read_records(number, first, count, size, mode),
            lambda model: model.read_records(number, first, count),
        )

    @rule(lucky=LUCKY, number=NUMBERS)
    def clear_record_file(self, lucky: bool, number: int) -> None:
        number = self._file(lucky, number, RecordFileSettings, "read_write")
        self.do(
            lambda card: card.clear_record_file(number),
            lambda model: model.clear_record_file(number),
        )

    @rule(lucky=LUCKY)
    def commit(self, lucky: bool) -> None:
        if not (self.model.waiting or not lucky):
            return
        self.do(lambda card: card.commit_transaction(), lambda model: model.commit())

    @rule(lucky=LUCKY)
    def abort(self, lucky: bool) -> None:
        if not (self.model.waiting or not lucky):
            return
        self.do(lambda card: card.abort_transaction(), lambda model: model.abort())

    @rule(number=NUMBERS, count=st.integers(2, 4))
    def write_several_records(self, number: int, count: int) -> None:
        for value in range(count):
            self.write_record(True, number, 0, bytes((value,)), None)
            self.commit(True)

    def _settings(self, number: int) -> FileSettings | None:
        files = {} if self.model.selected == PICC else self.model.application.files
        return files[number].settings if number in files else None

    def _edged(self, number: int, offset: int, length: int, edge: int | None) -> int:
        """Return an offset from which so many bytes end at the end of a file or record."""
        settings = self._settings(number)
        size = getattr(settings, "size_bytes", getattr(settings, "record_bytes", None))
        return offset if edge is None or size is None else max(size - length + edge, 0)

    def _to_the_limit(self, number: int, amount: int, edge: int | None, *, upwards: bool) -> int:
        """Return the amount that brings a value to its limit."""
        settings = self._settings(number)
        if edge is None or not isinstance(settings, ValueFileSettings):
            return amount
        waiting = self.model.waiting.get(number)
        value = waiting.content if waiting else self.model.application.files[number].content
        room = settings.upper_limit - value if upwards else value - settings.lower_limit
        return max(min(room + edge, 2**31 - 1), 0)

    def _mode(self, number: int, *rights: str, to_get_value: bool = False) -> CommunicationMode:
        mode = self.model.mode_for(number, *rights, to_get_value=to_get_value)
        return mode or CommunicationMode.PLAIN

    # Mistakes that are the reader's, and what happens to cards

    @rule(number=NUMBERS, length=st.sampled_from([1, 8, 30]), mode=MODES)
    def read_in_any_mode(self, number: int, length: int, mode: CommunicationMode) -> None:
        """A mode that is not the file's gives an error, or what the file holds: nothing else."""
        number = self._file(True, number, DataFileSettings, *READ)
        if not (self.card.session):
            return
        try:
            result = play(self.card.read_data(number, 0, length, mode), self.virtual.transmit)
        except (CardStatusError, CardProtocolError):
            assert self.card.session is None
            self.model.lose_session()
            self._select_at_last()
        else:
            assert result == self.model.read_data(number, 0, length)

    @rule(at=st.sampled_from([0, 0, 0, 1, 2]), executed=st.booleans())
    def let_the_next_command_be_torn(self, at: int, executed: bool) -> None:
        self.tear = at, executed

    @rule()
    def power_cycle(self) -> None:
        self.virtual.reset()
        self.card = DesfireCard()
        self.model.power_cycle()


def _as_set(exchange: Exchange[tuple[int, ...]]) -> Exchange[set[int]]:
    return set((yield from exchange))


def _uid_of_version(card: DesfireCard) -> Exchange[bytes]:
    version = yield from card.get_version()
    return version.uid


def _comparable(exchange: Exchange[FileSettings]) -> Exchange[FileSettings]:
    return _without_refund((yield from exchange))


def _without_refund(settings: FileSettings) -> FileSettings:
    """Leave out what products count in different ways where nothing may be refunded."""
    if isinstance(settings, ValueFileSettings) and not settings.limited_credit:
        return ValueFileSettings(
            settings.mode,
            settings.access,
            settings.lower_limit,
            settings.upper_limit,
            0,
            free_get_value=settings.free_get_value,
        )
    return settings


def _least_bytes(settings: FileSettings) -> int:
    if isinstance(settings, DataFileSettings):
        return settings.size_bytes * (2 if settings.backup else 1)
    if isinstance(settings, RecordFileSettings):
        return settings.record_bytes * settings.max_records
    return 4


@pytest.mark.parametrize(("product", "mechanism"), CASES)
def test_driver_and_card_do_what_the_model_says(
    request: pytest.FixtureRequest, product: str, mechanism: str
) -> None:
    machine = type("Machine", (Machine,), {"product": product, "mechanism": mechanism})
    # Without a seed of its own each case would run through the same commands.
    case = f"{product} {mechanism} {request.config.getoption('--hypothesis-seed')}"
    seeded = seed(zlib.crc32(case.encode()))(machine)
    run_state_machine_as_test(seeded, settings=examples(15, steps=40))
