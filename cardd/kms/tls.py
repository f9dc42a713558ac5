"""TLS between a workstation and its key service: version 1.3, both ends with a certificate.

Certificates count that the configured authority issued, and no others: the operating system's are
not looked at.
"""

import os
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from cardd.config_kms import Tls
from cardd.errors import StartCode, StartError
from cardd.files import open_regular


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return what a workstation connects with: the server must bear the name that is asked for.

    Raises StartError (`tls_unusable`), as the others here.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = True
    context.hostname_checks_common_name = False  # RFC 9525, 2
    with _explained():
        _identify(context, tls)
        _trust(context, tls)
    return context


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return what the key service listens with: a client must have a certificate."""
    context = public_context(tls)
    context.verify_mode = ssl.CERT_REQUIRED
    with _explained():
        _trust(context, tls)
    return context


def public_context(tls: Tls) -> ssl.SSLContext:
    """Return what public keys are published with: nobody is asked for a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A connection is kept: resuming another would save little, and skip looking at certificates.
    context.num_tickets = 0
    with _explained():
        _identify(context, tls)
    return context


def _identify(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with open_regular(tls.certificate), open_regular(tls.key) as key:
        if stat.S_IMODE(os.fstat(key.fileno()).st_mode) & stat.S_IRWXO:
            raise _unusable(
                f"the key {tls.key} is open to everybody: make it 0600, and consider it known"
            )
        context.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)


def _trust(context: ssl.SSLContext, tls: Tls) -> None:
    with open_regular(tls.authority):
        context.load_verify_locations(cafile=tls.authority)
    if not context.get_ca_certs():
        raise _unusable(f"{tls.authority} has no certificate of an authority")


def _no_passphrase() -> bytes:
    """Give no passphrase for an encrypted key: OpenSSL would ask on the terminal."""
    return b""


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise _unusable(
            "[kms.tls] needs a certificate, its own key without a passphrase, and an authority, in "
            f"PEM files: {error.reason or error}"
        ) from error
    except OSError as error:
        raise _unusable(f"[kms.tls]: {error.filename} cannot be read: {error.strerror}") from error


def _unusable(message: str) -> StartError:
    return StartError(StartCode.TLS_UNUSABLE, message)
