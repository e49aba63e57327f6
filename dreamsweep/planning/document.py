"""Parser of YAML and JSON that keeps the place of every part: what is written twice, cut short or no plain value has its line."""

import bisect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.unparsable import JSON_TEXT, QUOTES, explain_unparsable

Path = tuple[str | int, ...]
"""Place in a sweep's content: `("engines", 0, "cutouts")`."""
MAX_VALUES = 1_000_000
"""Values that aliases (`*name`) may add up to."""
JSON_VALUE = "json"
"""Tag of nodes that hold a value of JSON, already converted."""
STANDARD = "tag:yaml.org,2002:"
PLAIN_TAGS = frozenset(STANDARD + name for name in ("str", "int", "float", "bool", "null", "timestamp")) | {JSON_VALUE}
TEXT_TAGS = frozenset(STANDARD + name for name in ("str", "merge", "value"))
"""Tags of scalars that are texts; a lone `<<` or `=` has a tag of its own."""
JSON_TOKEN = re.compile(r'[{}\[\]]|"(?:[^"\\]|\\.)*"|[^\s{}\[\],:"]+')
CUT_SHORT = re.compile(r"[ \t]+(#\S.*)")
"""What YAML takes for a comment although no space follows its `#`."""


@dataclass(frozen=True)
class Mistake:
    """Mistake in one part of a sweep, and what to do about it."""

    path: Path
    sentence: str
    place: tuple[int, int] | None = None
    """Line and column, from 1; None where there is no text, or the path says it."""
    field: str | None = None
    """Beginning of the sentence, such as `prompts[0].file (names.txt, line 3): `; None where it is the path."""


