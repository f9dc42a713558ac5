"""Key check values: what custodians compare to know that they hold the same key.

The CMAC form that ANSI X9.24-1 asks of AES: the first 3 bytes of the CMAC of 16 zero bytes. It is
no secret. Some modules show the first bytes of an encrypted zero block instead, which differ.
"""

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.cmac import CMAC

from cardd.secret import Secret

KCV_BYTES = 3
KCV_MESSAGE = bytes(16)


def kcv_of(key: Secret) -> bytes:
    """Return the check value of an AES key in hand, 3 bytes."""
    cmac = CMAC(AES(key.reveal()))
    cmac.update(KCV_MESSAGE)
    return cmac.finalize()[:KCV_BYTES]


def legacy_kcv_of(key: Secret) -> bytes:
    """Return the check value that older modules show: of an encrypted zero block, 3 bytes."""
    encryptor = Cipher(AES(key.reveal()), CBC(bytes(16))).encryptor()  # of one block, as ECB
    return encryptor.update(bytes(16))[:KCV_BYTES]
