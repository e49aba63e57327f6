"""The starter auditor: which things a prompt names, what a picture's score is made of, and how frames of a walk are scored."""

import math

import pytest
import torch

from dreamsweep.judges.auditor import SIDE, AuditorJudge, Calibration, load_auditor, views
from dreamsweep.spec import InterpolationSpec, Prompt, StrokesSpec, Trial
from dreamsweep.weights.hashes import sha256_of


def trial(text: str, to: tuple[str, ...] = ()) -> Trial:
    engine = InterpolationSpec(num_iter=3) if to else StrokesSpec(num_iter=3)
    return Trial(prompt=Prompt(text=text, to=to), engine=engine, seed=0, guide="starter-guide", weights="starter")


def test_views_show_the_whole_picture_and_a_smaller_one_on_white() -> None:
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., :32] = 0.5  # the left half
    whole, mirrored, small, _ = views(picture)
    assert whole.shape == small.shape == (1, 3, SIDE, SIDE)
    assert torch.equal(mirrored, whole.flip(-1)) and whole[..., 0].mean() == 0.5 and mirrored[..., 0].mean() == 0.0
    assert small[..., :10].min() == 1.0 and small[0, 0, SIDE // 2, SIDE // 4] == 0.5


def test_a_calibrated_share_is_a_probability_in_the_order_of_the_shares() -> None:
    shares = [0.0, 1e-4, 0.03, 0.5, 0.9, 1.0]
    assert [Calibration()(share) for share in shares] == pytest.approx(shares, abs=2e-6)
    steep = Calibration(slope=0.5, intercept=math.log(3))
    assert steep(0.5) == pytest.approx(0.75) and steep(0.9) == pytest.approx(0.9)  # odds: 3 × √1 and 3 × √9
    likely = [steep(share) for share in shares]
    assert likely == sorted(likely) and all(0 < chance < 1 for chance in likely)


@pytest.mark.usefixtures("tiny_weights")
def test_a_score_is_the_calibrated_share_of_what_the_prompt_names() -> None:
    auditor = load_auditor("cpu")
    pictures = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    shares, vectors = auditor.shares(pictures)
    assert shares.shape == (2, len(auditor.names) + 1)
    assert torch.allclose(shares.sum(1), torch.ones(2)) and torch.allclose(vectors.norm(dim=1), torch.ones(2))
    judge = AuditorJudge(auditor, [trial("a red heart"), trial("a zeppelin")])
    scores, embedded = judge.score(pictures, 3)
    assert float(scores[0]) == pytest.approx(auditor.calibration(float(shares[0, auditor.names.index("red heart")]))) and math.isnan(
        scores[1]
    )
    assert torch.equal(embedded, vectors)
    known, unknown = judge.judgements(pictures, 3)
    assert known.score == pytest.approx(float(scores[0])) and "nothing" in known.details and len(known.details) == 4
    assert str(known.reason).startswith(f"{float(scores[0]):.0%} likely to be named; shows ")
    assert unknown.score is None and str(unknown.reason).startswith("the prompt names none of the 3 things that are known; ")
    assert judge.warnings_for("a red heart") == []
    assert judge.warnings_for("a zeppelin") == ["starter-auditor knows none of the things that 'a zeppelin' names"]


@pytest.mark.usefixtures("tiny_weights")
def test_a_frame_is_scored_by_the_prompts_around_it() -> None:
    auditor = load_auditor("cpu")
    pictures = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    (shares,), _ = auditor.shares(pictures)
    heart, rocket = (auditor.calibration(float(shares[auditor.names.index(name)])) for name in ("red heart", "rocket"))
    judge = AuditorJudge(auditor, [trial("a red heart", ("a rocket",))])
    first, middle, last = (float(judge.score(pictures, frame)[0][0]) for frame in (1, 2, 3))
    assert (first, middle, last) == pytest.approx((heart, (heart + rocket) / 2, rocket))


@pytest.mark.usefixtures("tiny_weights")
def test_its_version_is_the_hash_of_its_file() -> None:
    assert sha256_of("starter-auditor") == {"starter-auditor": load_auditor("cpu").sha256}
