"""Pages, cursors and searches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.errors import Code, Refused
from cardd.kms.messages import Page
from cardd.store import search


def walk(listing, **page):
    """Return the items of all pages, page by page."""
    cursor, pages = None, []
    while True:
        items, cursor = listing(Page(cursor=cursor, **page))
        pages.append(items)
        if cursor is None:
            return pages


def test_pages_together_are_the_whole_list_in_order(registry, things):
    for n in (5, 3, 9, 1, 7, 2, 8):
        registry.add_holder(things.holder(n))
        registry.add_badge(things.badge(n, holder_id=things.holder(n).id if n % 2 else None))
    pages = walk(registry.holders, limit=3)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [h for page in pages for h in page] == [things.holder(n) for n in (1, 2, 3, 5, 7, 8, 9)]
    badges = [pair for page in walk(registry.badges, limit=2) for pair in page]
    assert [badge.number[-1] for badge, _ in badges] == list("1235789")
    assert all((holder is not None) == (int(badge.number) % 2 == 1) for badge, holder in badges)


def test_a_full_last_page_has_no_cursor(registry, things):
    for n in range(4):
        registry.add_holder(things.holder(n))
    assert [len(page) for page in walk(registry.holders, limit=2)] == [2, 2]


def test_rows_that_arrive_between_two_pages_neither_repeat_nor_hide_others(registry, things):
    for n in (10, 20, 30, 40):
        registry.add_holder(things.holder(n))
    first, cursor = registry.holders(Page(limit=2))
    for n in (5, 15, 35):
        registry.add_holder(things.holder(n))
    rest, end = registry.holders(Page(limit=10, cursor=cursor))
    assert [h.staff_number for h in first + rest] == [f"S{n:05}" for n in (10, 20, 30, 35, 40)]
    assert end is None


def test_a_search_goes_on_over_pages(registry, things):
    for n in range(6):
        registry.add_holder(things.holder(n, family_name="Petit" if n % 2 else "Roux"))
    pages = walk(registry.holders, limit=2, q="petit")
    assert [[h.staff_number for h in page] for page in pages] == [["S00001", "S00003"], ["S00005"]]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("%", ["100%"]),
        ("_", ["a_b"]),
        ("\\", ["c\\d"]),
        ("a_b", ["a_b"]),
        ("%%", []),
        ("'", []),
        ("", ["100%", "a_b", "axb", "c\\d"]),
    ],
)
def test_the_wildcards_of_sql_are_ordinary_characters(registry, things, q, found):
    for n, staff_number in enumerate(["100%", "a_b", "axb", "c\\d"]):
        registry.add_holder(things.holder(n, staff_number=staff_number))
        registry.add_badge(things.badge(n, holder_id=things.holder(n).id))
    assert [h.staff_number for h in registry.holders(Page(q=q))[0]] == found
    assert [h.staff_number for _, h in registry.badges(Page(q=q))[0]] == found


@pytest.mark.parametrize(
    "q", ["hélène", "HELENE", "le goff", "Goff Hel", "Hélène Le Goff", "S00001", "he\u0301le"]
)
def test_people_are_found_without_case_and_accents_and_in_either_order(registry, things, q):
    holder = things.holder(1, given_name="Hélène", family_name="Le Goff")
    registry.add_holder(holder)
    registry.add_holder(things.holder(2))
    assert registry.holders(Page(q=q))[0] == [holder]


@pytest.mark.parametrize(
    "q", ["7k2m9q3d", "7K2M-9Q3D", "04A1B2", "04:a1:b2:c3", "martin", "S00001"]
)
def test_badges_are_found_by_number_uid_and_holder(registry, things, q):
    registry.add_holder(things.holder(1))
    badge = things.badge(
        1, number="7K2M9Q3D", uid=bytes.fromhex("04A1B2C3D4E5F6"), holder_id=things.holder(1).id
    )
    registry.add_badge(badge)
    registry.add_badge(things.badge(2))
    assert registry.badges(Page(q=q))[0] == [(badge, things.holder(1))]


def test_a_search_of_separators_alone_does_not_match_everything(registry, things):
    registry.add_badge(things.badge(1))
    assert registry.badges(Page(q="-"))[0] == []


def test_a_changed_name_is_what_is_found(registry, things):
    registry.add_holder(things.holder(1))
    registry.put_holder(things.holder(1, family_name="Durand"))
    assert registry.holders(Page(q="martin"))[0] == []
    assert len(registry.holders(Page(q="durand"))[0]) == 1


@pytest.mark.parametrize(
    "cursor", ["", "=", "é", "AAAA", "a" * 5000, search.cursor_after("badges", "00000001"), "\0"]
)
def test_a_cursor_that_the_list_did_not_give_is_refused(registry, cursor):
    with pytest.raises(Refused) as caught:
        registry.holders(Page(cursor=cursor))
    assert caught.value.code is Code.INVALID_REQUEST


@pytest.mark.unit
@given(st.text())
def test_any_text_is_a_cursor_or_refused(text):
    try:
        key = search.key_before("holders", text)
    except Refused:
        return
    assert search.cursor_after("holders", key) == text


@pytest.mark.unit
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=64))
def test_a_cursor_leads_back_to_its_key(key):
    assert search.key_before("holders", search.cursor_after("holders", key)) == key
