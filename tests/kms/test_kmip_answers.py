"""A KMIP answer is read, or refused with a documented error; nothing else comes out of it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cardd.errors import KmsUnavailable
from cardd.kms.masters import kmip_messages as k

pytestmark = pytest.mark.unit

REQUESTS = [k.mac("1", b"m"), k.locate("cardd"), k.describe("1"), k.activate("1"), k.destroy("1")]


@given(st.sampled_from(REQUESTS), st.binary(max_size=200))
@example(REQUESTS[0], b"")
def test_any_bytes_are_refused(request: k.Request, answer: bytes) -> None:
    with pytest.raises((KmsUnavailable, k.KmipFailure)):
        request.decode(answer)


@given(st.data())
def test_a_request_is_no_answer_however_it_is_changed(data: st.DataObject) -> None:
    request = data.draw(st.sampled_from(REQUESTS))
    changed = bytearray(request.encode())
    changed[3:4] = b"\x01"
    changed[2] = 0x7B
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with pytest.raises((KmsUnavailable, k.KmipFailure)):
        request.decode(bytes(changed))


def test_a_mac_of_another_length_is_no_mac() -> None:
    for payload in (None, object(), k.payloads.MACResponsePayload(mac_data=k.objects.MACData(b""))):
        with pytest.raises(KmsUnavailable):
            k.mac_value(payload)
