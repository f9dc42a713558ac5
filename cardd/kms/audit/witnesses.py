"""From the configuration's `kms.audit_witness` to a witness."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from cardd.clock import Clock
from cardd.config import Kms
from cardd.config_witness import syslog_address, witness_file
from cardd.kms.audit import syslog_link
from cardd.kms.audit.checkpointing import NoWitness, Witness
from cardd.kms.audit.delivery import Delivery
from cardd.kms.audit.witness_file import WitnessFile

_log = structlog.get_logger(__name__)


@contextmanager
def open_witness(kms: Kms, clock: Clock) -> Iterator[Witness]:
    """Open the way to the configured witness; let go of it at the end.

    Whether it is there shows later. Raises StartError (`tls_unusable`).
    """
    if kms.audit_witness is None:
        yield NoWitness()
        return
    path, address = witness_file(kms.audit_witness), syslog_address(kms.audit_witness)
    if path is not None:
        _warn_of_one_disk(path, kms.audit)
        with Delivery(str(path), WitnessFile(path)) as delivery:
            yield delivery
    elif address is not None and kms.audit_witness_authority is not None:
        context = syslog_link.context(kms.audit_witness_authority, kms.tls)
        link = syslog_link.SyslogLink(address, context, kms.replica, clock)
        with Delivery(kms.audit_witness, link) as delivery:
            yield delivery


def _warn_of_one_disk(witness: Path, audit: Path) -> None:
    """Say where whoever takes the disk has both: the witness is none then, or is not mounted."""
    try:
        alone = witness.parent.stat().st_dev != audit.parent.stat().st_dev
    except OSError:
        return
    if not alone:
        _log.warning("audit.witness_on_the_same_disk", witness=str(witness), audit=str(audit))
