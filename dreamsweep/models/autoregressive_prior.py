"""unCLIP's autoregressive prior: from a caption to an image embedding, one principal component after the other (Ramesh et al., 2022, §2.2).

As in the paper, an embedding is its leading principal components by falling eigenvalue, each quantised into buckets, and a transformer
with a causal mask says the bucket of each, after the caption, the caption's embedding, and a token that says how near the picture is to
the text; a sample asks for one of the nearer half. The paper keeps 319 components of 1,024, those that leave under 1 % of the squared
error, in 1,024 buckets each, and does not say how these are cut.

Departures: buckets hold equally many of the training embeddings, so that one table of buckets serves every component; the nearness is a
cosine; and where there is no caption, a learned prefix stands for all of it, the nearness too.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dreamsweep.compute.pool import pooled
from dreamsweep.errors import WeightsError
from dreamsweep.models.caption import Caption

FILE = "prior_autoregressive/model.safetensors"
"""Within an unCLIP's folder."""


@dataclass(frozen=True)
class PriorShape:
    """What the weights do not name by themselves."""

    embed: int
    """Of pictures and of texts."""
    text: int
    """Width of a caption's hidden states."""
    context: int
    """Tokens of a caption."""
    components: int
    buckets: int
    width: int
    heads: int
    layers: int


class AutoregressivePrior(nn.Module):
    """The principal components of image embeddings, how they are quantised, and the network that says them of a caption.

    `d` stands for an embedding, `k` for the components that are quantised, `q` for the buckets of each.
    """

    mean: Float[Tensor, "d"]
    directions: Float[Tensor, "d d"]
    edges: Float[Tensor, "k q-1"]
    centres: Float[Tensor, "k q"]
    near_edges: Float[Tensor, "q-1"]

    def __init__(self, shape: PriorShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.embed))
        self.register_buffer("directions", torch.eye(shape.embed))
        self.register_buffer("edges", torch.zeros(shape.components, shape.buckets - 1))
        self.register_buffer("centres", torch.zeros(shape.components, shape.buckets))
        self.register_buffer("near_edges", torch.zeros(shape.buckets - 1))
        prefix = shape.context + 2
        self.hidden_in = nn.Linear(shape.text, shape.width)
        self.embedding_in = nn.Linear(shape.embed, shape.width)
        self.near_in = nn.Embedding(shape.buckets, shape.width, _weight=_smooth(shape))
        self.code_in = nn.Embedding(shape.buckets, shape.width, _weight=_smooth(shape))
        self.nothing = nn.Parameter(0.1 * torch.randn(prefix, shape.width))
        self.place = nn.Parameter(0.1 * torch.randn(prefix + shape.components - 1, shape.width))
        layer = nn.TransformerEncoderLayer(
            shape.width, shape.heads, 4 * shape.width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, shape.layers, nn.LayerNorm(shape.width), enable_nested_tensor=False)
        self.code_out = nn.Linear(shape.width, shape.buckets)
        self.code_out.weight.data.copy_(_smooth(shape) / (2 * shape.width**0.5))

    @classmethod
    def fit(cls, shape: PriorShape, embeddings: Float[Tensor, "n d"], nearness: Float[Tensor, "m"]) -> "AutoregressivePrior":
        """Returns an untrained prior that knows what image embeddings are like, and how near they are to their texts (see `nearness`)."""
        prior = cls(shape)
        exact = embeddings.double()
        centred = exact - exact.mean(0)
        prior.mean.copy_(exact.mean(0))
        prior.directions.copy_(torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1).T)
        shares = torch.arange(1, shape.buckets) / shape.buckets
        along = prior._along(embeddings)
        prior.edges.copy_(torch.quantile(along, shares, dim=0).T)
        prior.near_edges.copy_(torch.quantile(nearness, shares))
        codes = prior.quantise(embeddings).T
        counts = torch.zeros_like(prior.centres).scatter_add_(1, codes, torch.ones_like(along.T))
        sums = torch.zeros_like(prior.centres).scatter_add_(1, codes, along.T.contiguous())
        prior.centres.copy_(torch.where(counts > 0, sums / counts.clamp(min=1), F.pad(prior.edges[None], (0, 1), mode="replicate")[0]))
        return prior

    def rebuild(self, embeddings: Float[Tensor, "n d"], components: int) -> Float[Tensor, "n d"]:
        """Returns what embeddings are without all but their first principal components (the paper's §3.3, figure 7)."""
        kept = self.directions[:components]
        return self.mean + (embeddings.float() - self.mean) @ kept.T @ kept

    def quantise(self, embeddings: Float[Tensor, "n d"]) -> Int[Tensor, "n k"]:
        """Returns the bucket of each component."""
        return torch.searchsorted(self.edges, self._along(embeddings).T.contiguous()).T

    def dequantise(self, codes: Int[Tensor, "n k"]) -> Float[Tensor, "n d"]:
        """Embeddings whose components lie at the centres of their buckets; those that are not quantised are as on average."""
        along = self.centres.gather(1, codes.T).T
        return self.mean + along @ self.directions[: self.shape.components]

    def forward(
        self, caption: Caption, near: Int[Tensor, "n"], codes: Int[Tensor, "n c"], dropped: Bool[Tensor, "n"]
    ) -> Float[Tensor, "n c+1 q"]:
        """Logits of the first components' buckets, each after those before it; `dropped` says who is not told of the caption."""
        whole, nearness = self.embedding_in(caption.embedding.float()), self.near_in(near)
        prefix = torch.cat([self.hidden_in(caption.hidden.float()), whole[:, None], nearness[:, None]], 1)
        prefix = torch.where(dropped[:, None, None], self.nothing.to(prefix.dtype), prefix)
        tokens = torch.cat([prefix, self.code_in(codes).to(prefix.dtype)], 1)
        tokens = tokens + self.place[: tokens.shape[1]]
        unread = F.pad(~caption.mask & ~dropped[:, None], (0, tokens.shape[1] - caption.mask.shape[1]), value=False)
        later = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=tokens.device).triu(1)
        logits: Tensor = self.code_out(self.transformer(tokens, mask=later, src_key_padding_mask=unread)[:, prefix.shape[1] - 1 :])
        return logits

    def loss(self, caption: Caption, embeddings: Float[Tensor, "n d"], dropped: Bool[Tensor, "n"]) -> Float[Tensor, ""]:
        """Returns cross-entropy of the embeddings' buckets, each told of the right ones before it."""
        codes = self.quantise(embeddings)
        near = torch.searchsorted(self.near_edges, nearness(caption.embedding, embeddings))
        logits = self(caption, near, codes[:, :-1], dropped)
        return F.cross_entropy(logits.float().flatten(0, 1), codes.flatten())

    @torch.no_grad()
    def sample(self, caption: Caption, randomness: Sequence[torch.Generator], guidance_scale: float = 1.0) -> Float[Tensor, "n d"]:
        """Draws image embeddings for captions, each with a generator of its own; above a scale of 1 with classifier-free guidance."""
        dice = torch.stack([torch.rand(self.shape.components + 1, generator=rng) for rng in randomness]).to(self.mean.device)
        last = self.shape.buckets - 1
        near = ((1 + dice[:, 0]) / 2 * self.shape.buckets).long().clamp(max=last)
        with_caption, without = torch.zeros_like(near, dtype=torch.bool), torch.ones_like(near, dtype=torch.bool)
        codes = near.new_empty(len(near), 0)
        for die in dice[:, 1:].T:
            logits = self(caption, near, codes, with_caption)[:, -1]
            if guidance_scale > 1:
                logits = torch.lerp(self(caption, near, codes, without)[:, -1], logits, guidance_scale)
            code = (logits.float().softmax(1).cumsum(1) < die[:, None]).sum(1).clamp(max=last)
            codes = torch.cat([codes, code[:, None]], 1)
        return self.dequantise(codes)

    def _along(self, embeddings: Tensor) -> Float[Tensor, "n k"]:
        return (embeddings.float() - self.mean) @ self.directions[: self.shape.components].T


