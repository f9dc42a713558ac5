"""Checkpoints in the file of a real syslog server. A syslog server changes the machine it is
installed on, so `make setup` leaves that to whoever wants to run this: rsyslog, rsyslog-gnutls."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cardd.config_kms import Tls
from cardd.kms.audit.delivery import Delivery
from cardd.kms.audit.syslog_link import SyslogLink, context
from tests.kms.audit.audit_world import FixedClock, Scene, until
from tests.services.certificates import Authority

RSYSLOGD = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(
        RSYSLOGD is None or not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")),
        reason="rsyslog and rsyslog-gnutls are not installed",
    ),
]

# RFC 5425 with both ends' certificates, as rsyslog's own documents set it up.
CONFIGURATION = """
global(
  workDirectory="{folder}"
  defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{authority}"
  defaultNetstreamDriverCertFile="{certificate}"
  defaultNetstreamDriverKeyFile="{key}"
)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1"
  streamDriver.authMode="x509/certvalid")
template(name="plain" type="string" string="%HOSTNAME% %syslogtag%%msg%\\n")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="{folder}/port")
action(type="omfile" file="{folder}/received" template="plain" asyncWriting="off")
"""


@contextmanager
def rsyslog(folder: Path, authority: Authority) -> Iterator[int]:
    certificate, key = authority.issue("localhost", hosts=("localhost",))
    configuration = folder / "rsyslog.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder, authority=authority.certificate, certificate=certificate, key=key
        )
    )
    command = ["setpriv", "--pdeathsig", "KILL", str(RSYSLOGD), "-n", "-f", str(configuration)]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, "-i", str(folder / "pid")], stdout=output, stderr=output
        )
    try:
        port = folder / "port"
        until(lambda: port.exists() and bool(port.read_text().strip()))
        yield int(port.read_text())
    finally:
        process.terminate()
        process.wait(20)


def test_what_rsyslog_keeps_verifies_the_audit(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "syslog authority")
    certificate, key = authority.issue("kms-1")
    tls = Tls(certificate=certificate, key=key, authority=authority.certificate)
    scene = Scene(tmp_path)
    scene.witness = tmp_path / "received"
    with rsyslog(tmp_path, authority) as port:
        link = SyslogLink(
            ("localhost", port), context(authority.certificate, tls), "kms-1", FixedClock()
        )
        with Delivery("rsyslog", link) as witness, scene.opened(witness=witness) as audit:
            for _ in range(5):
                audit.record("tap")
        until(lambda: scene.witness.exists() and scene.witness.read_text().count("\n") >= 2)
    report = scene.report()
    assert report.witnessed is not None
    assert report.witnessed.seq == report.lines - 1
    scene.write(scene.lines()[:-2])
    assert scene.finding(witness=True)[0] == "truncated"
