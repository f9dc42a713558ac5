"""Whether an audit file is as it was written, from its first line on."""

from pathlib import Path

from cardd.errors import StartCode, StartError
from cardd.files import open_regular
from cardd.kms.audit.lines import GENESIS, follow, lines
from cardd.kms.audit.storage import damaged


def verify(path: Path) -> int:
    """Verify a whole audit file, from its first line, and return how many lines it has.

    Raises StartError: `audit_damaged`, whose message and `line` name the first line that does not
    verify; `audit_unavailable` where the file cannot be read.
    """
    head = GENESIS
    try:
        with open_regular(path) as file:
            for line in lines(file):
                head = follow(line, head)
    except ValueError as error:
        raise damaged(path, head.seq + 1, str(error)) from None
    except OSError as error:
        raise StartError(
            StartCode.AUDIT_UNAVAILABLE, f"the audit file {path} cannot be read: {error.strerror}"
        ) from error
    return head.seq
