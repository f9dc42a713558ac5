import pytest

from cardd.badges.states import BadgeEvent, BadgeState, following
from cardd.errors import Code, Refused

pytestmark = pytest.mark.unit

# Drawn by hand from the design, section 8; "." is refused. A stolen blank can be revoked too.
#
#              encode     assign     hand_over  suspend    resume     revoke     wipe
PICTURE = """
blank          stock      .          .          .          .          revoked    .
stock          .          assigned   .          .          .          revoked    .
assigned       .          .          active     .          .          revoked    .
active         .          .          .          suspended  .          revoked    .
suspended      .          .          .          .          active     revoked    .
revoked        .          .          .          .          .          .          wiped
wiped          stock      .          .          .          .          .          .
"""
EVENTS = ["encode", "assign", "hand_over", "suspend", "resume", "revoke", "wipe"]
ROWS = [line.split() for line in PICTURE.strip().splitlines()]
CELLS = [
    (state, event, after) for state, *row in ROWS for event, after in zip(EVENTS, row, strict=True)
]


def test_the_picture_shows_every_state_and_event() -> None:
    assert [state for state, *_ in ROWS] == list(BadgeState)
    assert list(BadgeEvent) == EVENTS


@pytest.mark.parametrize(("state", "event", "after"), [c for c in CELLS if c[2] != "."])
def test_a_badge_goes_where_the_picture_says(state: str, event: str, after: str) -> None:
    assert following(BadgeState(state), BadgeEvent(event)) is BadgeState(after)


@pytest.mark.parametrize(("state", "event"), [c[:2] for c in CELLS if c[2] == "."])
def test_what_the_picture_does_not_show_is_refused(state: str, event: str) -> None:
    with pytest.raises(Refused, match=f"a badge that is {state} cannot {event}") as refusal:
        following(BadgeState(state), BadgeEvent(event))
    assert refusal.value.code is Code.CONFLICT


def test_a_refusal_says_what_the_state_allows() -> None:
    with pytest.raises(Refused, match="it allows: hand_over, revoke"):
        following(BadgeState.ASSIGNED, BadgeEvent.SUSPEND)
