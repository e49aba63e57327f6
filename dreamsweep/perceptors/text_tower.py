"""The text tower of a CLIP, reached below its vocabulary: a text may hold words that are vectors and no tokens.

The frozen tower reads a vector where a token's own would stand (textual inversion: Gal et al., 2022, section 3; Cohen et al., "This is my
unicorn, Fluffy", 2022). So a word needs no row in the vocabulary, and every text without new words is read as before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dreamsweep.errors import UserError
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.perceptors.vocabulary import CONTEXT, END, START, bpe
from dreamsweep.spec import TOKEN, without_tokens


@dataclass(frozen=True)
class TextTower:
    """A text tower: its token vectors, what it makes of tokens, and how texts are spelled for it."""

    embedding: nn.Embedding
    """Vector of each token, `v w`."""
    encode: Callable[[Tensor], Tensor]
    """Tokens `n t` to features `n d`; it calls `embedding` on the tokens once."""
    spell: Callable[[str], list[int]]
    """Tokens of a plain text, without start and end."""
    start: int
    end: int
    """Token after a text. No other token has a larger number, as the tower finds the end by it."""
    stand_in: int
    """Token that is written where a vector stands."""
    context: int
    """Tokens of every text, its start, end and padding included."""

    def embed(self, texts: Sequence[str], vectors: Mapping[str, Float[Tensor, "w"]]) -> Float[Tensor, "n d"]:
        """Returns unit embeddings of texts that may hold new words, such as `<moomin>`; `vectors` by name, without the brackets.

        Differentiable in the vectors. A longer text is cut and keeps its end.
        """
        tokens = torch.zeros(len(texts), self.context, dtype=torch.long)
        places = _Places()
        for row, text in enumerate(texts):
            body = [*self._parts(text, vectors)][: self.context - 2]
            ids = [self.start, *(self.stand_in if isinstance(part, str) else part for part in body), self.end]
            tokens[row, : len(ids)] = torch.tensor(ids)
            for column, part in enumerate(body, start=1):
                if isinstance(part, str):
                    places.add(row, column, vectors[part])
        with _put(places, self.embedding):
            embedded = self.encode(tokens.to(self.embedding.weight.device))
        return F.normalize(embedded.float(), dim=1)

    def vector_of(self, text: str) -> Float[Tensor, "w"]:
        """Returns the mean vector of the tokens of a plain text, from which a new word may start; zeros for a text without tokens."""
        ids = self.spell(text)
        return self.embedding.weight[ids].detach().float().sum(0) / max(1, len(ids))

    def _parts(self, text: str, names: Mapping[str, object]) -> Iterator[int | str]:
        """Yields the tokens of a text, and the name of each new word where it stands; a token of another name is spelled."""
        plain = ""
        for number, part in enumerate(TOKEN.split(text)):  # texts and names in turn
            if number % 2 and part.lower() in names:
                yield from self.spell(plain)
                yield part.lower()
                plain = ""
            else:
                plain += f"<{part}>" if number % 2 else part
        yield from self.spell(plain)


@dataclass
class _Places:
    """Where vectors stand in a batch of texts, and which."""

    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    vectors: list[Tensor] = field(default_factory=list)

    def add(self, row: int, column: int, vector: Float[Tensor, "w"]) -> None:
        self.rows.append(row)
        self.columns.append(column)
        self.vectors.append(vector)

    def put(self, embedded: Float[Tensor, "n t w"]) -> Float[Tensor, "n t w"]:
        """Returns the vectors of all tokens with these in their places."""
        rows, columns = (torch.tensor(numbers, device=embedded.device) for numbers in (self.rows, self.columns))
        return embedded.index_put((rows, columns), torch.stack(self.vectors).to(embedded))


@contextmanager
def _put(places: _Places, embedding: nn.Embedding) -> Iterator[None]:
    """Has the embedding give the vectors at these places while the block runs."""
    if not places.vectors:
        yield
        return

    def put(module: nn.Module, tokens: Any, embedded: Tensor) -> Tensor:
        return places.put(embedded)

    handle = embedding.register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()


@runtime_checkable
class ReadsVectors(Perceptor, Protocol):
    """A perceptor that can be given new words."""

    @property
    def text_tower(self) -> TextTower | None:
        """Its text tower; None where it takes no new words after all."""
        ...


def tower_of(perceptor: Perceptor) -> TextTower:
    """Returns the text tower of a perceptor. Raises UserError for one that takes no new words."""
    tower = perceptor.text_tower if isinstance(perceptor, ReadsVectors) else None
    if tower is None:
        raise UserError(f"perceptor {perceptor.name!r} takes no new words; use a CLIP, such as starter-guide or ViT-B/32.")
    return tower


def clip_tower(embedding: nn.Embedding, encode: Callable[[Int[Tensor, "n t"]], Tensor]) -> TextTower:
    """Returns the text tower of a published CLIP, which reads 77 tokens of CLIP's own vocabulary."""
    return TextTower(embedding, encode, lambda text: list(bpe().encode(text)), START, END, 0, CONTEXT)


class TaughtPerceptor:
    """A perceptor that knows some new words beside its own (see `Perceptor`). Texts without them are embedded as it always does."""

    def __init__(self, perceptor: Perceptor, tower: TextTower, vectors: Mapping[str, Float[Tensor, "w"]]) -> None:
        self.perceptor, self.tower, self.vectors = perceptor, tower, dict(vectors)
        self.name, self.resolution = perceptor.name, perceptor.resolution
        self.sha256, self.scale = perceptor.sha256, perceptor.scale

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Returns unit embeddings, `n d`."""
        if not any(name.lower() in self.vectors for text in texts for name in TOKEN.findall(text)):
            return self.perceptor.embed_texts(texts)
        return self.tower.embed(texts, self.vectors)

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """Returns unit embeddings of pixels in [0, 1], `n d`; differentiable."""
        return self.perceptor.embed_pictures(pictures)

    def warnings_for(self, text: str) -> list[str]:
        """Returns what of a text the perceptor will not read; the new words are read."""
        return self.perceptor.warnings_for(without_tokens(text, self.vectors))
