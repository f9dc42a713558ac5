"""PostgreSQL: who is let in, what happens when it goes, and who waits for whom."""

import os
import signal
import threading
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pytest

from cardd.badges.states import BadgeState
from cardd.errors import KmsUnavailable, Refused, StartCode, StartError
from cardd.kms.messages import Page
from cardd.store.opening import create_registry, open_registry, place
from tests.limits import SOON_S, ends_soon
from tests.services.certificates import Authority
from tests.services.fixtures import free_port
from tests.services.postgres_cluster import own_postgres

pytestmark = pytest.mark.services


@pytest.fixture
def url(postgres_url):
    return postgres_url


@pytest.fixture(scope="module")
def cluster():
    """A server that a test stops and starts."""
    with own_postgres() as made:
        yield made


def address(cluster, user="postgres", database="postgres"):
    return f"postgresql://{user}@/{database}?host={cluster.folder}"


def fresh(cluster, sealer):
    """Return a new registry in an empty database of a server that runs."""
    with psycopg.connect(address(cluster), autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS cardd WITH (FORCE)")
        server.execute("CREATE DATABASE cardd")
    return create_registry(place(address(cluster, database="cardd")), sealer)


def unavailable(call, *arguments) -> str:
    with ends_soon(), pytest.raises(KmsUnavailable) as caught:
        call(*arguments)
    assert caught.value.__cause__ is None
    return str(caught.value)


def backend(registry) -> int:
    """Return the server's process of this thread's kept connection."""
    kept = registry._connections._kept().connection
    return kept.connection.driver_connection.info.backend_pid


def test_a_server_that_goes_is_unavailable_at_once_and_used_again_when_it_is_back(
    cluster, sealer, things
):
    with cluster.running():
        registry = fresh(cluster, sealer)
        registry.add_holder(things.holder())
    said = unavailable(registry.holder, things.holder().id)
    assert "cannot be used" in said
    assert "Martin" not in said
    unavailable(registry.put_holder, things.holder())
    unavailable(registry.atomically().__enter__)
    unavailable(registry.ping)
    with cluster.running():
        assert registry.holder(things.holder().id) == things.holder()
        registry.ping()
        registry.close()


def test_a_server_that_was_restarted_meanwhile_fails_nobody(cluster, sealer, things):
    """The kept connection is found to be gone before anything is sent on it."""
    with cluster.running():
        registry = fresh(cluster, sealer)
    with cluster.running():
        registry.add_holder(things.holder(1))
    with cluster.running():
        with registry.atomically():
            registry.add_holder(things.holder(2))
        assert len(registry.holders(Page())[0]) == 2
        registry.close()


def test_a_connection_that_is_lost_in_a_transaction_undoes_it(peopled, things, url):
    def interrupted():
        with peopled.atomically():
            peopled.add_holder(things.holder(7))
            with psycopg.connect(url, autocommit=True) as server:
                server.execute("SELECT pg_terminate_backend(%s, 5000)", (backend(peopled),))
            unavailable(peopled.add_holder, things.holder(8))
            peopled.add_holder(things.holder(9))

    unavailable(interrupted)
    assert [h.staff_number for h in peopled.holders(Page())[0]] == ["S00001", "S00002"]


def test_a_server_that_takes_a_statement_and_never_answers_is_given_up(peopled, things):
    frozen = backend(peopled)
    os.kill(frozen, signal.SIGSTOP)
    try:
        assert "does not answer" in unavailable(peopled.holder, things.holder().id)
        assert peopled.holder(things.holder().id) == things.holder(), "on another connection"
    finally:
        os.kill(frozen, signal.SIGCONT)


def test_while_a_server_lets_nobody_in_one_waits_and_the_others_do_not(cluster, sealer):
    with cluster.running() as server:
        registry = fresh(cluster, sealer)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            look = threading.Thread(target=unavailable, args=(registry.holder, "x"))
            look.start()
            look.join(SOON_S)
            door = registry._connections._database.engine.pool._creator.__closure__
            shut = next(c.cell_contents for c in door if hasattr(c.cell_contents, "_trying"))
            assert shut._shut
            with shut._trying:
                others = [
                    threading.Thread(target=unavailable, args=(registry.holder, "x"))
                    for _ in range(3)
                ]
                for other in others:
                    other.start()
                for other in others:
                    other.join(SOON_S)
                    assert not other.is_alive(), "nobody waits for the one that tries"
        finally:
            os.kill(server.pid, signal.SIGCONT)
        registry.ping()
        registry.close()


def test_a_row_that_somebody_else_holds_is_unavailable_in_time(peopled, things, url):
    badge = peopled.badge(things.badge(1).id)
    with psycopg.connect(url) as other:
        other.execute("SELECT 1 FROM badge WHERE id = %s FOR UPDATE", (badge.id,))
        revoked = replace(badge, state=BadgeState.REVOKED)
        assert "another change holds the row" in unavailable(peopled.put_badge, revoked)
        assert peopled.badge_and_holder(badge.uid)[0] == badge, "a look-up needs no lock"
    assert peopled.put_badge(revoked).version == 2


def test_a_transaction_that_stands_still_does_not_keep_its_rows(peopled):
    """A replica whose machine is lost: the server ends its transaction by itself."""
    kept = peopled._connections._kept().connection
    shown = {
        name: kept.exec_driver_sql(f"SHOW {name}").scalar()
        for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    }
    assert shown == {
        "lock_timeout": "1s",
        "statement_timeout": "2s",
        "idle_in_transaction_session_timeout": "5s",
    }


def test_a_statement_that_takes_too_long_is_ended(peopled, sql):
    sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
    )
    sql("CREATE TRIGGER slow BEFORE UPDATE ON badge FOR EACH ROW EXECUTE FUNCTION slow()")
    badge = peopled.badges(Page())[0][0][0]
    # psycopg's own connection checks triggers; that of `sql` does not.
    assert "took too long" in unavailable(peopled.put_badge, badge)


