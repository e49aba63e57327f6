"""SHA-256 of weights as trials record them, from the files alone: no network is loaded, and torch is not imported.

The readers of weights (`dreamsweep.models`, `dreamsweep.perceptors`) record the same values; a test compares the two.
"""

from pathlib import Path

from dreamsweep.errors import WeightsError
from dreamsweep.spec import WeightsName
from dreamsweep.weights import fetch
from dreamsweep.weights.cache import file_sha256, session_sha256
from dreamsweep.weights.starter import (
    STARTER_FOLDERS,
    STARTER_NAMES,
    damaged,
    expected_sha256,
    folder_files,
    hash_of_hashes,
    weights_folder,
)

RECORDED_AS = {"published-dvae": "dall-e"}
"""Registry name of weights that trials record under another name."""
PROJECTION = "image_projection.safetensors"
"""File of an unCLIP's folder whose decoder takes the starter guide's embeddings: tensor `weight` `d e`, from the guide's to its own."""


def sha256_of(name: str) -> dict[str, str]:
    """Returns {name: SHA-256} of starter or published weights, as trials record it in `weights_sha256`.

    `name` is that of a perceptor or of the registry, a starter name, or `published-dvae`. Published weights are downloaded first where
    they are missing. Raises WeightsError when a file is missing, damaged, or not what was published.
    """
    if name in STARTER_NAMES:
        return {name: _starter_file(name)}
    if name in STARTER_FOLDERS:
        return {name: find_folder("starter", name, "")[2]}
    return {name: fetch.digest(RECORDED_AS.get(name, name))}


def find_folder(weights: WeightsName, starter: str, model: str) -> tuple[Path, str, str]:
    """Returns (folder, name, SHA-256) of a starter pipeline, or of a published one by its name or folder.

    Raises WeightsError when there is none, or a file of it is missing or damaged.
    """
    if weights == "starter":
        folder = weights_folder() / starter
        if not folder.is_dir():
            raise WeightsError(
                f"weights 'starter': {folder} is missing; install dreamsweep again, or set weights: published and name a folder in the "
                "format of diffusers as the engine's model."
            )
        actual = hash_of_hashes((file, session_sha256(path)) for file, path in folder_files(folder))
        if actual != expected_sha256(starter):
            raise WeightsError(f"weights {starter!r}: a file in {folder} is damaged or missing; restore it with git or install again.")
        return folder, starter, actual
    if Path(model).is_dir():
        return Path(model), model, hash_of_hashes((file, file_sha256(path)) for file, path in folder_files(Path(model)))
    digest = fetch.digest(model)
    return fetch.folder(model), model, digest


def image_encoder_of(folder: Path) -> str | None:
    """Returns the name of the weights that embed pictures for the unCLIP in a folder; None where its own folder has them."""
    if (folder / "image_encoder").is_dir():
        return None
    return "starter-guide" if (folder / PROJECTION).is_file() else "karlo-image-encoder"


def _starter_file(name: str) -> str:
    path = weights_folder() / f"{name}.safetensors"
    try:
        actual = session_sha256(path)
    except OSError as error:
        raise WeightsError(f"weights {name!r}: {path} cannot be read ({error.strerror}); restore it with git, or install again.") from None
    if actual != expected_sha256(name):
        raise damaged(name, path, actual)
    return actual
