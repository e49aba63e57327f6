"""Templates: names of lists are replaced, braces are doubled, and anything else in braces is refused."""

import itertools
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.mistakes import text_of
from dreamsweep.planning.templates import expanded_texts, template_mistakes
from dreamsweep.spec import PromptTemplate


def expanded(template: str, **lists: list[str]) -> list[str]:
    """Returns the texts of a template. Raises SweepFileError with a line for each mistake in it."""
    entry = PromptTemplate(template=template, lists=lists)
    if wrong := [text_of(mistake) for mistake in template_mistakes(entry, ("prompts", 0))]:
        raise SweepFileError("\n".join(wrong))
    return [text for text, *_ in expanded_texts(entry)]


def test_names_are_replaced_and_doubled_braces_are_braces() -> None:
    assert expanded("a {c} {t}", c=["red", "blue"], t=["fox"]) == ["a red fox", "a blue fox"]
    assert expanded('{{"fox": "{c}"}} }}{{', c=["red"]) == ['{"fox": "red"} }{']
    assert expanded("{{{c}}} {c}", c=["{c}", "{{x}}", "%s $c"]) == ["{{c}} {c}", "{{{x}}} {{x}}", "{%s $c} %s $c"]
    assert expanded("a {the colour} fox", **{"the colour": ["red"]}) == ["a red fox"]


@pytest.mark.parametrize(
    ("template", "sight"),
    [
        ("a {c} {fox", "'{' at character 7"),
        ("a {c} fox}", "'}' at character 10"),
        ("a {c:1.2} fox", "'{c:1.2}' at character 3"),
        ("a {c!r} fox", "'{c!r}' at character 3"),
        ("a {c:>10} fox", "'{c:>10}' at character 3"),
        ("a {c.real} fox", "'{c.real}' at character 3"),
        ("a {c[0]} fox", "'{c[0]}' at character 3"),
        ("a {0} fox", "'{0}' at character 3"),
        ("a {} fox", "'{}' at character 3"),
        ("a { c } fox", "'{ c }' at character 3"),
        ("a {{c} fox", "'}' at character 6"),
        ("a {c:{c}} fox", "'{' at character 3"),
        ("a {d} fox", "'{d}' at character 3"),
        ('{"fox": "{c}"}', "'{' at character 1"),
        ("a {red|blue} fox", "'{red|blue}' at character 3"),
    ],
)
def test_any_other_brace_is_refused_with_its_place(template: str, sight: str) -> None:
    with pytest.raises(SweepFileError) as raised:
        expanded(template, c=["red"])
    assert str(raised.value).splitlines()[0] == (
        f"prompts[0].template: {sight} names none of the lists ('c'); write {{name}} where a list's value belongs, "
        "and {{ or }} for a brace itself."
    )


def test_every_mistake_in_a_template_is_listed() -> None:
    entry = PromptTemplate(template="a {d} {c} }", to=("{e}",), lists={"c": (), "f": ("x",)})
    assert [(mistake.path[2:], mistake.sentence.partition(";")[0]) for mistake in template_mistakes(entry, ("prompts", 0))] == [
        (("template",), "'{d}' at character 3 names none of the lists ('c', 'f')"),
        (("template",), "'}' at character 11 names none of the lists ('c', 'f')"),
        (("to", 0), "'{e}' at character 1 names none of the lists ('c', 'f')"),
        (("c",), "the list is empty"),
    ]


def test_a_brace_in_to_is_refused_in_its_place() -> None:
    entry = PromptTemplate(template="a {c} fox", to=("a hare", "a {d}"), lists={"c": ("red",)})
    (mistake,) = template_mistakes(entry, ("prompts", 0))
    assert mistake.path == ("prompts", 0, "to", 1) and mistake.sentence.startswith("'{d}' at character 3 names none of the lists ('c');")


@pytest.mark.parametrize("template", ["a {} fox", "a { fox"])
def test_a_list_without_a_name_fills_nothing(template: str) -> None:
    with pytest.raises(SweepFileError, match=r"at character 3 names none of the lists \(''\)"):
        expanded(template, **{"": ["red"]})


def test_a_list_has_a_name_in_the_template_and_values() -> None:
    with pytest.raises(
        SweepFileError, match=r"^prompts\[0\]\.template: 'a fox' does not name the list 'c'; write \{c\} in it, or delete the list\.$"
    ):
        expanded("a fox", c=["red"])
    with pytest.raises(SweepFileError, match=r"^prompts\[0\]\.c: the list is empty; give it at least one value\.$"):
        expanded("a {c} fox", c=[])


pieces = st.lists(st.sampled_from(["a", " ", "{x}", "{y}", "{{", "}}", "é", "$", "%s"]), min_size=1, max_size=12).map("".join)
values = st.lists(st.text(max_size=4), min_size=1, max_size=3)


@given(pieces.filter(str.strip), values, values)
def test_it_is_python_s_own_format_for_plain_names(template: str, x: list[str], y: list[str]) -> None:
    lists = {
        name: listed for name, listed in (("x", x), ("y", y)) if name in {field for _, field, _, _ in string.Formatter().parse(template)}
    }
    expected = [template.strip().format(**dict(zip(lists, chosen, strict=True))) for chosen in itertools.product(*lists.values())]
    assert expanded(template, **lists) == expected


@given(st.lists(st.sampled_from(["a", "{", "}", "{x}", ":", "!r", "x", "0", "[", "]", "."]), min_size=1, max_size=12).map("".join))
def test_any_template_is_filled_or_refused_in_a_sentence(template: str) -> None:
    try:
        assert expanded(template, x=["1", "2"]) == [template.format(x=value) for value in ("1", "2")]
        problems = []
    except SweepFileError as error:
        problems = str(error).splitlines()
    assert len(set(problems)) == len(problems)
    assert all(line.startswith("prompts[0].template: ") and line.endswith(".") for line in problems)
