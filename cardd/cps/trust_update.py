"""Fetching the CRLs of the configured authorities: a program of its own, never the daemon.

A list replaces the one before it only after its signature and its dates were verified; whatever
goes wrong, the former list stays.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cardd.config import Trust
from cardd.cps.trust_authorities import Authority, read_authorities
from cardd.cps.trust_crls import MAXIMUM_BYTES, SUFFIX, Crl, CrlError, read_crl
from cardd.cps.trust_http import FetchError, Limits, fetch
from cardd.files import PUBLIC, read_bounded, replace

LIMITS: Final = Limits(timeout_s=120.0, max_bytes=MAXIMUM_BYTES, max_redirects=3)

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_LENGTH = 64
_DIGEST_LENGTH = 8


class Outcome(StrEnum):
    """What became of one list."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Update:
    """What became of the list at one URL; `why` where it failed, `crl` where it did not."""

    url: str
    file: Path
    outcome: Outcome
    crl: Crl | None = None
    why: str | None = None


def update(settings: Trust, now: float, limits: Limits = LIMITS) -> list[Update]:
    """Fetch each list; every URL is tried, whatever becomes of the others.

    `now` is in Unix seconds; `limits` are those of one fetch. Raises Refused
    (`trust_unavailable`) where the authorities cannot be read.
    """
    authorities = read_authorities(settings)
    moment = datetime.fromtimestamp(now, UTC)
    return [
        _update(url, settings, authorities, moment, limits) for url in urls(settings, authorities)
    ]


def urls(settings: Trust, authorities: Sequence[Authority]) -> list[str]:
    """Return the configured URLs, then those that the intermediates' certificates name (http)."""
    named = (
        url
        for authority in authorities
        if not authority.is_root
        for url in sorted(authority.crl_urls)
        if url.startswith("http://")
    )
    return list(dict.fromkeys((*settings.crl_urls, *named)))


def file_of(folder: Path, url: str) -> Path:
    """Return where the list of a URL is kept: its own name, and what keeps two URLs apart."""
    stem = Path(urlsplit(url).path).name.removesuffix(SUFFIX)
    safe = _UNSAFE.sub("_", stem).strip("._")[:_NAME_LENGTH] or "list"
    digest = hashlib.sha256(url.encode()).hexdigest()[:_DIGEST_LENGTH]
    return folder / f"{safe}.{digest}{SUFFIX}"


def _update(
    url: str,
    settings: Trust,
    authorities: Sequence[Authority],
    now: datetime,
    limits: Limits,
) -> Update:
    file = file_of(settings.crls, url)
    try:
        content = fetch(url, limits)
        crl = read_crl(content, authorities)
        former, former_crl = _former(file, authorities)
        _check_dates(crl, former_crl, now, timedelta(seconds=settings.clock_skew_s))
        if former == content:
            return Update(url, file, Outcome.UNCHANGED, crl)
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace(file, content, mode=PUBLIC)
    except FetchError as error:
        return Update(url, file, Outcome.FAILED, why=str(error))
    except CrlError as error:
        return Update(url, file, Outcome.FAILED, why=f"what {url} gave is not used: {error}")
    except OSError as error:
        return Update(url, file, Outcome.FAILED, why=f"{file} cannot be written: {error}")
    return Update(url, file, Outcome.UPDATED, crl)


def _check_dates(crl: Crl, former: Crl | None, now: datetime, skew: timedelta) -> None:
    if not crl.is_fresh(now, skew):
        raise CrlError(f"it holds from {crl.this_update} to {crl.next_update}, and it is now {now}")
    if former is not None and crl.this_update < former.this_update:
        raise CrlError(f"it is of {crl.this_update}, older than the one that is here")


def _former(file: Path, authorities: Sequence[Authority]) -> tuple[bytes, Crl | None]:
    """Return the content of the file that is to be replaced, and its list where it is one."""
    try:
        content = read_bounded(file, MAXIMUM_BYTES)
    except OSError:
        return b"", None
    try:
        return content, read_crl(content, authorities)
    except CrlError:
        return content, None