def _smooth(shape: PriorShape) -> Float[Tensor, "q w"]:
    """Returns random vectors for buckets, neighbours' alike, so that their order need not be learned: mixed waves, slow ones loudest."""
    waves = torch.arange(1, min(12, shape.buckets) + 1)
    along = torch.cos(math.pi * waves * (torch.arange(shape.buckets)[:, None] + 0.5) / shape.buckets)
    return 2**0.5 * along @ torch.diag(F.normalize(1 / waves, dim=0)) @ torch.randn(len(waves), shape.width)


def nearness(texts: Float[Tensor, "n d"], embeddings: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    """Returns how near pictures are to their texts."""
    return F.cosine_similarity(texts.float(), embeddings.float(), dim=1)


def save_prior(path: Path, prior: AutoregressivePrior) -> None:
    """Writes the network's weights in half precision, and the components in single."""
    learned = {name for name, _ in prior.named_parameters()}
    tensors = {name: (value.half() if name in learned else value).contiguous() for name, value in prior.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, {"shape": json.dumps(asdict(prior.shape))})
    path.chmod(0o644)  # safetensors writes for the owner alone


@pooled
def load_prior(path: Path, device: str) -> AutoregressivePrior:
    """Returns a prior from its file, frozen, on the device. Raises WeightsError when it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            record: dict[str, Any] = json.loads((file.metadata() or {})["shape"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        prior = AutoregressivePrior(PriorShape(**record))
        prior.load_state_dict(tensors)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).split("\n")[0].rstrip(":.")
        raise WeightsError(f"weights {str(path)!r}: it holds no autoregressive prior that can be read ({reason}); restore it.") from None
    return prior.eval().requires_grad_(False).to(device)
