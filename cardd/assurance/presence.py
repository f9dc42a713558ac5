"""The KMS's record that a person was authenticated on a device and may still be there."""

from dataclasses import dataclass

from cardd.assurance.levels import Acr


@dataclass(frozen=True, slots=True)
class PresenceRecord:
    """One row per successful authentication that opened a presence. Times are Unix seconds.

    `device` and `client` are where it was opened; only that client may ask for assertions on it.
    The card was either a badge (`badge_id`) or a CPS (`certificate`, the `x5t#S256` of the
    certificate that signed, RFC 7515, 4.1.8); the other one is None.
    """

    sid: str
    holder_id: str
    badge_id: str | None
    certificate: str | None
    device: str
    client: str
    auth_time: int
    acr: Acr
    amr: tuple[str, ...]
    expires_at: int
    ended_at: int | None = None
    end_reason: str | None = None
    version: int = 1

    def __post_init__(self) -> None:
        assert (self.badge_id is None) != (self.certificate is None), "a badge or a CPS, not both"
