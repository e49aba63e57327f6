"""A trial's identity: stable, of all that it is, and of nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from dreamsweep.spec import DalleSpec, Prompt, StrokesSpec, Trial


def a_trial(**changes: object) -> Trial:
    settings = {
        "prompt": Prompt(text="a red heart"), "engine": DalleSpec(num_iter=10), "seed": 0, "guide": "starter-guide",
        "judge": "starter-judge", "weights": "starter", "snapshot_every": 5, "judge_every": 5,
    }  # fmt: skip
    return Trial.model_validate({**settings, **changes})


@given(seed=st.integers(0, 2**63 - 1), text=st.text(min_size=1, max_size=40).filter(str.strip))
def test_a_trial_that_went_through_json_has_the_same_id(seed: int, text: str) -> None:
    trial = a_trial(seed=seed, prompt=Prompt(text=text))
    again = Trial.model_validate_json(trial.model_dump_json())
    assert again == trial and again.id == trial.id


def test_every_field_is_part_of_the_identity() -> None:
    different = [
        a_trial(), a_trial(seed=1), a_trial(prompt="a blue heart"), a_trial(engine=StrokesSpec(num_iter=10)),
        a_trial(engine=DalleSpec(num_iter=11)), a_trial(snapshot_every=1), a_trial(judge="ViT-B/32"),
        a_trial(prompt={"text": "a red heart", "negatives": ["blur"]}),
    ]  # fmt: skip
    assert len({trial.id for trial in different}) == len(different)


def test_an_initial_picture_is_known_by_its_content_not_its_path() -> None:
    here, there, other = (
        a_trial(engine=DalleSpec(num_iter=1, init_image={"path": path, "sha256": digest}))
        for path, digest in (("/a.png", "1"), ("/b.png", "1"), ("/a.png", "2"))
    )
    assert here.id == there.id != other.id
