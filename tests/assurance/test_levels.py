import pytest

from cardd.assurance.levels import Acr, require
from cardd.errors import Code, Refused

pytestmark = pytest.mark.unit

# reached: what may be asked of it
PICTURE = {
    Acr.STRONG: {None, Acr.ONE_FACTOR, Acr.RECENT, Acr.STRONG},
    Acr.RECENT: {None, Acr.ONE_FACTOR, Acr.RECENT},
    Acr.ONE_FACTOR: {None, Acr.ONE_FACTOR},
}


@pytest.mark.parametrize("reached", Acr)
@pytest.mark.parametrize("minimum", [None, *Acr])
def test_an_authentication_satisfies_what_is_no_stronger_than_itself(
    reached: Acr, minimum: Acr | None
) -> None:
    if minimum in PICTURE[reached]:
        require(reached, minimum)
        return
    with pytest.raises(Refused) as refusal:
        require(reached, minimum)
    assert refusal.value.code is Code.SECOND_FACTOR_REQUIRED
    assert refusal.value.facts == {"reached": reached, "required": minimum}
