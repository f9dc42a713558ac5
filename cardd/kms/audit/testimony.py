"""What a witness has: the checkpoints in its file, in the order of the chain, a few at a time.

The file is the one that `file:` writes, or what a syslog server made of the messages: each line
that has a JWS of a checkpoint anywhere in it counts, and any other is passed over.
"""

import heapq
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from cardd.files import open_regular
from cardd.kms.audit.checkpoints import TYP, Checkpoint, CheckpointKeys, type_of
from cardd.kms.audit.findings import Finding, Found
from cardd.kms.audit.lines import Chain

REORDERED = 20_000
"""How many checkpoints late one may come: what a relay of messages held back."""

_MAXIMUM_LINE = 65_536
_MAXIMUM_CHAINS = 1000
# A signature of 64 bytes (RFC 7518, 3.4): one that a power cut left in part is no JWS.
_JWS = re.compile(rb"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{86}(?![A-Za-z0-9_-])")


class Testimony:
    """The checkpoints of one chain at a witness; `others` are of the replica's other chains.

    `others` has the last checkpoint of each, complete once `checkpoints` has ended.
    """

    def __init__(self, path: Path, keys: CheckpointKeys, chain: Chain) -> None:
        self._path = path
        self._keys = keys
        self._chain = chain
        self.others: dict[str, Checkpoint] = {}

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Yield those of the chain, by line number; equal ones may come twice.

        Raises Found where one is not signed as it must be, or comes too late; OSError.
        """
        waiting: list[tuple[int, int, Checkpoint]] = []
        passed, arrival = 0, count()
        for number, checkpoint in self._own():
            if checkpoint.seq < passed:
                raise Found(
                    Finding.WITNESS_INVALID,
                    0,
                    f"line {number} of the witness {self._path} comes {REORDERED} checkpoints late "
                    "or more; sort that file by time",
                )
            heapq.heappush(waiting, (checkpoint.seq, next(arrival), checkpoint))
            if len(waiting) > REORDERED:
                passed, _, earliest = heapq.heappop(waiting)
                yield earliest
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _own(self) -> Iterator[tuple[int, Checkpoint]]:
        for number, checkpoint in self._all():
            if checkpoint.replica != self._chain.replica:
                continue
            if checkpoint.chain == self._chain.id:
                yield number, checkpoint
            elif checkpoint.chain in self.others or len(self.others) < _MAXIMUM_CHAINS:
                self.others[checkpoint.chain] = checkpoint

    def _all(self) -> Iterator[tuple[int, Checkpoint]]:
        with open_regular(self._path) as file:
            number = 0
            while line := file.readline(_MAXIMUM_LINE):
                number += 1
                for jws in _JWS.findall(line):
                    text = jws.decode("ascii")
                    if type_of(text) == TYP:
                        yield number, self._verified(text, number)

    def _verified(self, jws: str, number: int) -> Checkpoint:
        try:
            return self._keys.verify(jws)
        except ValueError as error:
            raise Found(
                Finding.WITNESS_INVALID,
                0,
                f"the checkpoint in line {number} of the witness {self._path} is not good: {error}",
            ) from None
