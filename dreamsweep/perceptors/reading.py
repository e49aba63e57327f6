"""What a published perceptor does not read of a text, without its network. Imports no torch."""

from collections.abc import Callable

from dreamsweep.perceptors.alphabets import alphabet_warnings
from dreamsweep.perceptors.formats import format_of
from dreamsweep.perceptors.vocabulary import CONTEXT, unread_parts
from dreamsweep.text import quoted

TOKENIZER = "tokenizer.json"


def published_reader(name: str) -> Callable[[str], list[str]]:
    """Returns a function that says which part of a text a published perceptor does not read.

    SigLIP 2 learned many alphabets, and all others Latin letters. The lengths of its texts are known once its vocabulary is in the cache.
    """
    if format_of(name) == "siglip2":
        return lambda text: _unread_by_siglip(name, text)
    return lambda text: [*alphabet_warnings(name, text), *unread_parts(name, text, CONTEXT)]


def _unread_by_siglip(name: str, text: str) -> list[str]:
    from dreamsweep.weights import fetch

    path = fetch.folder(name) / TOKENIZER
    if not path.is_file():
        return []
    from dreamsweep.perceptors.gemma import LENGTH, gemma_tokens

    if len(gemma_tokens(path).body(text)) <= LENGTH - 1:
        return []
    return [f"{name} reads the first {LENGTH - 1} tokens of {quoted(text)} and no more"]
