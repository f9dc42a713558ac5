"""The authentications: each opens a session."""

from cardd.desfire.authentication import (
    AuthenticationScheme,
    Ev2FirstHandshake,
    Ev2NonFirstHandshake,
    handshake,
)
from cardd.desfire.channel import Channel
from cardd.desfire.keys import DesfireKey
from cardd.desfire.lrp_handshake import LrpFirstHandshake, LrpNonFirstHandshake
from cardd.desfire.messaging.ev2 import Ev2Messaging
from cardd.desfire.messaging.lrp import LrpMessaging
from cardd.iso7816.exchange import Exchange


class AuthenticationCommands(Channel):
    """Prove to each other that card and reader know a key."""

    def authenticate_legacy(
        self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> Exchange[None]:
        """Authenticate as the first DESFire does (0Ah), with a DES or 2TDEA key: D40 messaging.

        Its MACs have 4 bytes and its exchanges no freshness (AN12757, table 30): for cards that
        know nothing better.
        """
        return self.authenticate(
            handshake(AuthenticationScheme.LEGACY, key_number, key, rnd_a=rnd_a)
        )

    def authenticate_iso(
        self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> Exchange[None]:
        """AuthenticateISO with a TDEA key (DES included): EV1 messaging (AN12757, table 20)."""
        return self.authenticate(handshake(AuthenticationScheme.ISO, key_number, key, rnd_a=rnd_a))

    def authenticate_aes(
        self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> Exchange[None]:
        """AuthenticateAES: EV1 messaging (AN0945, table 22)."""
        return self.authenticate(handshake(AuthenticationScheme.AES, key_number, key, rnd_a=rnd_a))

    def authenticate_ev2_first(
        self,
        key_number: int,
        key: DesfireKey,
        *,
        pcd_capabilities: bytes = b"",
        rnd_a: bytes | None = None,
    ) -> Exchange[None]:
        """AuthenticateEV2First: EV2 messaging in a new transaction (AN12343, table 16).

        `pcd_capabilities` is PCDcap2, at most 6 bytes; a card that does not repeat it under its
        cryptogram is refused. One that would answer with LRP is refused too: ask for that by
        `authenticate_lrp_first`.
        """
        return self.authenticate(
            Ev2FirstHandshake(key_number, key, rnd_a=rnd_a, capabilities=pcd_capabilities)
        )

    def authenticate_ev2_non_first(
        self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> Exchange[None]:
        """AuthenticateEV2NonFirst: another key in the transaction that is open (AN12196)."""
        messaging = self.current_session().messaging
        if not isinstance(messaging, Ev2Messaging):
            raise RuntimeError("there is no EV2 session to continue")  # noqa: TRY004 - a state
        return self.authenticate(Ev2NonFirstHandshake(key_number, key, messaging, rnd_a=rnd_a))

    def authenticate_lrp_first(
        self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> Exchange[None]:
        """AuthenticateLRPFirst: LRP messaging in a new transaction (AN12321, table 2).

        For chips that are set to it, such as DESFire Light; one that answers without LRP is
        refused.
        """
        return self.authenticate(LrpFirstHandshake(key_number, key, rnd_a=rnd_a))

    def authenticate_lrp_non_first(
        self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> Exchange[None]:
        """AuthenticateLRPNonFirst: another key in the transaction that is open."""
        messaging = self.current_session().messaging
        if not isinstance(messaging, LrpMessaging):
            raise RuntimeError("there is no LRP session to continue")  # noqa: TRY004 - a state
        return self.authenticate(LrpNonFirstHandshake(key_number, key, messaging, rnd_a=rnd_a))

    def select_and_authenticate(
        self,
        aid: int,
        key_number: int,
        key: DesfireKey,
        scheme: AuthenticationScheme,
        *,
        rnd_a: bytes | None = None,
    ) -> Exchange[None]:
        """Select an application and authenticate to it: three commands in two steps, a tap.

        The first step holds SelectApplication and the first frame of the authentication.
        """
        attempt = handshake(scheme, key_number, key, rnd_a=rnd_a)
        return self.select_then_authenticate(aid, attempt)
