"""A schedule that Prefect would refuse, or read otherwise than cron does, is refused when the file is read."""

import pytest
from pydantic import ValidationError

from dreamsweep.spec import Schedule


@pytest.mark.parametrize(
    "cron",
    ["0 2 * * *", "*/15 0-6 * * MON-FRI", "0 2 L * *", "5/10 22 1,15 jan-mar,12 *", "0 2 * * fri#5", "0 2 * * mon#1,7#2", "0 2 31 1 1-5"],
)
def test_what_cron_and_prefect_know(cron: str) -> None:
    assert Schedule(cron=cron).cron == cron


@pytest.mark.parametrize(
    ("cron", "sentence"),
    [
        ("0 2 LW * *", "does not read 'LW' as cron does"),
        ("0 2 * * 5L", "does not read '5L' as cron does"),
        ("0 2 L/2 * *", "does not read 'L/2' as cron does"),
        ("0 2-2 * * *", "does not read '2-2' as cron does"),
        ("0 2 * jan-1 *", "does not read 'jan-1' as cron does"),
        ("0 2 31/1 * *", "does not read '31/1' as cron does"),
        ("0 2 * * mon,fri#5", "does not read 'mon,fri#5' as cron does"),
        ("0 2 1 * mon#1", "does not read '1 … mon#1' as cron does"),
        ("0 2 31 2 1-5", "bad day-of-month"),
        ("0 2 15W * *", "bad day-of-month"),
        ("H 2 * * *", "bad minute"),
        ("0 2 * * ?", "bad day-of-week"),
        ("@daily", "it takes five fields"),
        ("0 0 2 * * *", "it takes five fields"),
    ],
)
def test_what_one_of_them_does_not_know(cron: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Schedule(cron=cron)


@pytest.mark.parametrize("timezone", ["europe/berlin", "Europe/Berln", "CEST", "+02:00", "localtime", "Factory", "", "../etc/passwd"])
def test_a_timezone_is_a_place_that_every_machine_knows(timezone: str) -> None:
    with pytest.raises(ValidationError, match="no such timezone"):
        Schedule(cron="0 2 * * *", timezone=timezone)


@pytest.mark.parametrize("cron", ["0 3 *,L * *", "0 3 L,31 * *", "0 3 1-15,L * *", "0 3 */10,l * *"])
def test_the_last_day_beside_days_that_may_be_it_is_refused(cron: str) -> None:
    with pytest.raises(ValidationError, match="Prefect, which keeps schedules, does not read"):
        Schedule(cron=cron)


def test_the_last_day_beside_earlier_ones() -> None:
    assert Schedule(cron="0 3 1,15,L * *").cron == "0 3 1,15,L * *"