def test_a_standby_is_never_read(cluster, sealer):
    with cluster.running():
        fresh(cluster, sealer).close()
    with cluster.running("default_transaction_read_only=on"), pytest.raises(StartError) as caught:
        open_registry(place(address(cluster, database="cardd")), sealer)
    assert caught.value.code is StartCode.REGISTRY_UNAVAILABLE


@contextmanager
def letting_in(cluster, *lines):
    """Replace the rules of who is let in, for the next start."""
    file = cluster.data / "pg_hba.conf"
    before = file.read_text()
    file.write_text("".join(f"{line}\n" for line in (*lines, "local all postgres trust")))
    try:
        yield
    finally:
        file.write_text(before)


def test_a_password_comes_from_its_file_and_is_in_no_error(cluster, sealer, tmp_path):
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text("wrong-wrong")
    with letting_in(cluster, "local cardd clerk scram-sha-256"), cluster.running():
        with psycopg.connect(address(cluster), autocommit=True) as server:
            server.execute("DROP DATABASE IF EXISTS cardd WITH (FORCE)")
            server.execute("DROP ROLE IF EXISTS clerk")
            server.execute("CREATE ROLE clerk LOGIN PASSWORD 'right-right'")
            server.execute("CREATE DATABASE cardd OWNER clerk")
        where = place(address(cluster, "clerk", "cardd"), file)
        with pytest.raises(StartError, match="password authentication failed") as caught:
            create_registry(where, sealer)
        assert caught.value.code is StartCode.REGISTRY_UNAVAILABLE
        assert "wrong-wrong" not in repr((str(caught.value), caught.value.__cause__))
        file.write_text("right-right")
        create_registry(where, sealer).close()
        with pytest.raises(StartError):
            open_registry(place(address(cluster, "clerk", "cardd")), sealer)


def test_a_certificate_lets_in_and_the_name_of_the_server_is_checked(cluster, sealer, tmp_path):
    authority = Authority.create(tmp_path, "registry authority")
    own = [cluster.give(path) for path in authority.issue("server", hosts=("localhost",))]
    trusted = cluster.give(authority.certificate)
    certificate, key = authority.issue("postgres")
    port = free_port()
    tls = (
        *("ssl=on", f"ssl_cert_file={own[0]}", f"ssl_key_file={own[1]}"),
        *(f"ssl_ca_file={trusted}", "listen_addresses=127.0.0.1", f"port={port}"),
    )
    files = f"sslrootcert={authority.certificate}&sslcert={certificate}&sslkey={key}"
    url = f"postgresql://postgres@{{}}:{port}/postgres?sslmode=verify-full&{files}"
    with letting_in(cluster, "hostssl all all 127.0.0.1/32 cert"), cluster.running(*tls):
        place(url.format("localhost")).open().engine.dispose()
        with pytest.raises(StartError, match="certificate") as caught:
            place(url.format("127.0.0.1")).open()
        assert caught.value.code is StartCode.REGISTRY_UNAVAILABLE
        stranger = url.format("localhost").replace(f"sslcert={certificate}&sslkey={key}", "")
        with pytest.raises(StartError):
            place(stranger.rstrip("&")).open()


def test_a_registry_is_made_once(url, sealer):
    create_registry(place(url), sealer).close()
    with pytest.raises(StartError) as caught:
        create_registry(place(url), sealer)
    assert caught.value.code is StartCode.REGISTRY_EXISTS


def test_an_empty_database_is_no_registry(url, sealer):
    with pytest.raises(StartError, match="cardd-kms init") as caught:
        open_registry(place(url), sealer)
    assert caught.value.code is StartCode.REGISTRY_UNAVAILABLE


def test_a_database_with_another_encoding_is_refused(postgres, sealer):
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        server.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        try:
            with pytest.raises(StartError, match=r"LATIN1.*UTF8") as caught:
                create_registry(place(postgres.url("latin")), sealer)
        finally:
            server.execute("DROP DATABASE latin")
    assert caught.value.code is StartCode.REGISTRY_UNAVAILABLE


