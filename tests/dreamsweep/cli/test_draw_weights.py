"""What `dreamsweep weights verify --draw` prints, saves and returns."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from dreamsweep.cli import main as cli
from dreamsweep.compute.images import decode_png
from dreamsweep.generation import weight_trials
from dreamsweep.generation.weight_trials import Outcome
from dreamsweep.weights.registry import registry
from tests.dreamsweep.weights.conftest import Publish

Output = pytest.CaptureFixture[str]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of weights that are drawn with, each of which is sane but for those called bad."""
    names: list[str] = []

    def try_weights(wanted: Sequence[str], device: str, on_share: Callable[[str, float], None]) -> Iterator[Outcome]:
        for name in wanted:
            names.append(name)
            on_share(name, 0.5)
            verdict = "not sane" if name == "bad/net" else "sane"
            yield Outcome(name, verdict, "it draws", {"strokes": torch.linspace(0, 1, 8).expand(2, 3, 8, 8)})  # type: ignore[arg-type]

    monkeypatch.setattr(weight_trials, "try_weights", try_weights)
    return names


def test_starters_and_cached_weights_are_drawn_with(publish: Publish, tried: list[str], tmp_path: Path, capsys: Output) -> None:
    publish("toy", {"a.bin": b"a"})
    assert cli.run_command(["weights", "pull", "toy"]) == 0
    capsys.readouterr()
    assert cli.run_command(["weights", "verify", "--draw", "--folder", str(tmp_path / "drawn"), "--device", "cpu"]) == 0
    assert tried == [
        "starter-guide",
        "starter-judge",
        "starter-auditor",
        "starter-segmenter",
        "starter-dvae",
        "starter-biggan",
        "starter-diffusion",
        "starter-unclip",
        "toy",
    ]
    *_, drawn, absent, total = capsys.readouterr().out.splitlines()
    path = tmp_path / "drawn" / "toy--strokes.png"
    assert drawn == f"sane      toy: it draws; see {path}"
    assert decode_png(path.read_bytes()).shape == (3, 8, 16)
    names = ", ".join(name for name in registry() if name != "toy")
    assert absent == f"Not in the cache, so not drawn: {names}; `dreamsweep weights pull NAME` downloads one."
    assert total == "9 sets of weights drawn, 0 not sane."


def test_what_is_not_sane_ends_with_exit_code_1(publish: Publish, tried: list[str], tmp_path: Path, capsys: Output) -> None:
    publish("bad/net", {"a.bin": b"a"}, folder="bad")
    assert cli.run_command(["weights", "pull", "bad/net"]) == 0
    arguments = ["weights", "verify", "bad/net", "starter-judge", "--draw", "--folder", str(tmp_path), "--device", "cpu"]
    assert cli.run_command(arguments) == 1
    assert tried == ["starter-judge", "bad/net"]
    lines = capsys.readouterr().out.splitlines()
    assert f"not sane  bad/net: it draws; see {tmp_path / 'bad-net--strokes.png'}" in lines
    assert lines[-1] == "2 sets of weights drawn, 1 not sane."


def test_weights_with_another_hash_are_not_drawn_with(
    publish: Publish, cache: Path, tried: list[str], tmp_path: Path, capsys: Output
) -> None:
    publish("toy", {"a.bin": b"a"})
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "a.bin").write_bytes(b"b")
    assert cli.run_command(["weights", "verify", "toy", "--draw", "--folder", str(tmp_path / "drawn"), "--device", "cpu"]) == 1
    assert tried == [] and "invalid  weights 'toy'" in capsys.readouterr().out
