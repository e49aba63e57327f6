"""What the environment may say."""

import pytest

from dreamsweep.environment import is_on, seconds
from dreamsweep.errors import DreamsweepError


@pytest.mark.parametrize(("told", "on"), [("1", True), ("yes", True), ("0", False), ("false", False), (" No ", False), ("", False)])
def test_switches(told: str, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SWITCH", told)
    assert is_on("A_SWITCH") is on


def test_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert seconds("SOME_SECONDS", 15) == 15
    monkeypatch.setenv("SOME_SECONDS", " 2.5 ")
    assert seconds("SOME_SECONDS", 15) == 2.5
    for told in ("soon", "-1", "inf", "nan"):
        monkeypatch.setenv("SOME_SECONDS", told)
        with pytest.raises(DreamsweepError, match=rf"^SOME_SECONDS: '{told}' is no span of seconds; write 0 or more, such as 15\.$"):
            seconds("SOME_SECONDS", 15)
