"""Texts as SigLIP 2 reads them: the authors' steps, whatever else the published tokenizer.json asks for."""

from pathlib import Path

import pytest

from dreamsweep.errors import WeightsError
from dreamsweep.perceptors.gemma import GemmaTokens
from tests.dreamsweep.weights.vectors.gemma_files import TOKENS, gemma_rows, write_gemma


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> GemmaTokens:
    folder = tmp_path_factory.mktemp("gemma")
    write_gemma(folder)
    return GemmaTokens(folder / "tokenizer.json")


def test_a_text_is_read_in_lower_case_without_a_start_and_padded_after_its_end(reader: GemmaTokens) -> None:
    (row,) = reader.tokenize(["a RED Heart"]).tolist()
    assert [TOKENS[token] for token in row[:5]] == ["a", "▁red", "▁heart", "<eos>", "<pad>"]
    assert row == gemma_rows("a red heart") and len(row) == 64 and set(row[4:]) == {0}


def test_a_long_text_keeps_its_end(reader: GemmaTokens) -> None:
    (row,) = reader.tokenize(["red " * 100]).tolist()
    assert len(row) == 64 and [TOKENS[token] for token in row[-2:]] == ["▁red", "<eos>"]
    assert len(reader.body("red" + " red" * 62)) == 63 and len(reader.body("red" + " red" * 63)) == 64


def test_other_alphabets_keep_their_case_and_are_never_unknown(reader: GemmaTokens) -> None:
    lower, upper = reader.tokenize(["кот", "КОТ"]).tolist()
    assert lower != upper and TOKENS.index("<unk>") not in (*lower, *upper)
    assert lower == gemma_rows("кот") and upper == gemma_rows("КОТ")


def test_what_is_no_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match=r"tokenizer.json: it is no tokenizer"):
        GemmaTokens(tmp_path / "tokenizer.json")
