"""Similarity of the whole picture, and its mean over fixed views."""

import pytest
import torch

from dreamsweep.judges.registry import judge_weights, make_judge
from dreamsweep.judges.similarity import SimilarityJudge, ViewsJudge, fixed_views
from dreamsweep.testing import check_judge
from tests.dreamsweep.fakes import ColourPerceptor
from tests.dreamsweep.sample_rows import sample_trial


def test_views_are_the_whole_the_corners_and_the_centre_and_their_mirror_images() -> None:
    picture = torch.arange(3 * 10 * 10).reshape(1, 3, 10, 10).float()
    views = list(fixed_views(picture))
    assert [tuple(view.shape[-2:]) for view in views] == [(10, 10)] * 2 + [(8, 8)] * 10
    assert torch.equal(views[0], picture) and torch.equal(views[2], picture[..., :8, :8]) and torch.equal(views[8], picture[..., 2:, 2:])
    assert torch.equal(views[10], picture[..., 1:9, 1:9])
    for view, mirrored in zip(views[::2], views[1::2], strict=True):
        assert torch.equal(view.flip(-1), mirrored)


def test_the_score_is_the_mean_of_the_views() -> None:
    trials = [sample_trial("a red heart"), sample_trial("a blue sea")]
    pictures = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    pictures[:, :, 4:16, 4:16] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]  # the centre is red, the corners are not
    plain, views = SimilarityJudge(ColourPerceptor(), trials), ViewsJudge(ColourPerceptor(), trials)
    scores, embeddings = views.score(pictures, 1)
    each = torch.stack([plain.score(view, 1)[0] for view in fixed_views(pictures)])
    assert len(each) == 12 and torch.allclose(scores, each.mean(0))
    whole, embedded = plain.score(pictures, 1)
    assert torch.equal(embeddings, embedded) and (scores - whole).abs().max() > 1e-3


def test_it_is_made_by_its_name_and_passes_what_a_judge_must() -> None:
    judge = make_judge("views:starter-judge", [sample_trial("a red heart")] * 2, "cpu")
    assert isinstance(judge, ViewsJudge)
    check_judge(judge, torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert judge_weights("views:starter-judge").keys() == {"starter-judge", "views"}


def test_a_plain_perceptor_looks_once() -> None:
    looks: list[int] = []

    class Counting(ColourPerceptor):
        def embed_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
            looks.append(len(pictures))
            return super().embed_pictures(pictures)

    SimilarityJudge(Counting(), [sample_trial("a red heart")]).score(torch.rand(1, 3, 16, 16), 1)
    assert looks == [1]
    ViewsJudge(Counting(), [sample_trial("a red heart")]).score(torch.rand(1, 3, 16, 16), 1)
    assert looks == [1] * 13


@pytest.mark.parametrize("side", [1, 3])
def test_a_tiny_picture_has_views_as_well(side: int) -> None:
    assert all(min(view.shape) > 0 for view in fixed_views(torch.rand(1, 3, side, side)))