def test_lists_have_one_order_whatever_language_the_database_speaks(postgres, sealer, things):
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        server.execute(
            "CREATE DATABASE french LOCALE_PROVIDER icu ICU_LOCALE 'fr-FR' TEMPLATE template0"
        )
        try:
            with closing(create_registry(place(postgres.url("french")), sealer)) as registry:
                for n, number in enumerate(("é", "a", "B", "z", "Z", "-1")):
                    registry.add_holder(things.holder(n, staff_number=number))
                found = [h.staff_number for h in registry.holders(Page(limit=2))[0]]
                rest = registry.holders(Page(limit=9, cursor=registry.holders(Page(limit=2))[1]))
        finally:
            server.execute("DROP DATABASE french WITH (FORCE)")
    assert found + [h.staff_number for h in rest[0]] == ["-1", "B", "Z", "a", "z", "é"]


def test_a_text_with_nul_is_looked_for_in_vain(peopled):
    with pytest.raises(Refused, match="NUL"):
        peopled.holder("a\0b")
    with peopled.atomically():
        with pytest.raises(Refused):
            peopled.badge_by_number("\0")
        assert peopled.badge("x") is None


def test_the_look_ups_of_a_tap_use_an_index(peopled, url):
    with psycopg.connect(url, options="-c enable_seqscan=off") as server:
        for query, name in (
            ("badge WHERE uid = 'x'", "uq_badge_uid"),
            ("holder_national_id WHERE national_id = 'x'", "pk_holder_national_id"),
            ("presence WHERE badge_id = 'x' AND ended_at IS NULL", "ix_presence_badge_id"),
        ):
            plan = server.execute(f"EXPLAIN SELECT 1 FROM {query}").fetchall()  # noqa: S608
            assert any(name in step for (step,) in plan), plan


class Heard:
    """What a key service hears of the others."""

    def __init__(self):
        self.presences, self.missed = [], 0
        self._change = threading.Condition()

    def ended(self, presence):
        with self._change:
            self.presences.append(presence)
            self._change.notify_all()

    def lost(self):
        with self._change:
            self.missed += 1
            self._change.notify_all()

    def wait(self, predicate):
        with self._change:
            assert self._change.wait_for(lambda: predicate(self), SOON_S)


def test_a_presence_that_another_key_service_ends_is_heard_of_once_it_is_stored(
    peopled, url, sealer, things
):
    heard, own = Heard(), Heard()

    def undone():
        with peopled.atomically():
            peopled.put_presence(replace(peopled.presence("sid-1"), ended_at=1))
            raise ZeroDivisionError

    with (
        closing(open_registry(place(url), sealer)) as other,
        other.hearing(heard.ended, heard.lost),
        peopled.hearing(own.ended, own.lost),
    ):
        with pytest.raises(ZeroDivisionError):
            undone()
        ended = peopled.put_presence(
            replace(peopled.presence("sid-1"), ended_at=5, end_reason="badge_revoked")
        )
        heard.wait(lambda h: h.presences)
        peopled.add_presence(things.presence(2))
        back = other.put_presence(replace(other.presence("sid-2"), ended_at=6))
        own.wait(lambda h: h.presences)
    assert (heard.presences, own.presences) == ([ended], [back]), "nobody hears of its own"
    assert (heard.missed, own.missed) == (0, 0)


def test_a_message_that_anybody_sends_ends_nothing(peopled, sql):
    heard = Heard()
    with peopled.hearing(heard.ended, heard.lost):
        for payload in ("x sid-1", "", "x", "x nobody", "x " + "s" * 7000, "\N{SNOWMAN} \x01"):
            sql("SELECT pg_notify('cardd_presence', ?)", payload)
        peopled.put_presence(replace(peopled.presence("sid-1"), ended_at=5))
        sql("SELECT pg_notify('cardd_presence', 'x sid-1')")
        heard.wait(lambda h: h.presences)
    assert [p.sid for p in heard.presences] == ["sid-1"]


def test_who_lost_the_feed_is_told_that_something_may_be_missed(cluster, sealer):
    heard = Heard()
    with cluster.running():
        registry = fresh(cluster, sealer)
        hearing = registry.hearing(heard.ended, heard.lost)
        hearing.__enter__()
    try:
        with cluster.running():
            heard.wait(lambda h: h.missed)
    finally:
        with ends_soon():
            hearing.__exit__(None, None, None)
        registry.close()


def test_no_key_service_begins_while_the_registry_is_migrated(peopled, url):
    heard = Heard()
    with psycopg.connect(url) as migration:
        migration.execute("SELECT pg_advisory_xact_lock(%s)", (0x6361726464,))
        with pytest.raises(StartError) as caught, peopled.hearing(heard.ended, heard.lost):
            pytest.fail("it began")
    assert caught.value.code is StartCode.REGISTRY_IN_USE
