"""Master keys in the memory of this process, from a keystore file."""

import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from cardd.errors import KmsUnavailable
from cardd.kms.masters.check_values import KCV_BYTES, KCV_MESSAGE
from cardd.kms.ports import Purpose
from cardd.secret import Secret

_SEAL_VERSION = b"\x01"
_SEAL_CONTEXT = b"cardd seal v1\0"  # apart from whatever else a later version encrypts with it
_NONCE_BYTES = 12  # NIST SP 800-38D, 5.2.1.1
_TAG_BYTES = 16


class SoftMasters:
    """Implements `Masters`. Nothing in it changes after construction, so threads share it freely.

    `assertion_key` is the PKCS #8 form (DER) of the key that signs assertions; `counter` is the
    keystore file's, which grows with each change of it.
    """

    def __init__(
        self,
        masters: Mapping[tuple[Purpose, int], Secret],
        current: Mapping[Purpose, int],
        seal_key: Secret,
        assertion_key: Secret,
        counter: int,
    ) -> None:
        # A CMAC object holds its expanded key and subkeys: copying one is all that a MAC then costs
        # before the message itself.
        self._keyed = {name: CMAC(AES(key.reveal())) for name, key in masters.items()}
        self._current = dict(current)
        self._seal = AESGCM(seal_key.reveal())
        self.assertion_key = assertion_key
        self.counter = counter

    def current(self, purpose: Purpose) -> int:
        """Return the generation that new badges get."""
        try:
            return self._current[purpose]
        except KeyError:
            raise KmsUnavailable(f"the keystore has no current {purpose} master") from None

    def generations(self, purpose: Purpose) -> tuple[int, ...]:
        """Return the generations that can be used, oldest first."""
        return tuple(sorted(generation for of, generation in self._keyed if of is purpose))

    def mac(self, purpose: Purpose, generation: int, message: bytes) -> bytes:
        """Return the 16-byte AES-CMAC (NIST SP 800-38B) of a message under a master."""
        try:
            keyed = self._keyed[purpose, generation]
        except KeyError:
            raise KmsUnavailable(
                f"the keystore has no {purpose} master of generation {generation}"
            ) from None
        cmac = keyed.copy()
        cmac.update(message)
        return cmac.finalize()

    def kcv(self, purpose: Purpose, generation: int) -> bytes:
        """Return the 3-byte key check value of a master, in CMAC form."""
        return self.mac(purpose, generation, KCV_MESSAGE)[:KCV_BYTES]

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        """Encrypt and authenticate: version || nonce || AES-256-GCM ciphertext and tag."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._seal.encrypt(nonce, plaintext, _SEAL_CONTEXT + associated)
        return _SEAL_VERSION + nonce + sealed

    def open(self, sealed: bytes, associated: bytes) -> Secret:
        """Undo `seal`; raise KmsUnavailable where either argument was changed."""
        version, nonce, ciphertext = sealed[:1], sealed[1:13], sealed[13:]
        if version != _SEAL_VERSION or len(ciphertext) < _TAG_BYTES:
            raise KmsUnavailable("a sealed value is malformed: it was not sealed by this keystore")
        try:
            return Secret(self._seal.decrypt(nonce, ciphertext, _SEAL_CONTEXT + associated))
        except InvalidTag:
            raise KmsUnavailable(
                "a sealed value does not open: it was changed, moved to another row, or sealed by "
                "another keystore"
            ) from None
