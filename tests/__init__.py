"""Tests mirror the tree.

Here: how the package's annotations, shapes of tensors included, are checked while tests run (`--jaxtyping-packages`).
"""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""beartype, for which an int is a float as it is for mypy."""
