"""Talk to cardd over its Unix socket; standard library only, Python 3.11 and later.

    from cardd.client import Client

    client = Client("/run/cardd/cardd.sock")
    result = client.authenticate("https://portal.example", timeout_s=60)
    print(result.holder.staff_number, result.assertion)

Everything raises CarddProblem (the daemon refused, with a stable code) or DaemonUnavailable.
"""

from cardd.client.admin import AdminClient
from cardd.client.client import Client, new_nonce
from cardd.client.errors import CarddProblem, ClientError, DaemonUnavailable
from cardd.client.events import EventStream
from cardd.client.inspections import Finding, Inspection
from cardd.client.models import (
    Badge,
    CardSummary,
    Cps,
    Event,
    Holder,
    Page,
    Presence,
    Reader,
    Status,
)
from cardd.client.operations import (
    Authentication,
    AuthenticationResult,
    Enrolment,
    PinWanted,
    Receipt,
)
from cardd.client.problems import Problem

__all__ = [
    "AdminClient",
    "Authentication",
    "AuthenticationResult",
    "Badge",
    "CardSummary",
    "CarddProblem",
    "Client",
    "ClientError",
    "Cps",
    "DaemonUnavailable",
    "Enrolment",
    "Event",
    "EventStream",
    "Finding",
    "Holder",
    "Inspection",
    "Page",
    "PinWanted",
    "Presence",
    "Problem",
    "Reader",
    "Receipt",
    "Status",
    "new_nonce",
]
