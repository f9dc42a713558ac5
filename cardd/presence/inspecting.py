"""An inspection of the card in a reader: what it tells anybody, then what the key service reads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cardd.badges.inspection.case import Case, Policy
from cardd.badges.inspection.facts import OriginalityFacts
from cardd.badges.inspection.reading import card_facts, uid_kind
from cardd.badges.inspection.rules import findings
from cardd.desfire import inspection, originality
from cardd.desfire.inspection import PiccContent
from cardd.desfire.originality import NxpKey
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.iso7816.connection import CardConnection
from cardd.iso7816.exchange import Exchange, run
from cardd.kms.messages import Inspect, Inspected
from cardd.kms.ports import KeyService
from cardd.presence.model import EnrolmentRequest, Inspection, Problem
from cardd.presence.relay import relay
from cardd.readers.contactless import read_ats

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Inspector:
    """Inspects cards. It also works where the key service does not, or does not know the card.

    `test_keys` sign virtual cards; whoever trusts them is in development.
    """

    service: KeyService
    policy: Policy
    test_keys: tuple[NxpKey, ...] = ()

    def inspect(
        self,
        connection: CardConnection,
        uid: bytes,
        request: EnrolmentRequest,
        alive: Callable[[], None],
    ) -> Inspection:
        """Return what is found; nothing on the card changes.

        `alive` is called before each command, and may raise to give the inspection up. Raises
        CardError where the card or the way to it fails; what the key service refuses is a result.
        """
        ats = read_ats(connection)
        exchange = inspection.inspect(
            also=(int(self.policy.aid, 16),), try_default_keys=request.try_default_keys
        )
        content = run(connection, _watched(exchange, alive))
        card = card_facts(content, uid=uid, ats=ats, originality=self._originality(uid, content))
        badge = self._through_keys(connection, uid, request, alive)
        if isinstance(badge, Problem):
            unknown = badge.code == Code.BADGE_UNKNOWN
            found = findings(Case(card, self.policy, is_unknown=unknown))
            return Inspection(card=card, badge=None, unavailable=badge, findings=found)
        found = findings(Case(card, self.policy, badge.registry, badge.card))
        return Inspection(card=card, badge=badge, unavailable=None, findings=found)

    def _originality(self, uid: bytes, content: PiccContent) -> OriginalityFacts:
        """Judge the maker's signature over the UID that the card has, not one that it shows."""
        if content.signature is None:
            return OriginalityFacts("not-supported")
        told = content.version.uid if content.version and any(content.version.uid) else None
        if told is None and uid_kind(uid) == "random":
            return OriginalityFacts("not-checked")
        signed = told or uid
        key = originality.verify(signed, content.signature)
        if key is not None:
            return OriginalityFacts("genuine", key)
        key = originality.verify(signed, content.signature, self.test_keys)
        if key is not None:
            return OriginalityFacts("genuine", key, test=True)
        return OriginalityFacts("not-verified")

    def _through_keys(
        self,
        connection: CardConnection,
        uid: bytes,
        request: EnrolmentRequest,
        alive: Callable[[], None],
    ) -> Inspected | Problem:
        """Have the key service read the badge; return why not where it does not."""
        procedure = Inspect(uid, request.try_default_keys)
        try:
            outcome = relay(
                self.service, connection, procedure, alive=alive, progress=lambda _progress: None
            )
        except (Refused, KmsUnavailable) as error:
            return Problem(str(error.code), str(error), dict(error.facts))
        assert isinstance(outcome, Inspected)
        return outcome


def _watched(exchange: Exchange[Result], alive: Callable[[], None]) -> Exchange[Result]:
    """Call `alive` before each step of an exchange."""
    try:
        commands = next(exchange)
        while True:
            alive()
            answers = yield commands
            commands = exchange.send(answers)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    finally:
        exchange.close()
