"""The reader end of the vpcd wire, on one connected socket.

Both ways: a 2-byte big-endian length and that many bytes. A payload of one byte is a control code
(0 power off, 1 power on, 2 reset: no reply; 4: reply with the ATR); a longer one is a command APDU,
and the reply is the response APDU. A closed socket, or an empty ATR, is a card taken away.
"""

import select
import socket
import threading
import time

from cardd.errors import CardError, CardMute, CardProtocolError, CardRemoved

POWER_OFF, POWER_ON, RESET, GET_ATR = 0, 1, 2, 4
ATR_LIMIT_S = 3.0
LONGEST_ATR = 33
"""ISO/IEC 7816-3, 8.2.1: TS and at most 32 characters."""

_GONE = "the card was taken away: show it again"


class VpcdLink:
    """One card at the other end of a socket. Any thread may use it; exchanges take turns.

    A card that breaks the wire's rules, or does not answer within `answer_timeout_s`, is dropped:
    the link is dead afterwards, and whoever polls the socket sees it hang up.
    """

    def __init__(self, channel: socket.socket, answer_timeout_s: float) -> None:
        self._channel = channel
        self._answer_timeout_s = answer_timeout_s
        self._atr_limit_s = min(ATR_LIMIT_S, answer_timeout_s)
        self._turn = threading.Lock()
        self._dead = False
        self._is_tcp = channel.family != socket.AF_UNIX
        channel.setblocking(False)
        if self._is_tcp:
            channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def is_dead(self) -> bool:
        """Whether the card was dropped or has left."""
        return self._dead

    def fileno(self) -> int:
        """Return the socket's number, for polling."""
        return self._channel.fileno()

    def power_on(self) -> None:
        """Power the card. Raises CardRemoved."""
        with self._turn:
            self._order(POWER_ON)

    def reset(self) -> None:
        """Reset the card. Raises CardRemoved."""
        with self._turn:
            self._order(RESET)

    def power_off(self) -> None:
        """Cut the power, unless an exchange is under way or the card no longer listens."""
        if self._turn.acquire(blocking=False):
            try:
                self._order(POWER_OFF, limit_s=0.0)
            except CardError:
                return
            finally:
                self._turn.release()

    def still_there(self) -> bool:
        """Ask for the ATR; a card in the middle of an exchange is there. Drops one that fails."""
        if not self._turn.acquire(blocking=False):
            return True
        try:
            return bool(self._exchange(bytes((GET_ATR,)), self._atr_limit_s))
        except CardError:
            return False
        finally:
            self._turn.release()

    def atr(self) -> bytes:
        """Ask for the ATR. Raises CardRemoved, CardMute or CardProtocolError."""
        with self._turn:
            atr = self._exchange(bytes((GET_ATR,)), self._atr_limit_s)
        if not atr:
            self.drop()
            raise CardRemoved(_GONE)
        if not 2 <= len(atr) <= LONGEST_ATR:
            self.drop()
            raise CardProtocolError(f"an ATR has 2 to {LONGEST_ATR} bytes, not {len(atr)}")
        return atr

    def transmit(self, command: bytes) -> bytes:
        """Exchange an APDU of 4 bytes or more. Raises CardRemoved, CardMute, CardProtocolError."""
        with self._turn:
            answer = self._exchange(command, self._answer_timeout_s)
        if len(answer) < 2:
            self.drop()
            raise CardProtocolError(f"an answer has 2 bytes or more; the card sent {len(answer)}")
        return answer

    def drop(self) -> None:
        """Hang up. Safe from any thread: an exchange that waits sees the end of the stream."""
        self._dead = True
        try:
            self._channel.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # The other end was faster.

    def close(self) -> None:
        """Hang up and free the socket, once no exchange uses it."""
        self.drop()
        with self._turn:
            self._channel.close()

    def _order(self, code: int, limit_s: float = ATR_LIMIT_S) -> None:
        """Send a control code that has no reply."""
        self._send(bytes((code,)), time.monotonic() + limit_s)

    def _exchange(self, payload: bytes, limit_s: float) -> bytes:
        if self._dead:
            raise CardRemoved(_GONE)
        deadline = time.monotonic() + limit_s
        self._refuse_unasked()
        self._send(payload, deadline)
        length = int.from_bytes(self._receive(2, deadline))
        return self._receive(length, deadline)

    def _refuse_unasked(self) -> None:
        """Drop a card that speaks before it is asked: its next answer would be a forged one."""
        try:
            unasked = self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            unasked = b""
        self.drop()
        if unasked:
            raise CardProtocolError("the card sent an answer to no command")
        raise CardRemoved(_GONE)

    def _send(self, payload: bytes, deadline: float) -> None:
        frame = memoryview(len(payload).to_bytes(2) + payload)
        while frame:
            try:
                sent = self._channel.send(frame, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
            except OSError as error:
                raise CardRemoved(_GONE) from error
            else:
                frame = frame[sent:]

    def _receive(self, length: int, deadline: float) -> bytes:
        received = bytearray()
        while len(received) < length:
            if self._is_tcp:
                # The kernel takes it back after each use; without it each APDU waits 40 ms.
                self._channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            try:
                chunk = self._channel.recv(length - len(received))
            except BlockingIOError:
                self._wait(select.POLLIN, deadline)
                continue
            except OSError as error:
                raise CardRemoved(_GONE) from error
            if not chunk:
                raise CardRemoved(_GONE)
            received += chunk
        return bytes(received)

    def _wait(self, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(self._channel, event)
        remaining_s = deadline - time.monotonic()
        if remaining_s > 0 and poll.poll(remaining_s * 1000):
            return
        self.drop()
        raise CardMute("the card did not answer in time and was dropped: show it again")
