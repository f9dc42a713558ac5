"""Master keys on a KMIP server: AES-128, for MACs and nothing else."""

from typing import Any

from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.masters import kmip_messages as k
from cardd.kms.masters.kmip_link import KmipLink
from cardd.kms.masters.names import MasterName, Names
from cardd.secret import Secret


class KmipKeys:
    """Implements `KeyHolder` with one server. Thread-safe.

    Our keys are those of the object group that is called like the prefix of their names. A key is
    activated at once, because only an active one has a check value: whether it is promoted says
    its name alone.
    """

    def __init__(self, link: KmipLink, names: Names) -> None:
        self._link = link
        self._names = names
        self._uids: dict[MasterName, str] = {}

    def find(self) -> dict[MasterName, bool]:
        """Return the masters that there are, and whether each is promoted."""
        uids: dict[MasterName, str] = {}
        found: dict[MasterName, bool] = {}
        for uid in k.located(self._ask(k.locate(self._names.prefix))):
            key = k.described(self._ask(k.describe(uid)))
            parsed = self._names.parse(key.name)
            if parsed is None or key.gone:
                continue
            name, promoted = parsed
            if name in found or not key.aes128:
                raise KmsUnavailable(
                    f"{self._link.server} has two masters {self._names.identifier(name)}, or one "
                    "that is not AES-128; destroy the one that no badge has keys from"
                )
            uids[name], found[name] = uid, promoted
        self._uids = uids
        return found

    def mac(self, name: MasterName, message: bytes) -> bytes:
        """Return the AES-CMAC of a message under a master."""
        return k.mac_value(self._ask(k.mac(self._uid(name), message)))

    def generate(self, name: MasterName) -> None:
        """Make a random master, not promoted."""
        called = self._names.master(name, promoted=False)
        self._make(name, k.create(called, self._names.prefix))

    def import_key(self, name: MasterName, key: Secret) -> None:
        """Bring a master in, not promoted."""
        called = self._names.master(name, promoted=False)
        self._make(name, k.register(called, self._names.prefix, key))

    def promote(self, name: MasterName) -> None:
        """Take `/next` from the master's name."""
        self._change(k.rename(self._uid(name), self._names.master(name, promoted=True)))

    def destroy(self, name: MasterName) -> None:
        """Destroy a master. Whether it stays in the server's backups, its keeper knows."""
        uid = self._uid(name)
        if k.described(self._ask(k.describe(uid))).active:
            self._change(k.revoke(uid))
        self._change(k.destroy(uid))

    def _make(self, name: MasterName, request: k.Request) -> None:
        uid = k.made(self._change(request))
        try:
            self._change(k.activate(uid))
            self._require_only(name, uid)
        except (KmsUnavailable, Refused):
            self._abandon(uid)
            raise
        self._uids[name] = uid

    def _require_only(self, name: MasterName, uid: str) -> None:
        called = self._names.master(name, promoted=False)
        if k.located(self._ask(k.locate_name(called))) != [uid]:
            raise Refused(
                Code.CONFLICT,
                f"another operator made {self._names.identifier(name)} at the same time; look "
                "which one stayed, then try again",
            )

    def _abandon(self, uid: str) -> None:
        for request in (k.revoke(uid), k.destroy(uid)):
            try:
                self._link.call(request)
            except (KmsUnavailable, k.KmipFailure):
                continue  # what it could not undo, `find` says

    def _uid(self, name: MasterName) -> str:
        try:
            return self._uids[name]
        except KeyError:
            raise KmsUnavailable(
                f"{self._link.server} has no master {self._names.identifier(name)}"
            ) from None

    def _ask(self, request: k.Request) -> Any:
        try:
            return self._link.call(request)
        except k.KmipFailure as failure:
            raise KmsUnavailable(f"{self._link.server} refuses: {failure}") from failure

    def _change(self, request: k.Request) -> Any:
        try:
            return self._link.call(request)
        except k.KmipFailure as failure:
            if not failure.not_supported:
                raise KmsUnavailable(f"{self._link.server} refuses: {failure}") from failure
            raise Refused(
                Code.NOT_SUPPORTED,
                f"{self._link.server} does not do this for us: {failure}; let its keeper do it",
            ) from failure
