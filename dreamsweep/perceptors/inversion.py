"""Learning of a new word from pictures: textual inversion (Gal et al., 2022, arXiv:2208.01618) in a CLIP's own space.

One vector is descended and everything else is frozen. Sentences with the word are drawn to the embeddings of the pictures, where the paper
has a diffusion model rebuild them, and each picture is to have them nearest among about a thousand other things. Nothing is drawn at
random: the same pictures, weights and recipe give the same word, but for rounding.
A change here is a new `CONCEPT_RECIPE`.
"""

from collections.abc import Generator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.perceptors.text_tower import TextTower
from dreamsweep.weights.starter import thing_names

TEMPLATES = (
    "<it>", "a <it>", "the <it>", "a picture of <it>", "a picture of a <it>", "a drawing of <it>", "a drawing of a <it>",
    "an illustration of <it>", "a photo of a <it>", "a cartoon <it>", "a small <it>", "a big <it>",
)  # fmt: skip
"""Sentences that are drawn to the pictures."""
ITERATIONS = 100
LEARNING_RATE = 0.005
"""Faster, the vector grows to five times the length of an ordinary token's, and fits other pictures no better."""
CROP_SIDE = 0.85
"""Side of a view of a part, as a share of the picture's."""
CROPS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
"""Where these views lie, down and across, from one edge (0) to the other (1)."""
VIEWS_AT_ONCE = 32


def learn_word(
    perceptor: Perceptor, tower: TextTower, pictures: Sequence[Float[Tensor, "3 _ _"]]
) -> Generator[int, None, Float[Tensor, "w"]]:
    """Learns the vector of a word from square pictures in [0, 1], of any sizes; yields the number of each iteration, and returns it.

    The word starts from the ordinary thing that the pictures look most like.
    """
    device = tower.embedding.weight.device
    seen = embed_views(perceptor, pictures, device)
    names = thing_names()
    with torch.no_grad():
        others = seen @ perceptor.embed_texts([f"a {name}" for name in names]).T
    vector = tower.vector_of(names[int(others.mean(0).argmax())]).requires_grad_()
    optimizer = torch.optim.Adam([vector], LEARNING_RATE)
    for iteration in range(1, ITERATIONS + 1):
        optimizer.zero_grad()
        inversion_loss(seen @ tower.embed(TEMPLATES, {"it": vector}).T, others, perceptor.scale).backward()
        optimizer.step()
        yield iteration
    return vector.detach().cpu()


def inversion_loss(near: Float[Tensor, "v t"], others: Float[Tensor, "v n"], scale: float) -> Float[Tensor, ""]:
    """Returns the mean distance of views and sentences, and the mean cross-entropy of each sentence among the texts of other things.

    Both from cosines. The distance alone fits the pictures that it is shown, and lets those lag that look like something else.
    """
    rivals = (scale * others).logsumexp(1, keepdim=True)
    return (1 - near + torch.logaddexp(scale * near, rivals) - scale * near).mean()


@torch.no_grad()
def embed_views(perceptor: Perceptor, pictures: Sequence[Float[Tensor, "3 _ _"]], device: torch.device) -> Float[Tensor, "v d"]:
    """Returns unit embeddings of the views of all pictures: the whole and its corners, each mirrored as well."""
    views = torch.cat([_views(picture.to(device), perceptor.resolution) for picture in pictures])
    return torch.cat([perceptor.embed_pictures(part) for part in views.split(VIEWS_AT_ONCE)])


def _views(picture: Float[Tensor, "3 s s"], side: int) -> Float[Tensor, "v 3 r r"]:
    whole = picture.shape[-1]
    part = max(1, round(CROP_SIDE * whole))
    places = [(round(down * (whole - part)), round(across * (whole - part))) for down, across in CROPS]
    crops = [picture, *(picture[:, top : top + part, left : left + part] for top, left in places)]
    shrunk = [F.interpolate(crop[None], size=(side, side), mode="bilinear", align_corners=False, antialias=True) for crop in crops]
    views = torch.cat(shrunk).clamp(0, 1)
    return torch.cat([views, views.flip(-1)])