@dataclass
class Document:
    """Content of a text, with what is wrong or doubtful about the text itself."""

    content: Any = None
    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)
    root: Any = None
    """Node that the content comes from."""

    def place(self, path: Path) -> tuple[int, int] | None:
        """Returns line and column of a part, those of a word if it is one; of what holds it if it is not there."""
        return _place(self._nodes(path)[-1][0]) if self.root else None

    def written(self, path: Path) -> str | None:
        """Returns a plain value as it is written, without quotes; None if it is no plain value."""
        nodes = self._nodes(path) if self.root else []
        node = nodes[-1][1] if len(nodes) == len(path) + 1 else None
        return node.value if isinstance(node, yaml.ScalarNode) and isinstance(node.value, str) else None

    def style(self, path: Path) -> str | None:
        """Returns how a text is written: `|`, `>`, a quote, or None for none of them."""
        nodes = self._nodes(path) if self.root else []
        return getattr(nodes[-1][1], "style", None) if len(nodes) == len(path) + 1 else None

    def _nodes(self, path: Path) -> list[tuple[Any, Any]]:
        """Returns the nodes along a path, as far as they exist: where each begins (a word before its value), and its value."""
        nodes = [(self.root, self.root)]
        for part in path:
            node = nodes[-1][1]
            step = None
            if isinstance(node, yaml.MappingNode):
                step = next((pair for pair in reversed(node.value) if pair[0].value == part), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                step = (node.value[part], node.value[part])
            if step is None:
                break
            nodes.append(step)
        return nodes


def parse_document(text: str, source: str) -> Document:
    """Parses YAML or JSON. Raises SweepFileError for a text that is neither, or that no sweep could be."""
    text = text.removeprefix("\ufeff")
    try:
        root = _json_root(text) or yaml.compose(_without_tabs(text), Loader=yaml.SafeLoader)
        if root is None:
            return Document()
        _check_size(root, source)
        return _Reader(text, root).document
    except yaml.YAMLError as error:
        raise SweepFileError(f"{source}{explain_unparsable(error, text)}") from None
    except RecursionError:
        raise SweepFileError(f"{source}: brackets or lines are nested too deeply to be a sweep; a sweep needs five levels or so.") from None


class _Reader:
    """Converter of nodes to plain content."""

    def __init__(self, text: str, root: Any) -> None:
        self._text = text
        self._constructor = SafeConstructor()
        self._values: dict[int, Any] = {}
        self.document = Document(root=root)
        self.document.content = self._value(root, ())

    def _value(self, node: Any, path: Path) -> Any:
        if id(node) not in self._values:
            match node:
                case yaml.ScalarNode():
                    self._values[id(node)] = self._scalar(node, path)
                case yaml.SequenceNode():
                    self._check_tag(node, path, "seq")
                    self._values[id(node)] = [self._value(part, (*path, number)) for number, part in enumerate(node.value)]
                case _:
                    self._check_tag(node, path, "map")
                    self._values[id(node)] = self._mapping(node, path)
        return self._values[id(node)]

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[Any, Any]:
        self._check_words(node, path)
        self._constructor.flatten_mapping(node)  # the pairs that `<<` brings come first, so a mapping's own win
        return {key.value: self._value(value, (*path, key.value)) for key, value in node.value if isinstance(key.value, str)}

    def _check_words(self, node: yaml.MappingNode, path: Path) -> None:
        """Notes the words that are no texts or are written twice."""
        first: dict[str, Any] = {}
        for key, _ in node.value:
            word = key.value
            if not isinstance(key, yaml.ScalarNode):
                self._note(path, "a list or a mapping stands where a word belongs; braces and brackets of a text go in quotes", key)
                key.value = None
            elif key.tag not in TEXT_TAGS | {JSON_VALUE}:
                self._note(path, f"the word {word} is read as {kind_of(self._scalar(key, path))}; put it in quotes: {quoted(word)}", key)
            elif word.startswith(("//", "/*")):
                self._note(path, f"{word[:2]!r} begins a comment, which neither JSON nor YAML has; take it out", key)
                key.value = None
            elif word in first and word != "<<":
                self._note((*path, word), f"here twice, first in line {first[word].start_mark.line + 1}; keep one of them", key)
            first.setdefault(str(word), key)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if node.tag in TEXT_TAGS or node.tag == JSON_VALUE:
            if node.style is None and path[:1] == ("prompts",):
                self._check_comment(node, path)
            return _joined(node.value) if isinstance(node.value, str) else node.value
        if node.tag not in PLAIN_TAGS:
            self._check_tag(node, path, "str")
            return node.value
        try:
            return self._constructor.yaml_constructors[node.tag](self._constructor, node)
        except (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError):
            kind = {"timestamp": "a date that no calendar has"}.get(node.tag.removeprefix(STANDARD), "a number that is none")
            self._note(path, f"{shortened(node.value)} is read as {kind}; if it is a text, put it in quotes", node)
            return node.value

    def _check_tag(self, node: Any, path: Path, usual: str) -> None:
        if node.tag not in (STANDARD + usual, JSON_VALUE):
            tag = node.tag.replace(STANDARD, "!!")
            self._note(path, f"{shortened(tag)} is read as a tag of YAML, which no sweep has; take it out, or {QUOTES}", node)

    def _check_comment(self, node: yaml.ScalarNode, path: Path) -> None:
        if cut := CUT_SHORT.match(self._text, node.end_mark.index):
            sentence = f"{shortened(node.value)} ends before {shortened(cut[1])}, which YAML reads as a comment; {QUOTES} to keep it"
            self.document.warnings.append(Mistake(path, sentence, _place(node)))

    def _note(self, path: Path, sentence: str, node: Any) -> None:
        self.document.mistakes.append(Mistake(path, sentence, _place(node)))


def kind_of(value: Any) -> str:
    """Returns what a plain value is, for people: `the number 1984`, `false`, `a date`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the truth value {str(value).lower()}"
        case int() | float():
            return f"the number {value!r}" if not isinstance(value, int) or abs(value) < 10**30 else "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return "a date" if "date" in type(value).__name__ else f"a {type(value).__name__}"


def quoted(text: str) -> str:
    """Returns a text in double quotes, shortened."""
    return printable(json.dumps(text if len(text) <= 60 else f"{text[:57]}…", ensure_ascii=False))


def printable(text: str) -> str:
    """Returns a text with escapes for what no terminal should see."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str) -> str:
    """Returns a text in single quotes, with escapes for what no terminal should see, of 60 characters at most."""
    shown = repr(text[:80])
    return shown if len(shown) <= 60 else f"{shown[:57]}…'"


def _place(node: Any) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _json_root(text: str) -> Any:
    """Returns the nodes of a text in JSON whose outermost value is an object; None for any other text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        json.loads(text)
    except ValueError:  # of JSON, or of numbers with thousands of digits
        return None
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def mark(index: int) -> yaml.Mark:
        line = bisect.bisect_right(line_starts, index) - 1
        return yaml.Mark("", index, line, index - line_starts[line], None, 0)

    open_nodes: list[tuple[int, list[Any]]] = [(0, [])]
    for match in JSON_TOKEN.finditer(text):  # of a text that is known to be JSON
        token, start = match[0], mark(match.start())
        if token in "{[":
            open_nodes.append((match.start(), []))
            continue
        if token in "}]":
            begin, parts = open_nodes.pop()
            start = mark(begin)
            pairs = list(zip(parts[::2], parts[1::2], strict=True)) if token == "}" else parts
            node: Any = (yaml.MappingNode if token == "}" else yaml.SequenceNode)(JSON_VALUE, pairs, start, mark(match.end()))
        else:
            node = yaml.ScalarNode(JSON_VALUE, json.loads(token), start, mark(match.end()), '"')
        open_nodes[-1][1].append(node)
    return open_nodes[0][1][0]


def _without_tabs(text: str) -> str:
    """Returns a text that is nearly JSON (a comma too many, a comment) with spaces for tabs, which YAML does not read between values."""
    if not text.lstrip().startswith("{") or "\t" not in text:
        return text
    return re.sub(rf"({JSON_TEXT.pattern})|\t", lambda match: match[1] or " ", text, flags=re.DOTALL)


def _joined(text: str) -> str:
    """Returns a text whose characters beyond U+FFFF may be written as two escapes each, as JSON does, with one character for each."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16") if re.search("[\ud800-\udbff]", text) else text
    except UnicodeDecodeError:
        return text  # half of a pair, of which the validation complains


def _check_size(root: Any, source: str) -> None:
    """Rejects (SweepFileError) aliases that hold themselves, or that add up to more than a sweep can be."""
    sizes: dict[int, int] = {}

    def size(node: Any) -> int:
        if id(node) in sizes:
            if sizes[id(node)] == 0:
                line, column = _place(node)
                raise SweepFileError(f"{source}:{line}:{column}: an alias (*name) stands inside what it is short for; write that out.")
            return sizes[id(node)]
        sizes[id(node)] = 0
        sizes[id(node)] = 1 + sum(size(part) for part in _parts(node))
        return sizes[id(node)]

    if (total := size(root)) > MAX_VALUES + len(sizes):
        raise SweepFileError(f"{source}: its aliases (*name) come to {total:,} values, at most {MAX_VALUES:,} are read; write fewer.")


def _parts(node: Any) -> Iterator[Any]:
    if isinstance(node, yaml.MappingNode):
        yield from (part for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
