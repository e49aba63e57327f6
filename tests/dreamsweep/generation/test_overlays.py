"""Overlay pictures: where the classes are, in which colours, and which files."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from dreamsweep.errors import UserError
from dreamsweep.generation import overlays
from dreamsweep.generation.overlays import draw_overlay, voc_colour, write_overlays
from dreamsweep.models.segmenter import Segmenter
from dreamsweep.store import keys, open_store
from tests.dreamsweep.sample_sweep import publish_sample

NAMES = ("__background__", "aeroplane", "bicycle")


class Corner(nn.Module):
    """A network that sees an aeroplane in the upper left quarter."""

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        out = torch.zeros(len(pictures), len(NAMES), *pictures.shape[2:])
        out[:, 1, : pictures.shape[2] // 2, : pictures.shape[3] // 2] = 1
        return {"out": out}


@pytest.mark.parametrize(
    ("number", "colour"), [(1, (128, 0, 0)), (2, (0, 128, 0)), (3, (128, 128, 0)), (8, (64, 0, 0)), (20, (0, 64, 128))]
)
def test_colours_are_pascal_voc_s(number: int, colour: tuple[int, int, int]) -> None:
    assert voc_colour(number) == colour


def test_a_class_is_where_the_network_sees_it() -> None:
    picture = torch.full((3, 128, 256), 200, dtype=torch.uint8)
    classes = torch.zeros(4, 8, dtype=torch.int64)
    classes[:2, :2] = 2
    image = draw_overlay(picture, classes, NAMES)
    assert image.size == (512, 256 + overlays.LINE)
    assert image.getpixel((10, 10)) == (80, 156, 80)  # 40 % of 200, and 60 % of (0, 128, 0)
    assert image.getpixel((200, 10)) == image.getpixel((10, 200)) == (200, 200, 200)
    assert image.getpixel((8, 256 + 8)) == (0, 128, 0) and image.getpixel((500, 256 + 8)) == (255, 255, 255)


def test_a_picture_of_background_alone_stays_as_it_is() -> None:
    picture = torch.randint(256, (3, 300, 300), dtype=torch.uint8)
    image = draw_overlay(picture, torch.zeros(3, 3, dtype=torch.int64), NAMES)
    assert image.size == (300, 300) and image.getpixel((7, 5)) == tuple(picture[:, 5, 7].tolist())


def test_each_kept_picture_has_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corner = Segmenter(Corner(), lambda pictures: pictures.float(), NAMES, "0" * 64)
    monkeypatch.setattr(overlays, "SEGMENTERS", {"segments": lambda device: corner, "segments:voc": pytest.fail})
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, prompts=["a red heart"], snapshots=(30,))
    assert write_overlays(store, "made-up", tmp_path / "best", device="cpu") == 2
    assert write_overlays(store, "made-up", tmp_path / "all", ("best", "final", "snapshots"), "cpu") >= 6
    files = sorted((tmp_path / "best").iterdir())
    assert [path.name.partition("-")[2] for path in files] == ["best.png"] * 2
    with Image.open(files[0]) as image:
        assert min(image.size) >= 256 and image.mode == "RGB"
    (first, *_) = (key for key in store.keys(keys.pictures("made-up")) if key.endswith("best.png"))
    store.write(first, b"no picture")
    assert write_overlays(store, "made-up", tmp_path / "fewer", device="cpu") == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--overlays: .*file cannot be written"):
        write_overlays(store, "made-up", tmp_path / "file", device="cpu")
