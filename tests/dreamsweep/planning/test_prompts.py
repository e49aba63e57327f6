"""Prompts from files and templates: all of them, in order, and a wrong line named."""

from pathlib import Path

import pytest

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.prompts import prompts
from dreamsweep.planning.sweep_file import parse_sweep
from tests.dreamsweep.planning.test_expand import a_sweep


def test_prompts_from_files_and_templates(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("# a comment\none\n\n two \none\n", encoding="utf-8")
    (tmp_path / "table.csv").write_text("text,weight,negatives\nthree,2.5,blur|text\n", encoding="utf-8")
    content = {
        "name": "t",
        "engines": ["dalle"],
        "prompts": [
            {"file": "lines.txt"},
            {"file": "table.csv"},
            {"template": "a {material} bust of {name}", "material": ["gold", "wax"], "name": ["ada", "bob"]},
        ],
    }
    expanded = list(prompts(parse_sweep(content, tmp_path, "test")))
    assert [p.text for p in expanded] == [
        "one", "two", "three", "a gold bust of ada", "a gold bust of bob", "a wax bust of ada", "a wax bust of bob",
    ]  # fmt: skip
    assert expanded[2].weight == 2.5 and [n.text for n in expanded[2].negatives] == ["blur", "text"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("empty.txt", "\n\n", "holds no prompts"),
        ("table.csv", "prompt\nx\n", "needs 'text'"),
        ("table.csv", "text,weight\nx,heavy\n", "line 2"),
        ("long.txt", "x" * 10_000, "line 1"),
    ],
)
def test_a_prompt_file_that_will_not_do_is_named_with_its_line(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SweepFileError, match=rf"^test: prompts\[0\]\.file.*{sentence}"):
        parse_sweep({"name": "t", "engines": ["dalle"], "prompts": name}, tmp_path, "test")


def test_templates_and_tables_say_what_an_interpolation_goes_on_to(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("text,to\na cat,a dog|a bird\na pear,\n")
    template = {"template": "a {one}", "to": ["a {other}"], "one": ["cat"], "other": ["dog", "bird"]}
    expanded = list(prompts(a_sweep(prompts=[template, {"file": str(tmp_path / "p.csv")}])))
    assert [(p.text, p.to) for p in expanded] == [
        ("a cat", ("a dog",)), ("a cat", ("a bird",)), ("a cat", ("a dog", "a bird")), ("a pear", ())
    ]  # fmt: skip
