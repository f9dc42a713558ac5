"""What the faces stand on, and the sign that they are about to close."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from cardd.kms.ports import KeyService
from cardd.presence.workstation import Workstation


@dataclass(frozen=True, slots=True)
class Backing:
    """The workstation, the key service, and what /v1/status says of this daemon.

    `stopping` is set when the server closes: whoever holds an answer back gives it then.
    """

    workstation: Workstation
    keys: KeyService
    issuer: str
    device: str
    version: str
    development: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def unless_stopping(self, waiting: Coroutine[Any, Any, Any]) -> None:
        """Await something, but not past the moment when the server closes."""
        tasks = {asyncio.ensure_future(waiting), asyncio.ensure_future(self.stopping.wait())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for task in done:
            task.result()
