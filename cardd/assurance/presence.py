"""The KMS's record that a person was authenticated on a device and may still be there."""

from dataclasses import dataclass

from cardd.assurance.levels import Acr


@dataclass(frozen=True, slots=True)
class PresenceRecord:
    """One row per successful authentication that opened a presence. Times are Unix seconds.

    `device` and `client` are where it was opened; only that client may ask for assertions on it.
    """

    sid: str
    holder_id: str
    badge_id: str
    device: str
    client: str
    auth_time: int
    acr: Acr
    amr: tuple[str, ...]
    expires_at: int
    ended_at: int | None = None
    end_reason: str | None = None
    version: int = 1
