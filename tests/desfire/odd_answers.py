"""What a hostile card may answer: anything, and what is framed as an answer."""

from hypothesis import strategies as st

STATUSES = [b"\x00", b"\xaf"]


def odd_answers(most: int) -> st.SearchStrategy[list[bytes]]:
    """Return lists of at most `most` answers; many have a length that may be right."""
    data = st.one_of(st.binary(max_size=64), st.sampled_from([bytes(n) for n in range(41)]))
    status = st.one_of(st.sampled_from(STATUSES), st.binary(min_size=1, max_size=1))
    framed = st.builds(lambda data, status: data + b"\x91" + status, data, status)
    return st.lists(st.one_of(st.binary(max_size=300), framed), max_size=most)
