"""Reads sweep files, and says in one sentence what is wrong with one."""

import difflib
import hashlib
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from dreamsweep.errors import SweepFileError
from dreamsweep.spec import (
    ENGINES,
    IMAGE_FIELDS,
    MAX_PROMPT,
    Drop,
    OptimizerGrid,
    Phrase,
    Prompt,
    PromptFile,
    PromptTemplate,
    Schedule,
    SeedRange,
    Sweep,
)


def load_sweep(path: Path | str) -> Sweep:
    """The sweep in a YAML file, with the paths that it names made absolute.

    Raises SweepFileError, one sentence, when the file is missing, is not YAML, or says something that no sweep may say.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SweepFileError(f"sweep file {str(path)!r} is not there{_near_file(path)}.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SweepFileError(f"sweep file {str(path)!r} cannot be read: {reason}.") from None
    return parse_text(text, path.parent.resolve(), str(path))


def parse_text(text: str, folder: Path, source: str) -> Sweep:
    """The sweep in a sweep file's text; relative paths in it are taken from `folder`. Raises SweepFileError."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise SweepFileError(f"sweep file {source!r} is not YAML{place}: {problem}.") from None
    if not isinstance(content, dict):
        found = "nothing" if content is None else type(content).__name__
        raise SweepFileError(f"sweep file {source!r} holds {found}; it must hold 'name:', 'prompts:' and 'engines:'.")
    return parse_sweep(content, folder, source)


def parse_sweep(content: dict[str, Any], folder: Path, source: str) -> Sweep:
    """The sweep that a mapping spells; relative paths in it are taken from `folder`. Raises SweepFileError."""
    try:
        sweep = Sweep.model_validate(content)
    except ValidationError as error:
        raise SweepFileError(f"{source}: {explain(error)}") from None
    return _with_real_paths(sweep, folder)


def sweep_text(sweep: Sweep) -> str:
    """The text of a sweep file that says the same."""
    return yaml.safe_dump(sweep.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True)


def explain(error: ValidationError) -> str:
    """One sentence for the most telling of a validation's complaints: the field, what was found, what to do."""
    complaints = error.errors()
    # a value that fits no branch of a union is complained of once a branch, and an engine that fails makes its list "too short"
    telling = [c for c in complaints if c["type"] != "tuple_type" and not (c["type"] == "too_short" and len(complaints) > 1)]
    telling = [
        c for c in telling if c["type"] != "literal_error" or not isinstance(c["input"], list)
    ] or telling  # one of a list's is meant
    misspelt = [c for c in complaints if c["type"] == "extra_forbidden" and len(c["loc"]) == 1]  # why another word seems to be missing
    first = (misspelt or telling or complaints)[0]
    field = _field(first["loc"])
    value = _shown(first["input"])
    match first["type"]:
        case "extra_forbidden":
            word = str(first["loc"][-1])
            return f"{field}: no such word{_did_you_mean(word, _words_at(first['loc'][:-1]))}."
        case "union_tag_invalid":
            name = str((first.get("ctx") or {}).get("tag"))
            return f"{field}: no engine {name!r}{_did_you_mean(name, ENGINES)}."
        case "union_tag_not_found":
            return f"{field}: {value} names no engine; add 'engine:', one of {', '.join(ENGINES)}."
        case "missing":
            return f"{field}: missing; {'every sweep needs it' if len(first['loc']) == 1 else 'write it as well'}."
        case "literal_error":
            choices = str((first.get("ctx") or {}).get("expected")).replace("'", "").replace(" or ", ", ").split(", ")
            return f"{field}: no {value}{_did_you_mean(str(first['input']), choices)}."
        case "too_short":
            return f"{field}: empty; name at least one."
        case "string_too_short":
            return f"{field}: the text is empty; write what to draw."
        case "string_too_long":
            found = len(str(first["input"]))
            return (
                f"{field}: the text has {found:,} characters; at most {MAX_PROMPT:,} are read (a perceptor sees some 300), so shorten it."
            )
        case "string_pattern_mismatch" if field == "name":
            return f"name: {value} cannot be part of a path; use small letters, digits, '.', '_' and '-', such as 'demo-1'."
        case _:
            told = first["msg"].removeprefix("Value error, ")
            return f"{field}: {value} will not do: {told[0].lower()}{told[1:]}."


def _field(loc: tuple[int | str, ...]) -> str:
    """The field as the YAML spells it, without the names of union branches that pydantic puts in."""
    parts = ""
    for part in loc:
        if isinstance(part, int):
            parts += f"[{part}]"
        elif part in ENGINES or "[" in part or "-" in part or part[:1].isupper():
            continue
        else:
            parts += f".{part}" if parts else part
    return parts


def _words_at(loc: tuple[int | str, ...]) -> list[str]:
    """The words that may stand where an unknown one was found."""
    if not loc:
        return list(Sweep.model_fields)
    names = [part for part in loc if isinstance(part, str)]
    if names[0] == "engines":
        if "optimizer" in names or "OptimizerGrid" in names:
            return list(OptimizerGrid.model_fields)
        if "rate_drops" in names:
            return list(Drop.model_fields)
        engine = next((n for n in names if n in ENGINES), None)
        return list(ENGINES[engine].model_fields) if engine else []
    elsewhere: tuple[type[BaseModel], ...] = (Prompt, Phrase, PromptTemplate, PromptFile)
    known: dict[str, tuple[type[BaseModel], ...]] = {"seeds": (SeedRange,), "schedule": (Schedule,)}
    return sorted({word for model in known.get(names[0], elsewhere) for word in model.model_fields})


def _did_you_mean(word: str, choices: Any) -> str:
    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    told = ", ".join(sorted(choices))
    return f"; did you mean {near[0]!r}? (one of {told})" if near else f"; use one of {told}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _near_file(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path()
    there = sorted(p.name for p in folder.glob("*.y*ml") if _looks_like_a_sweep(p))
    near = difflib.get_close_matches(path.name, there, n=1)
    told = ", ".join(there[:8]) + (", …" if len(there) > 8 else "")
    return f"; did you mean {str(folder / near[0])!r}? (there are {told})" if near else "; sweep files lie in prompts/"


def _looks_like_a_sweep(path: Path) -> bool:
    try:
        return re.search("^engines:", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _with_real_paths(sweep: Sweep, folder: Path) -> Sweep:
    entries = tuple(
        entry.model_copy(update={"file": str(folder / entry.file)}) if isinstance(entry, PromptFile) else entry for entry in sweep.prompts
    )
    engines = []
    grids: tuple[Any, ...] = sweep.engines  # models made at run time, one an engine
    for number, grid in enumerate(grids):
        for name in IMAGE_FIELDS:
            image = getattr(grid, name, None)
            if image is None:
                continue
            path = folder / image.path
            try:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise SweepFileError(f"engines[{number}].{name}: {str(path)!r} cannot be read ({error.strerror}).") from None
            grid = grid.model_copy(update={name: image.model_copy(update={"path": str(path), "sha256": digest})})
        engines.append(grid)
    return sweep.model_copy(update={"prompts": entries, "engines": tuple(engines)})
