"""A `tokenizer.json` in Gemma's format: byte-pair encoding with bytes for what it cannot spell, of a few words."""

import json
import string
from pathlib import Path

LENGTH = 64
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
BYTES = [f"<0x{number:02X}>" for number in range(256)]
LETTERS = ["▁", *string.ascii_letters, *string.digits, *",.'ко"]
MERGES = [("h", "e"), ("he", "a"), ("hea", "r"), ("hear", "t"), ("r", "e"), ("re", "d"), ("▁", "red"), ("▁", "heart"), ("c", "k")]
TOKENS = [*SPECIAL, *BYTES, *LETTERS, *("".join(pair) for pair in MERGES)]


def write_gemma(folder: Path, size: int = 0) -> int:
    """Writes the vocabulary, filled up to a size with words that no text has; returns how many tokens it has.

    Its template puts a start before a text, as a version of transformers might read it: what was trained has none.
    """
    tokens = [*TOKENS, *(f"<unused{number}>" for number in range(size - len(TOKENS)))]
    added = [{"id": tokens.index(text), "content": text, "special": True, **_PLAIN} for text in SPECIAL]
    start = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    record = {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing", "single": [start, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
        },
        "decoder": None,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": True, "byte_fallback": True, "vocab": {text: at for at, text in enumerate(tokens)}, "merges": MERGES,
        },
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    return len(tokens)


_PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def gemma_rows(text: str) -> list[int]:
    """Returns the tokens of a text step by step: lower case, spaces as ▁, merges in their order, an end, padding."""
    parts = list("".join(letter.lower() if letter.isascii() else letter for letter in text).replace(" ", "▁"))
    for first, second in MERGES:
        at = 0
        while at < len(parts) - 1:
            if parts[at : at + 2] == [first, second]:
                parts[at : at + 2] = [first + second]
            at += 1
    ids = [token for part in parts for token in _ids(part)]
    ids = [*ids[: LENGTH - 1], TOKENS.index("<eos>")]
    return [*ids, *[TOKENS.index("<pad>")] * (LENGTH - len(ids))]


def _ids(part: str) -> list[int]:
    return [TOKENS.index(part)] if part in TOKENS else [TOKENS.index(f"<0x{byte:02X}>") for byte in part.encode()]
