"""The socket files: made, taken over, refused, removed; and sockets that were inherited."""

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from cardd import assembly
from cardd.api.backing import Backing
from cardd.api.server import Inherited, serve
from cardd.api.socket_files import listen
from cardd.badges.inspection.case import Policy
from cardd.badges.model import Scheme
from cardd.client import Client
from cardd.clock import SystemClock
from cardd.config import Access, Grant, Sockets, Trust
from cardd.cps.trust import TrustStore
from cardd.errors import StartCode, StartError
from cardd.presence.inspecting import Inspector
from cardd.presence.workstation import Workstation
from tests.api.face_world import World, configuration

pytestmark = pytest.mark.unit


def test_the_files_have_their_modes_and_the_group_of_their_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, -1, 7001)
    opened = listen(tmp_path / "a.sock", 0o660)
    found = (tmp_path / "a.sock").stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert found.st_gid == 7001
    opened.close()
    assert not (tmp_path / "a.sock").exists()


def test_both_faces_have_the_modes_of_the_design(fresh: World) -> None:
    assert stat.S_IMODE(fresh.main.stat().st_mode) == 0o666
    assert stat.S_IMODE(fresh.admin.stat().st_mode) == 0o660


def test_the_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    opened = listen(path, 0o666)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    opened.close()


def test_a_socket_that_answers_is_in_use_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    first = listen(path, 0o666)
    with pytest.raises(StartError) as caught:
        listen(path, 0o666)
    assert caught.value.code == StartCode.SOCKET_IN_USE
    assert str(path) in str(caught.value)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    first.close()


def test_a_socket_whose_queue_is_full_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        with pytest.raises(StartError) as caught:
            listen(path, 0o666)
    assert caught.value.code == StartCode.SOCKET_IN_USE


@pytest.mark.parametrize("what", ["file", "directory", "link", "no parent", "too long", "nul"])
def test_anything_else_in_the_way_is_refused_and_left(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.sock"
    if what == "file":
        path.write_text("precious")
    elif what == "directory":
        path.mkdir()
    elif what == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "no parent":
        path = tmp_path / "none" / "a.sock"
    elif what == "too long":
        path = tmp_path / ("a" * 120)
    else:
        path = tmp_path / "a\0b"
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StartError) as caught:
        listen(path, 0o666)
    assert caught.value.code == StartCode.SOCKET_UNAVAILABLE
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_another_process_put_there_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    first = listen(path, 0o666)
    path.unlink()
    second = listen(path, 0o666)
    first.close()
    assert path.exists()
    second.close()


async def _serving(folder: Path, inherited: Inherited | None, check: Any) -> None:
    """Serve in this loop while `check` runs in a thread."""
    config = configuration(folder)
    assembly.create_key_service(config)
    with assembly.open_key_service(config) as keys:
        workstation = Workstation(
            service=keys,
            inspector=Inspector(keys, Policy("F5CA4D", Scheme.EV1_AES)),
            sources=[],
            settings=config.presence,
            debounce_ms=0,
            clock=SystemClock(),
            trust=TrustStore(Trust()),
        )
        backing = Backing(workstation, keys, "i", "d", "0")
        async with serve(backing, config.access, config.sockets, inherited):
            await asyncio.get_running_loop().run_in_executor(None, check)


def test_inherited_sockets_are_served_and_their_files_kept(tmp_path: Path) -> None:
    path = tmp_path / "given.sock"
    given = socket.socket(socket.AF_UNIX)
    given.bind(str(path))
    given.listen()

    def check() -> None:
        assert Client(path).status().device == "d"
        assert not (tmp_path / "cardd.sock").exists()
        assert (tmp_path / "admin.sock").exists()

    asyncio.run(_serving(tmp_path, Inherited(agents=given), check))
    assert path.exists()
    assert not (tmp_path / "admin.sock").exists()


def test_an_inherited_socket_that_is_no_listening_unix_socket_is_refused(tmp_path: Path) -> None:
    for family in (socket.AF_INET, socket.AF_UNIX):
        folder = tmp_path / family.name
        folder.mkdir()
        with socket.socket(family) as given, pytest.raises(StartError) as caught:
            asyncio.run(_serving(folder, Inherited(admin=given), lambda: None))
        assert caught.value.code == StartCode.SOCKET_UNAVAILABLE
        assert not list(folder.glob("*.sock"))


def test_a_start_that_fails_leaves_no_socket_file(tmp_path: Path) -> None:
    (tmp_path / "admin.sock").write_text("in the way")

    async def start(access: Access) -> None:
        sockets = Sockets(path=tmp_path / "cardd.sock", admin=tmp_path / "admin.sock")
        async with serve(Backing(None, None, "i", "d", "0"), access, sockets):  # type: ignore[arg-type]
            raise AssertionError("it must not start")

    with pytest.raises(StartError) as caught:
        asyncio.run(start(Access()))
    assert caught.value.code == StartCode.SOCKET_UNAVAILABLE
    assert [path.name for path in tmp_path.iterdir()] == ["admin.sock"]
    with pytest.raises(StartError) as caught:
        asyncio.run(start(Access(grants=(Grant(user="nobody-at-all", rights=("admin",)),))))
    assert caught.value.code == StartCode.CONFIG_INVALID
