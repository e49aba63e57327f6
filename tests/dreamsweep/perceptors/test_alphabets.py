"""Alphabets of texts: named once, and only where a perceptor learned another."""

from pathlib import Path

import pytest

from dreamsweep.generation.foresight import unread_texts
from dreamsweep.perceptors import text_reader
from dreamsweep.perceptors.alphabets import other_alphabets
from dreamsweep.planning.sweep_file import parse_sweep


@pytest.mark.parametrize(
    ("text", "alphabets"),
    [
        ("a red heart", ()),
        ("ein süßes Kätzchen, déjà vu, Łódź, Phở", ()),
        ("кот", ("Cyrillic",)),
        ("ένα μήλο", ("Greek",)),
        ("猫", ("Chinese characters",)),
        ("猫とりんご", ("Chinese characters", "Japanese")),
        ("고양이", ("Korean",)),
        ("قطة في الثلج", ("Arabic",)),
        ("a cat, кот, and another кот", ("Cyrillic",)),
        ("the number π, α Centauri, 5 Ω", ()),  # single letters, as English has them
        ("𝐛𝐨𝐥𝐝 ｆｕｌｌ Aª 1º ❤️ ♫ 😀 ½ ™", ()),
        ("", ()),
    ],
)
def test_alphabets_besides_latin(text: str, alphabets: tuple[str, ...]) -> None:
    assert other_alphabets(text) == alphabets


@pytest.mark.parametrize("name", ["ViT-B/32", "openclip-vit-h-14", "pickscore", "hpsv2.1", "fare2-vit-l-14"])
def test_who_learned_latin_letters_says_so(name: str) -> None:
    (sentence,) = text_reader(name)("синий кот")  # type: ignore[arg-type]
    assert sentence == f"{name} learned from texts in Latin letters, and hardly reads Cyrillic"


def test_siglip_2_reads_them_all() -> None:
    assert text_reader("siglip2-base")("синий кот, 猫") == []


@pytest.mark.usefixtures("tiny_weights")
def test_a_starter_says_it_once_and_names_the_words_that_it_never_learned_in_its_own_letters() -> None:
    assert text_reader("starter-guide")("a red кот and a zeppelin") == [
        "starter-guide never learned 'and', 'zeppelin' and passes over them",
        "starter-guide learned from texts in Latin letters, and hardly reads Cyrillic",
    ]


@pytest.mark.usefixtures("tiny_weights")
def test_a_thousand_prompts_have_it_once() -> None:
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}
    prompts = [f"кот номер {number}" for number in range(1000)]
    sweep = parse_sweep({"name": "t", "prompts": prompts, "engines": [engine], "guide": "ViT-B/32", "judge": "RN50"}, Path(), "test")
    assert unread_texts(sweep) == [
        f"{name} learned from texts in Latin letters, and hardly reads Cyrillic" for name in ("ViT-B/32", "RN50")
    ]
