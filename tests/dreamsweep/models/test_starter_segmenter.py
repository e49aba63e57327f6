"""The starter segmenter: what ships finds drawings where they are, and files that hold something else are refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dreamsweep.compute.pool import POOL
from dreamsweep.errors import WeightsError
from dreamsweep.generation.sanity import THINGS, shown_pictures
from dreamsweep.judges.segments import classes_in, shares_of
from dreamsweep.models.efficientnet_lite import EfficientNetLite
from dreamsweep.models.starter_segmenter import (
    MAP_SIDE,
    OTHER,
    Decoder,
    Frozen,
    Seen,
    SegmenterShape,
    StarterNetwork,
    load_frozen,
    load_starter_segmenter,
    save_segmenter,
    words_of,
)
from dreamsweep.weights.starter import expected_sha256, weights_folder
from tests.tiny_weights import LITE


def test_a_decoder_has_a_logit_for_each_class_and_place_of_the_largest_map_that_it_reads() -> None:
    decoder = Decoder(SegmenterShape(channels=(3, 5), width=4, classes=7)).eval()
    unread, large, small = torch.rand(2, 9, 16, 16), torch.rand(2, 3, 8, 8), torch.rand(2, 5, 3, 3)
    places, whole = torch.zeros(2, 6, 3, 3), torch.zeros(2, 6, 1, 1)
    logits = decoder(Seen([unread, large, small], places, whole))
    assert logits.shape == (2, 7, 8, 8)
    assert torch.equal(decoder(Seen([unread + 1, large, small], places, whole)), logits)
    assert not torch.equal(decoder(Seen([unread, large + 1, small], places, whole)), logits)
    assert not torch.equal(decoder(Seen([unread, large, small + 1], places, whole)), logits)


def test_the_head_s_shares_move_the_logits_of_things_and_not_the_background_s() -> None:
    decoder = Decoder(SegmenterShape(channels=(5,), width=4, classes=4)).eval()
    levels, places, whole = [torch.rand(1, 5, 4, 4)], torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 1, 1)
    before = decoder(Seen(levels, places, whole))
    places[0, 1, :, :2], whole[0, 2] = 2.0, 4.0
    moved = decoder(Seen(levels, places, whole)) - before
    assert moved[0, 0].abs().max() == 0 == moved[0, 1].abs().max()
    assert torch.allclose(moved[0, 2, 0], torch.tensor([1.0, 1.0, 0.0, 0.0]), atol=1e-5)
    assert torch.allclose(moved[0, 3], torch.tensor(2.0), atol=1e-5)


def test_the_auditor_s_things_are_summed_by_the_words_that_name_them() -> None:
    head = {"project": torch.eye(3), "project_bias": torch.zeros(3), "classify": torch.eye(4, 3), "classify_bias": torch.zeros(4)}
    thing_of = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # two of one thing, one of none
    frozen = Frozen(EfficientNetLite(LITE), head, thing_of)
    features = torch.tensor([0.0, 0.0, torch.log(torch.tensor(2.0))])[None, :, None, None].expand(1, 3, 2, 2)
    seen = frozen.see([features])
    assert torch.allclose(seen.places.exp(), torch.full((1, 2, 2, 2), 0.5), atol=2e-3)
    assert torch.allclose(seen.whole[0, :, 0, 0].exp(), torch.tensor([0.5, 0.5]), atol=2e-3)


@pytest.mark.usefixtures("tiny_weights")
def test_things_that_no_word_names_are_everything_else() -> None:
    frozen = load_frozen([["heart", "red heart"], ["whale"]])
    assert frozen.thing_of.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]  # red heart, green apple, rocket


@pytest.mark.usefixtures("tiny_weights")
def test_a_mirrored_picture_has_a_mirrored_map() -> None:
    segmenter = load_starter_segmenter("cpu")
    picture = torch.rand(1, 3, 50, 70, generator=torch.Generator().manual_seed(0))
    classes = segmenter.classes_of(picture)
    assert classes.shape == (1, MAP_SIDE, MAP_SIDE)
    assert (segmenter.classes_of(picture.flip(-1)) == classes.flip(-1)).float().mean() > 0.99
    assert segmenter.classes == ("__background__", "heart", "apple", "rocket", OTHER) and segmenter.known.startswith("3 things that ")


class _Says(nn.Module):
    """A decoder that says the same shares of every picture."""

    def __init__(self, shares: Tensor) -> None:
        super().__init__()
        self.shares = shares

    def forward(self, seen: Seen) -> Tensor:
        return self.shares.log().expand(len(seen.whole), -1, -1, -1)


def test_a_pixel_is_background_or_not_first_and_then_what_most_of_the_picture_is() -> None:
    shares = torch.tensor([[0.6, 0.3, 0.1], [0.4, 0.2, 0.4], [0.4, 0.5, 0.1], [0.4, 0.29, 0.31]]).T[None, :, None]  # 1 3 1 4
    shares = torch.cat([shares, shares.flip(-1)], -1)  # its own mirror image
    frozen = Frozen(EfficientNetLite(LITE), {"project": torch.eye(8), "project_bias": torch.zeros(8)}, torch.ones(1, 2))
    frozen.see = lambda levels: Seen(levels, torch.zeros(2, 2, 1, 1), torch.zeros(2, 2, 1, 1))  # type: ignore[method-assign]
    network = StarterNetwork(frozen, Decoder(SegmenterShape(channels=(8,), width=4, classes=3)))
    network.decoder = _Says(shares)  # type: ignore[assignment]
    out = network(torch.zeros(1, 3, 16, 16))["out"]
    half = MAP_SIDE // 2
    middles = out[0].argmax(0)[0, half // 8 : half : half // 4].tolist()
    assert middles == [0, 2, 1, 1]  # the last alone would be 2; the picture shows more of 1


def test_a_word_of_another_thing_names_no_class() -> None:
    words = dict(words_of([["dog", "puppy"], ["pizza"]]))
    assert (words["dog"], words["puppy"], words["pizza"], words["hot dog"]) == (1, 1, 2, 0)


def test_what_ships_is_small_and_finds_a_thing_where_it_is() -> None:
    assert (weights_folder() / "starter-segmenter.safetensors").stat().st_size < 5 * 1024**2
    drawn = nn.functional.interpolate(shown_pictures("cpu"), size=(64, 64), mode="area")
    scene = torch.ones(3, 128, 128)
    scene[:, 32:96, :64], scene[:, 32:96, 64:] = drawn[THINGS.index("red heart")], drawn[THINGS.index("umbrella")]
    segmenter = load_starter_segmenter("cpu")
    (classes,) = segmenter.classes_of(scene[None])
    (shares,) = shares_of(classes[None], len(segmenter.classes))
    inked = scene.amin(0) < 0.8  # the drawings themselves are on white
    (heart,) = classes_in("a red heart", segmenter.words)
    assert float(shares[heart]) == pytest.approx(float(inked[:, :64].float().sum() / inked.numel()), abs=0.05)
    assert (classes[:, :64] == heart).sum() > 0.9 * (classes == heart).sum()
    assert float(1 - shares[0]) == pytest.approx(float(inked.float().mean()), abs=0.05)


def test_a_damaged_file_and_one_that_holds_something_else_are_refused(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in tiny_weights.iterdir():
        (tmp_path / path.name).symlink_to(path)
    name = "starter-segmenter.safetensors"
    data = bytearray((tiny_weights / name).read_bytes())
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(tmp_path))
    for unlinked in (name, "weights.json"):
        (tmp_path / unlinked).unlink()
    (tmp_path / "weights.json").write_bytes((tiny_weights / "weights.json").read_bytes())
    data[-1] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match=r"'starter-segmenter': .* is damaged .*restore it with git or install again"):
        load_starter_segmenter("cpu")
    shape = SegmenterShape(channels=(4, 8), width=6, classes=5)
    save_segmenter(tmp_path / name, shape, {"classify.bias": torch.zeros(5)}, ["heart"], [("heart",)], expected_sha256("starter-auditor"))
    POOL.clear()
    with pytest.raises(WeightsError, match=r"'starter-segmenter': its file holds no segmenter \(.*\); restore it with git"):
        load_starter_segmenter("cpu")
    save_segmenter(tmp_path / name, shape, Decoder(shape).state_dict(), ["heart"], [("heart",)], "0" * 64)
    POOL.clear()
    with pytest.raises(WeightsError, match=r"trained on another starter-auditor \(SHA-256 000000000000…, here [0-9a-f]{12}…\); restore"):
        load_starter_segmenter("cpu")


def test_values_are_kept_in_half_precision(tmp_path: Path) -> None:
    shape = SegmenterShape(channels=(4, 8), width=6, classes=5)
    save_segmenter(tmp_path / "a.safetensors", shape, Decoder(shape).state_dict(), ["heart"], [("heart",)], "0" * 64)
    kinds = {str(value.dtype) for value in load_file(tmp_path / "a.safetensors").values()}
    assert kinds == {"torch.float16", "torch.int64"}
