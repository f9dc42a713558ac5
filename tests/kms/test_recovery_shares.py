import functools
import hashlib
import itertools
import operator
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.errors import CeremonyCode, CeremonyError
from cardd.kms.masters import shares
from cardd.kms.masters.shares import Share, combine, parse, parse_group, split, text
from cardd.secret import Secret

pytestmark = pytest.mark.unit

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KNOWN = Share("0a1b2c3d", 3, 2, Secret(bytes(range(16))))


def refusal(typed: str) -> CeremonyError:
    with pytest.raises(CeremonyError) as caught:
        parse(typed)
    return caught.value


@given(
    st.binary(min_size=16, max_size=16),
    st.integers(2, 15).flatmap(lambda n: st.tuples(st.integers(2, n), st.just(n))),
)
def test_any_threshold_of_them_gives_the_secret_back(
    secret: bytes, numbers: tuple[int, int]
) -> None:
    threshold, count = numbers
    made = split(Secret(secret), threshold, count)
    assert [share.index for share in made] == list(range(1, count + 1))
    for some in itertools.islice(itertools.combinations(made, threshold), 6):
        assert combine(some) == Secret(secret)
    assert combine(made) == Secret(secret)


def test_fewer_of_them_give_nothing() -> None:
    made = split(Secret(os.urandom(16)), 3, 5)
    with pytest.raises(CeremonyError) as caught:
        combine(made[:2])
    assert caught.value.code is CeremonyCode.SHARES_TOO_FEW
    assert "2 of 3" in str(caught.value)
    with pytest.raises(CeremonyError):
        combine(())


@pytest.mark.parametrize(("threshold", "count"), [(1, 3), (4, 3), (2, 16), (0, 0), (16, 16)])
def test_numbers_that_make_no_sense_are_refused(threshold: int, count: int) -> None:
    with pytest.raises(ValueError, match="shares"):
        split(Secret(bytes(16)), threshold, count)


@given(
    st.binary(min_size=16, max_size=16),
    st.integers(1, 15),
    st.integers(2, 15),
    st.from_regex("[0-9a-f]{8}", fullmatch=True),
)
def test_what_is_written_down_reads_back(
    value: bytes, index: int, threshold: int, set_id: str
) -> None:
    share = Share(set_id, index, threshold, Secret(value))
    groups = text(share)
    assert [len(group) for group in groups] == [6] * 8
    assert set("".join(groups)) <= set(ALPHABET)
    assert parse(" ".join(groups)) == share
    assert parse("-".join(groups).lower().replace("0", "o").replace("1", "l")) == share


def power_of_x(exponent: int) -> int:
    """Return x^exponent in GF(2)[x] / (x^5 + x^2 + 1), by its definition."""
    value = 1 << exponent
    for degree in range(exponent, 4, -1):
        if value >> degree & 1:
            value ^= 0b100101 << (degree - 5)
    return value


def product(one: int, two: int) -> int:
    return functools.reduce(
        operator.xor, (0 if not one >> i & 1 else times(two, i) for i in range(5)), 0
    )


def times(element: int, exponent: int) -> int:
    bits = (power_of_x(i + exponent) for i in range(5) if element >> i & 1)
    return functools.reduce(operator.xor, bits, 0)


def test_the_form_on_paper_does_not_change_and_is_as_described() -> None:
    groups = ["04HGMV", "6SC7MX", "0020GB", "30G2GV", "C1R81Q", "450P33", "0D1R7M", "JM19AG"]
    assert text(KNOWN) == tuple(groups)
    data = ""
    for position, group in enumerate(groups, 1):
        digits = [ALPHABET.index(character) for character in group]
        weighted = [product(d, power_of_x(5 - i)) for i, d in enumerate(digits[:5])]
        assert digits[5] == functools.reduce(operator.xor, weighted) ^ times(position, 6)
        data += "".join(f"{digit:05b}" for digit in digits[:5])
    payload = int(data, 2).to_bytes(25, "big")
    assert payload[:22].hex() == "0123" + "0a1b2c3d" + bytes(range(16)).hex()
    assert payload[22:] == hashlib.sha256(b"cardd share text v1\0" + payload[:22]).digest()[:3]


def test_each_wrong_character_and_each_swap_is_found_in_its_group() -> None:
    groups = list(text(KNOWN))
    for position, group in enumerate(groups, 1):
        for place in range(6):
            for other in set(ALPHABET) - {group[place]}:
                typed = group[:place] + other + group[place + 1 :]
                with pytest.raises(CeremonyError) as caught:
                    parse_group(position, typed)
                assert caught.value.facts == {"group": position}
        for one, two in itertools.combinations(range(6), 2):
            swapped = list(group)
            swapped[one], swapped[two] = swapped[two], swapped[one]
            if swapped != list(group):
                with pytest.raises(CeremonyError):
                    parse_group(position, "".join(swapped))


def test_groups_that_changed_places_are_found() -> None:
    groups = list(text(KNOWN))
    for one, two in itertools.combinations(range(8), 2):
        moved = groups.copy()
        moved[one], moved[two] = moved[two], moved[one]
        error = refusal(" ".join(moved))
        assert error.facts == {"group": one + 1}


def test_each_mistake_has_a_message_that_says_where() -> None:
    groups = list(text(KNOWN))
    with_u = groups.copy()
    with_u[4] = "U" + with_u[4][1:]
    assert "group 5 has a typing error: no share has the character 'U'" in str(
        refusal(" ".join(with_u))
    )
    short = groups.copy()
    short[1] = short[1][:5]
    assert "group 2 has a typing error: a group has 6 characters, not 5" in str(
        refusal(" ".join(short))
    )
    assert "8 groups, not 7" in str(refusal(" ".join(groups[:7])))
    assert "8 groups, not 1" in str(refusal(""))


def test_a_group_of_another_paper_is_found() -> None:
    groups = list(text(KNOWN))
    groups[4] = text(Share("0a1b2c3d", 4, 2, Secret(os.urandom(16))))[4]
    error = refusal(" ".join(groups))
    assert error.code is CeremonyCode.SHARE_MISTYPED
    assert "another paper" in str(error)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_share_or_a_documented_error(typed: str) -> None:
    with pytest.raises(CeremonyError) as caught:
        parse(typed)
    assert caught.value.code is CeremonyCode.SHARE_MISTYPED


def test_shares_of_two_sets_do_not_mix() -> None:
    one, two = split(Secret(bytes(16)), 2, 3), split(Secret(bytes(16)), 2, 3)
    with pytest.raises(CeremonyError) as caught:
        combine((one[0], two[1]))
    assert caught.value.code is CeremonyCode.SHARES_MIXED


def test_a_share_counts_once() -> None:
    made = split(Secret(bytes(16)), 2, 3)
    with pytest.raises(CeremonyError) as caught:
        combine((made[0], made[0]))
    assert caught.value.code is CeremonyCode.SHARE_TWICE


def test_a_share_shows_its_value_to_nobody() -> None:
    share = split(Secret(b"sixteen secrets!"), 2, 2)[0]
    for shown in (repr(share), str(share), f"{share}"):
        assert share.value.reveal().hex() not in shown
        assert shares.text(share)[3] not in shown


def test_fingerprints_tell_shares_apart() -> None:
    made = split(Secret(os.urandom(16)), 2, 15)
    assert len({share.fingerprint for share in made}) == 15
