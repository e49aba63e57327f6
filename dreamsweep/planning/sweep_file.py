"""Reader of sweep files; each mistake of an invalid one is explained in one sentence."""

import difflib
import hashlib
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dreamsweep.errors import StoreError, SweepFileError, UserError
from dreamsweep.planning.concepts import read_concepts
from dreamsweep.planning.document import Document, Mistake, kind_of, parse_document, shortened
from dreamsweep.planning.expansion_mistakes import expansion_mistakes
from dreamsweep.planning.label_files import labels_of_file
from dreamsweep.planning.mistakes import lines, mistakes, remarks, with_places, with_text_words
from dreamsweep.planning.pictures import decode_picture
from dreamsweep.planning.words import nearest
from dreamsweep.spec import IMAGE_FIELDS, LABEL_LISTS, FurtherJudge, PromptFile, Sweep, parse_judge_name
from dreamsweep.store import read_uri


def load_sweep(path: Path | str) -> Sweep:
    """Reads the sweep in a YAML file, with the paths that it names made absolute.

    Raises SweepFileError when the file is missing, is neither YAML nor JSON, or says what no sweep may say: a line for each mistake.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SweepFileError(f"sweep file {str(path)!r} is not there{_near_file(path)}.") from None
    except (OSError, ValueError) as error:  # ValueError of a path with a NUL
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text" if isinstance(error, UnicodeError) else error
        raise SweepFileError(f"sweep file {str(path)!r} cannot be read: {reason}.") from None
    return parse_text(text, path.parent.resolve(), str(path))


def parse_text(text: str, folder: Path, source: str) -> Sweep:
    """Parses a sweep file's text; relative paths in it are taken from `folder`.

    Raises SweepFileError with a line for each mistake: source, line, column, field and cure.
    """
    document = parse_document(text, source)
    content = document.content
    if not isinstance(content, dict):
        raise SweepFileError(f"sweep file {source!r} holds {kind_of(content)}; it must hold 'name:', 'prompts:' and 'engines:'.")
    if not any(nearest(str(word), Sweep.model_fields, cutoff=0.7) for word in content):
        words = ", ".join(shortened(str(word)) for word in [*content][:4])
        raise SweepFileError(
            f"sweep file {source!r} holds {words or 'no word'}, no word of a sweep; it must hold 'name:', 'prompts:' and 'engines:'."
        )
    return _parse(content, folder, source, document)


def parse_sweep(content: dict[str, Any], folder: Path, source: str) -> Sweep:
    """Parses a sweep given as a mapping; relative paths in it are taken from `folder`.

    Raises SweepFileError with a line for each mistake: source, field and cure.
    """
    odd: list[Mistake] = []
    return _parse(with_text_words(content, (), odd), folder, source, Document(mistakes=odd))


def _parse(content: dict[str, Any], folder: Path, source: str, document: Document) -> Sweep:
    prompts = content.get("prompts")
    if isinstance(prompts, str) and document.style(("prompts",)) == ">":
        document.mistakes.append(Mistake(("prompts",), "'>' joins lines to one text; write '|' for a prompt a line, or a list ('- …')"))
    elif isinstance(prompts, str) and document.style(("prompts",)) == "|":
        content = {**content, "prompts": f"{prompts}\n"}
    sweep, error = None, None
    try:
        sweep = Sweep.model_validate(content)
    except ValidationError as refused:
        error = refused
    listed = mistakes(content, error, document)
    if sweep is None or listed:
        raise SweepFileError(lines(listed, source))
    sweep = _checked(sweep, folder, source, document)
    noted = [replace(remark, place=remark.place or document.place(remark.path)) for remark in [*document.warnings, *remarks(content)]]
    for line in lines(noted, source).splitlines():
        logging.getLogger("dreamsweep").warning("note: %s", line)
    return sweep


def sweep_text(sweep: Sweep) -> str:
    """Returns the sweep as the text of a sweep file."""
    return yaml.safe_dump(sweep.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True)


def _near_file(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path()
    sweep_files = sorted(p.name for p in folder.glob("*.y*ml") if _looks_like_a_sweep(p))
    near = difflib.get_close_matches(path.name, sweep_files, n=1)
    listed = ", ".join(sweep_files[:8]) + (", …" if len(sweep_files) > 8 else "")
    return f"; did you mean {str(folder / near[0])!r}? (there are {listed})" if near else "; `dreamsweep new` writes one"


def _looks_like_a_sweep(path: Path) -> bool:
    try:
        return re.search("^engines:", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False


def with_real_paths(sweep: Sweep, folder: Path) -> Sweep:
    """Returns the sweep with absolute paths, the hashes of its pictures, and the labels of its judges.

    Raises SweepFileError, with a line for each, where a picture, a list or a prompt file cannot be read, and where it cannot be expanded.
    """
    return _checked(sweep, folder, "the sweep", Document())


def _checked(sweep: Sweep, folder: Path, source: str, document: Document) -> Sweep:
    real, missing = _with_real_paths(sweep, folder)
    if listed := [*missing, *expansion_mistakes(real)]:
        raise SweepFileError(lines(with_places(listed, document), source))
    return real


def _with_real_paths(sweep: Sweep, folder: Path) -> tuple[Sweep, list[Mistake]]:
    """Returns the sweep with absolute paths, hashes and labels, and the pictures and lists of labels that cannot be read."""
    entries = tuple(
        entry.model_copy(update={"file": str(folder / entry.file)}) if isinstance(entry, PromptFile) else entry for entry in sweep.prompts
    )
    engines, missing = [], []
    grids: tuple[Any, ...] = sweep.engines  # models made at run time, one an engine
    for number, grid in enumerate(grids):
        for name in IMAGE_FIELDS:
            image = getattr(grid, name, None)
            if image is None:
                continue
            path = image.path if "://" in image.path else folder / image.path
            try:
                data = path.read_bytes() if isinstance(path, Path) else read_uri(path)
                decode_picture(data)  # a damaged one is found now, not at night
            except StoreError as error:
                missing.append(Mistake(("engines", number, name), str(error)))
                continue
            except (OSError, ValueError) as error:  # ValueError of a path with a NUL as well
                reason = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)
                missing.append(Mistake(("engines", number, name), f"{str(path)!r} {reason}"))
                continue
            digest = hashlib.sha256(data).hexdigest()
            grid = grid.model_copy(update={name: image.model_copy(update={"path": str(path), "sha256": digest})})
        engines.append(grid)
    judges, unread = _with_labels(sweep.judges, folder)
    concepts, unseen = read_concepts(sweep.concepts, folder)
    changes: dict[str, Any] = {"prompts": entries, "engines": tuple(engines), **judges}
    if concepts:
        changes["concepts"] = concepts
    return sweep.model_copy(update=changes), [*missing, *unread, *unseen]


def _with_labels(judges: tuple[FurtherJudge, ...] | None, folder: Path) -> tuple[dict[str, tuple[FurtherJudge, ...]], list[Mistake]]:
    """Returns the sweep's judges, if it names any, with the labels of the files that they name; and the files that cannot be read."""
    read, mistakes = list[FurtherJudge](), list[Mistake]()
    for number, judge in enumerate(judges or ()):
        name = parse_judge_name(judge.name).labels
        if name and not judge.labels and name not in LABEL_LISTS:
            try:
                judge = judge.model_copy(update={"labels": labels_of_file(name, folder, f"judges[{number}]")})
            except UserError as error:
                mistakes.append(Mistake(("judges", number), str(error), field=""))
        read.append(judge)
    return {"judges": tuple(read)} if read else {}, mistakes
