"""Concepts while a sweep runs: words are learned once, before the first shard, and handed to whatever reads a prompt.

The coordinator learns and writes to the store; shards and judges, wherever they run, only read.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dreamsweep.errors import SweepFileError
from dreamsweep.generation.events import Learning
from dreamsweep.generation.make_here import SweepStoppedError
from dreamsweep.planning.concepts import concept_pictures, learners, pictures_sha256, used_concepts
from dreamsweep.results.concepts import is_learned, read_word, write_word
from dreamsweep.retry import NIGHT, outlast
from dreamsweep.spec import CONCEPT_RECIPE, Concept, PerceptorName, Sweep, Trial
from dreamsweep.spec.judges import parse_judge_name
from dreamsweep.store import Store

if TYPE_CHECKING:
    from dreamsweep.perceptors.protocol import Perceptor

READ_NO_PROMPT = ("aesthetic",)
"""Judges that ship and have a score whatever the prompt says."""


@dataclass(frozen=True)
class Lesson:
    """A word that a perceptor has not learned yet."""

    concept: Concept
    folder: Path
    perceptor: PerceptorName
    weights: str
    """SHA-256 of the perceptor's weights."""


def lessons(sweep: Sweep, store: Store) -> list[Lesson]:
    """Returns what is left to be learned for a sweep: each word that its prompts use, by each perceptor that reads them.

    Published weights that are missing are downloaded. Raises SweepFileError of the prompts, StoreError, and WeightsError.
    """
    from dreamsweep.weights.hashes import sha256_of

    wanted = []
    for name in sorted(used_concepts(sweep)):
        concept = Concept(name=name, sha256=sweep.concepts[name].sha256, recipe=CONCEPT_RECIPE)
        for perceptor in learners(sweep):
            (weights,) = sha256_of(perceptor).values()
            if not is_learned(store, sweep.name, concept, weights):
                wanted.append(Lesson(concept, Path(sweep.concepts[name].folder), perceptor, weights))
    return wanted


def learn(sweep: str, left: Sequence[Lesson], store: Store, device: str, stop: Callable[[], bool]) -> Iterator[Learning]:
    """Learns words one after the other and writes each to the store; says after every iteration how far it is.

    Raises SweepFileError where pictures have changed since the sweep was read, and SweepStoppedError once `stop` says so.
    """
    for number, lesson in enumerate(left, start=1):
        for share in _learn(sweep, lesson, store, device):
            yield Learning(lesson.concept.token, lesson.perceptor, number, len(left), share)
            if stop():
                raise SweepStoppedError


def _learn(sweep: str, lesson: Lesson, store: Store, device: str) -> Iterator[float]:
    """Yields the share of the iterations that are done."""
    from dreamsweep.compute.devices import resolve_device
    from dreamsweep.compute.images import square_pixels
    from dreamsweep.perceptors import inversion, load_perceptor
    from dreamsweep.perceptors.text_tower import tower_of
    from dreamsweep.planning.pictures import decode_picture

    concept = lesson.concept
    try:
        files = concept_pictures(lesson.folder)
    except ValueError as error:
        raise SweepFileError(f"concepts.{concept.name}: {error}.") from None
    if pictures_sha256(files) != concept.sha256:
        raise SweepFileError(f"concepts.{concept.name}: the pictures have changed since the sweep was read; run the sweep again.")
    perceptor = load_perceptor(lesson.perceptor, resolve_device(device))
    learning = inversion.learn_word(perceptor, tower_of(perceptor), [square_pixels(decode_picture(data)) for data in files.values()])
    while True:
        try:
            iteration = next(learning)
        except StopIteration as end:
            vector = end.value.numpy()
            break
        yield iteration / inversion.ITERATIONS
    outlast(lambda: write_word(store, sweep, concept, lesson.perceptor, lesson.weights, vector), NIGHT)


class Lexicon:
    """The new words that some trials of a sweep use, as perceptors have learned them."""

    def __init__(self, store: Store, sweep: str, trials: Sequence[Trial]) -> None:
        self.store, self.sweep = store, sweep
        self.concepts = tuple(dict.fromkeys(concept for trial in trials for concept in trial.concepts))
        self.sha256: dict[str, str] = {}
        """SHA-256 of each word that was given to a perceptor, by names such as `<moomin>@starter-guide`."""

    def teach(self, perceptor: "Perceptor") -> "Perceptor":
        """Returns a perceptor that knows the words; the same one where there are none. Raises StoreError as `read_word`."""
        if not self.concepts:
            return perceptor
        import torch

        from dreamsweep.perceptors.text_tower import TaughtPerceptor, tower_of

        tower = tower_of(perceptor)
        vectors = {}
        for concept in self.concepts:
            word = read_word(self.store, self.sweep, concept, perceptor.name, perceptor.sha256)
            self.sha256[f"{concept.token}@{perceptor.name}"] = word.sha256
            vectors[concept.name] = torch.from_numpy(word.vector).to(tower.embedding.weight.device)
        return TaughtPerceptor(perceptor, tower, vectors)


def reason_unread(store: Store, sweep: str, judge: str, weights: str, trial: Trial) -> str | None:
    """Returns why a judge, whose perceptor has weights of that SHA-256, has no score for a trial: it does not know its new words.

    None where it knows them, where there are none, and for judges of other packages, which see the trial's concepts themselves.
    """
    parts = parse_judge_name(judge)
    if parts.kind == "plugin" or judge in READ_NO_PROMPT:
        return None
    learns = parts.kind in ("similarity", "views")
    unknown = [concept.token for concept in trial.concepts if not (learns and is_learned(store, sweep, concept, weights))]
    if not unknown:
        return None
    words = " and ".join(unknown)
    return f"{judge} has not learned {words}" if learns else f"{judge} goes by ordinary words, and does not know {words}"
