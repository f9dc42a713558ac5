"""The services that other tests stand on: each answers its own client."""

import warnings

import psycopg
import pytest

from tests.services.fixtures import KmipServer, Postgres, Token

pytestmark = pytest.mark.services


def test_a_token_makes_and_uses_a_key(token: Token) -> None:
    import pkcs11  # noqa: PLC0415 - reads its configuration when it is loaded

    module = pkcs11.lib(str(token.module))
    module.reinitialize()
    with module.get_token(token_label=token.label).open(user_pin=token.pin, rw=True) as session:
        key = session.generate_key(pkcs11.KeyType.AES, 128, label="a key")
        assert len(key.sign(bytes(16), mechanism=pkcs11.Mechanism.AES_CMAC)) == 16


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_kmip_server_makes_a_key(kmip_server: KmipServer) -> None:
    with warnings.catch_warnings(action="ignore"):  # it stands on what its libraries deprecate
        from kmip.core.enums import CryptographicAlgorithm  # noqa: PLC0415
        from kmip.pie.client import ProxyKmipClient  # noqa: PLC0415

    client = ProxyKmipClient(
        hostname=kmip_server.host,
        port=kmip_server.port,
        cert=str(kmip_server.client_certificate),
        key=str(kmip_server.client_key),
        ca=str(kmip_server.authority.certificate),
    )
    with client:
        assert client.create(CryptographicAlgorithm.AES, 128)


def test_a_postgres_answers(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("postgres")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
