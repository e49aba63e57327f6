"""unCLIP: pictures of a caption by way of a prior, variations of a picture, and walks between embeddings (Ramesh et al., DALL-E 2, 2022).

An iteration is a picture of its own: a sample with noise of its own, or a frame of a walk, all of whose frames share one noise.
With `start: thing` a walk leads between pictures of things, whose embeddings and, with noise on them, pixels the decoder is given.
Departure: a walk that starts from a picture starts from the seed's noise, where the paper inverts the picture to find its own.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.images import read_picture
from dreamsweep.compute.randomness import generator
from dreamsweep.engines.frames import passed, slerp, steps_of_frames
from dreamsweep.engines.protocol import State, Step
from dreamsweep.engines.starts import ThingStarts, make_thing_starts
from dreamsweep.guidance.protocol import Chooser, Guide
from dreamsweep.models.pipelines import Onto
from dreamsweep.models.unclip import Unclip, load_unclip
from dreamsweep.spec import ImageFile, Trial, UnclipSpec, WeightsName


class UnclipEngine:
    """Draws the samples, or the walk, that a trial asks for (see `Engine`)."""

    def __init__(self, spec: UnclipSpec, model: Unclip, things: ThingStarts | None = None) -> None:
        self.spec, self.model, self.things = spec, model, things

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        starts = None
        if self.things is not None and isinstance(guide, Chooser):
            starts = self.things.along(self.model.image_size, trials, guide)
        routes = [self._route(trial) for trial in trials] if starts is None else [self.model.embed_pictures(some) for some in starts]
        return steps_of_frames(self.spec, trials, guide, state, lambda frames: self._draw(trials, routes, starts, frames))

    def _route(self, trial: Trial) -> Float[Tensor, "m d"] | None:
        """Returns the embeddings that a trial passes: two or more on a walk, one for variations of a picture; None for samples of a
        caption.
        """
        spec, prompt = self.spec, trial.prompt
        if spec.init_image is None:
            texts = (prompt.text, *prompt.to)
            return torch.stack([self._imagined(text, trial, key) for key, text in enumerate(texts)]) if prompt.to else None
        here = self._embedded(spec.init_image)
        if spec.to_image is not None:
            return torch.stack([here, self._embedded(spec.to_image)])
        if prompt.to:
            return torch.stack([here, slerp(here, self._difference(trial) * here.norm(), spec.diff_angle)])
        return here[None]

    def _draw(
        self, trials: Sequence[Trial], routes: Sequence[Tensor | None], starts: list[Float[Tensor, "_ 3 h w"]] | None, frames: range
    ) -> Float[Tensor, "f b 3 h w"]:
        items = [(frame, trial, route) for frame in frames for trial, route in zip(trials, routes, strict=True)]
        samples = [route is None or len(route) == 1 for _, _, route in items]
        randomness = [
            generator(trial.seed, "unclip", frame if sample else 0) for (frame, trial, _), sample in zip(items, samples, strict=True)
        ]
        caption = self.model.read([trial.prompt.text if route is None else "" for _, trial, route in items])
        free = [at for at, (_, _, route) in enumerate(items) if route is None]
        embeddings = [slerp(*passed(frame, self.spec, route)) if route is not None else None for frame, _, route in items]
        if free:
            sampled = self._sampled([items[at][1].prompt.text for at in free], [randomness[at] for at in free])
            for at, embedding in zip(free, sampled, strict=True):
                embeddings[at] = embedding
        onto = None
        if starts is not None:
            mixed = torch.stack([torch.lerp(*passed(frame, self.spec, some)) for frame in frames for some in starts])
            onto = Onto(mixed, self.spec.init_strength)
        drawn = self.model.draw(
            torch.stack([e for e in embeddings if e is not None]), caption, randomness, onto=onto,
            steps=self.spec.steps, guidance_scale=self.spec.guidance_scale, upsample_steps=self.spec.upsample_steps,
        )  # fmt: skip
        pictures: Tensor = drawn.unflatten(0, (len(frames), len(trials)))
        return pictures

    def _sampled(self, texts: list[str], randomness: list[torch.Generator]) -> Float[Tensor, "n d"]:
        """Returns the image embeddings that the decoder is told for captions."""
        caption = self.model.read(texts)
        match self.spec.conditioning:
            case "text":
                return F.normalize(caption.embedding.float(), dim=1) * self.model.typical_length
            case "caption":  # what the decoder learned to take for no embedding at all
                nothing: Tensor = self.model.pipeline.text_proj.learned_classifier_free_guidance_embeddings
                return nothing.expand(len(texts), -1)
            case "prior":
                return self.model.imagine(caption, randomness, self.spec)

    def _imagined(self, text: str, trial: Trial, key: int) -> Float[Tensor, "d"]:
        return self._sampled([text], [generator(trial.seed, "unclip-key", key)])[0]

    def _embedded(self, file: ImageFile) -> Float[Tensor, "d"]:
        embedded = self.model.embed_pictures(read_picture(file, self.model.image_size)[None])
        return (embedded if self.spec.components is None else self.model.rebuild(embedded, self.spec.components))[0]

    def _difference(self, trial: Trial) -> Float[Tensor, "d"]:
        """Returns the direction from the prompt's text to the last that it goes on to (the paper's text diffs)."""
        first_text, last_text = F.normalize(self.model.read([trial.prompt.text, trial.prompt.to[-1]]).embedding, dim=1)
        return F.normalize(last_text - first_text, dim=0)


def make_unclip(spec: UnclipSpec, weights: WeightsName, device: str) -> UnclipEngine:
    """Builds the engine with its pipeline. Raises WeightsError when that is missing or damaged."""
    return UnclipEngine(spec, load_unclip(weights, spec.model, device), make_thing_starts(spec.start, weights, device))
