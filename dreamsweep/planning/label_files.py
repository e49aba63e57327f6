"""Files of labels, a label a line, which `labels:FILE` judges by."""

from pathlib import Path

from dreamsweep.errors import UserError
from dreamsweep.planning.characters import split_lines
from dreamsweep.planning.text_file import TextFile
from dreamsweep.planning.words import nearest
from dreamsweep.spec.judges import LABEL_LISTS, MOST_LABELS


def labels_of_file(name: str, folder: Path, field: str) -> tuple[str, ...]:
    """Returns the labels in a file, each once; a relative name is taken from `folder`, and lines that begin with `#` are left out.

    Raises UserError, which begins with the field, where there is no such file, or it does not hold from 2 to 20,000 labels.
    """
    path = folder / name
    if not path.suffix and not path.is_file():
        near = nearest(name, LABEL_LISTS)
        cure = (
            f"did you mean {near!r}?" if near else f"the lists are {', '.join(LABEL_LISTS)}; any other is a text file with a label a line."
        )
        raise UserError(f"{field}: there is no list {name!r}; {cure}")
    try:
        path.stat()  # a person's path at a prompt, which no sweep file stands beside
    except OSError as error:
        reason = f"the file {str(path)!r} cannot be read ({error.strerror})"
        raise UserError(f"{field}: {reason}; name a text file with a label a line.") from None
    except ValueError:  # a NUL in the path
        raise UserError(f"{field}: {name!r} cannot be the name of a file.") from None
    lines = split_lines(TextFile(path, field).read())
    labels = tuple(dict.fromkeys(line.strip() for line in lines if line.strip() and not line.startswith("#")))
    if not 2 <= len(labels) <= MOST_LABELS:
        raise UserError(f"{field}: the file holds {len(labels)} labels; write from 2 to {MOST_LABELS:,} of them, one a line.")
    return labels
