"""What the progress display shows of a sweep's events."""

import io
import time

import pytest
from rich.console import Console

from dreamsweep.cli.display import Display
from dreamsweep.errors import StoreUnavailableError
from dreamsweep.generation.events import Fetching, Noted, Planned, ShardLost, ShardProgress
from dreamsweep.results.handoff import Progress
from dreamsweep.retry import say
from dreamsweep.text import format_bytes, format_seconds
from tests.dreamsweep.generation.test_tally import PLAN

PLANNED = Planned(PLAN, 3, {}, {})


def test_notes_are_lines() -> None:
    console = Console(file=io.StringIO(), width=200)
    with Display(console, "t") as display:
        display.take(Noted(("starter-guide never learned 'fog' and passes over it",)))
    assert console.file.getvalue().splitlines()[1] == "t: note: starter-guide never learned 'fog' and passes over it"  # type: ignore[attr-defined]


def test_a_shard_lost_elsewhere_is_shown_at_once() -> None:
    out = io.StringIO()
    with Display(Console(file=out), "demo") as display:
        display.take(ShardLost("a", "shard a, flow run 'demo-a-1': Crashed: status code -9. Typically caused by …", 2))
        display.take(ShardLost("a", "shard a, flow run 'demo-a-2': Crashed.", None))
    assert out.getvalue().splitlines()[1:] == [
        "demo: shard a, flow run 'demo-a-1': Crashed: status code -9. It is tried again (attempt 2).",
        "demo: shard a, flow run 'demo-a-2': Crashed. It is given up.",
    ]


def test_an_outage_that_is_waited_for_is_shown() -> None:
    out = io.StringIO()
    with Display(Console(file=out), "demo"):
        say(StoreUnavailableError("store 's3://b': no answer."), 5)
    say(StoreUnavailableError("store 's3://b': no answer."), 10)  # nobody listens any more
    assert out.getvalue().splitlines()[1:] == ["demo: store 's3://b': no answer. Retried in 5 s."]


def test_without_a_terminal_it_prints_lines() -> None:
    out = io.StringIO()
    with Display(Console(file=out), "demo") as display:
        display.take(PLANNED)
        display.take(Fetching("ViT-B/32", 1, 2))
    assert out.getvalue().splitlines() == ["demo: starting…", "demo: 3/8 trials"]


def test_without_a_terminal_it_keeps_printing_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.cli.display.PLAIN_SECONDS", 0.05)
    out = io.StringIO()
    with Display(Console(file=out), "demo") as display:
        time.sleep(0.3)
        display.take(Fetching("ViT-B/32", 50_000_000, 200_000_000))
        time.sleep(0.3)
    lines = out.getvalue().splitlines()
    assert "demo: starting… (0 s)" in lines and lines[-1].startswith("demo: fetching ViT-B/32, 25% of 200 MB (")


def test_on_a_terminal_it_is_one_line_that_goes_away() -> None:
    out = io.StringIO()
    with Display(Console(file=out, force_terminal=True, width=160), "demo") as display:
        display.take(PLANNED)
        assert display.tally.trials == 8
    assert "starting…" in out.getvalue()


def lines_on_screen(display: Display) -> list[str]:
    """Returns what a terminal of 60 columns shows at this moment, without the spinner and the bar."""
    assert display._bar
    out = io.StringIO()
    Console(file=out, width=60).print(display._bar.get_renderable())
    return [" ".join(line[2:].replace("━", "").replace("╸", "").split()) for line in out.getvalue().splitlines()]


def test_on_a_terminal_a_second_line_says_what_is_drawn_in_the_terminal_s_width() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60)
    prompts = ("a [red] heart", "a rocket in the sky", "a cat")
    with Display(console, "[demo]") as display:
        display.take(PLANNED)
        assert lines_on_screen(display) == ["[demo] 3/8 trials · loading networks"]
        display.take(ShardProgress(Progress("a", "strokes", 0, 9, 3, None, 0.0, prompts=prompts, other_prompts=1)))
        assert lines_on_screen(display) == ["[demo] 3/8 trials", "strokes: 'a [red] heart' and 3 other prompts"]
        display.show_stopping()
        assert lines_on_screen(display)[1] == "stopping after this iteration (Ctrl-C again stops at once)"


def test_without_a_terminal_a_line_says_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.cli.display.PLAIN_SECONDS", 0.05)
    out = io.StringIO()
    with Display(Console(file=out), "demo") as display:
        display.take(PLANNED)
        display.take(ShardProgress(Progress("a", "strokes", 0, 9, 3, None, 0.0, prompts=("a red heart",))))
        time.sleep(0.3)
    assert "demo: 3/8 trials · strokes: 'a red heart' (0 s)" in out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min"), (80, "1 min 20 s"), (7500, "2 h 5 min"), (86_400, "1 day"), (273_600, "3 days 4 h")],
)
def test_times_for_people(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(12, "12 Bytes"), (1234, "1.2 kB"), (46e6, "46 MB"), (2.5e15, "2.5 PB")])
def test_sizes_for_people(size: float, text: str) -> None:
    assert format_bytes(size) == text
