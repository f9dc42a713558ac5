"""A daemon that inherits its sockets from the service manager."""

import os
import socket
import subprocess
import sys

import pytest

from cardd.client import AdminClient, Client
from scripts.world import PROGRAMS, World, stop

pytestmark = pytest.mark.e2e

# What a service manager does between fork and exec: LISTEN_PID is the process that will be cardd.
ACTIVATE = """
import os, sys
for number, inherited in enumerate(map(int, sys.argv[1:3]), 3):
    os.dup2(inherited, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="cardd:cardd-admin")
os.execv(sys.argv[3], sys.argv[3:])
"""


def test_inherited_sockets_are_served_and_left_in_place() -> None:
    with World(light=True) as world:
        world.run("cardd-kms", "init", "--config", world.configuration)
        with (
            socket.socket(socket.AF_UNIX) as agents,
            socket.socket(socket.AF_UNIX) as admin,
        ):
            for listening, name in ((agents, "agents"), (admin, "administrators")):
                listening.bind(str(world.folder / name))
                listening.listen()
                # Away from 3 and 4, to which they go.
                os.dup2(listening.fileno(), listening.fileno() + 100)
            raised = [str(each.fileno() + 100) for each in (agents, admin)]
            program = [str(PROGRAMS / "cardd"), "--config", str(world.configuration)]
            daemon = subprocess.Popen(
                [sys.executable, "-c", ACTIVATE, *raised, *program],
                pass_fds=[int(number) for number in raised],
                stderr=subprocess.DEVNULL,
            )
            for number in raised:
                os.close(int(number))
            # It listens already: a client that comes before the daemon is ready waits.
            assert Client(world.folder / "agents", timeout_s=20).status().badge
            assert AdminClient(world.folder / "administrators").holders().items == ()
            assert not world.socket.exists()
            assert stop(daemon) == 0
            assert (world.folder / "agents").exists()
