"""What a client of the key service may do."""

from cardd.errors import Code, Refused
from cardd.kms.messages import AssertionRequest
from cardd.kms.ports import Client, Right


def require(client: Client, right: Right) -> None:
    """Raise Refused (`forbidden`) where the client lacks a right."""
    if right not in client.rights:
        raise Refused(
            Code.FORBIDDEN,
            f"{client.name} lacks the right {right}; the KMS's administrator gives it",
        )


def require_aid(client: Client, aid: str) -> None:
    """Raise Refused (`forbidden`) where the client may not use badges with this application."""
    if client.aids is not None and aid.upper() not in client.aids:
        raise Refused(
            Code.FORBIDDEN, f"{client.name} may not use the application {aid} of the badges here"
        )


def require_audiences(client: Client, requests: tuple[AssertionRequest, ...]) -> None:
    """Raise Refused (`forbidden`) where the client may not ask for one of the audiences."""
    if client.audiences is None:
        return
    for request in requests:
        if request.audience not in client.audiences:
            raise Refused(
                Code.FORBIDDEN,
                f"{client.name} may not ask for assertions for {request.audience}",
            )
