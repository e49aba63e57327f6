"""The registry of published weights agrees with the packages that publish them, and its entries are checked."""

import ast
import importlib.util
from pathlib import Path, PurePosixPath

import pytest

from dreamsweep.errors import WeightsError
from dreamsweep.spec import InterpolationSpec
from dreamsweep.weights.registry import HUB_SUFFIXES, find, registry


def _constant(package: str, module: str, name: str) -> dict[str, str]:
    """Reads a dict from a package's source, without importing it (which takes seconds)."""
    tree = ast.parse((_folder_of(package) / module).read_text(encoding="utf-8"))
    values = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name]
    return dict(ast.literal_eval(values[0]))


def _folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0])


@pytest.mark.usefixtures("cache")
def test_clip_is_as_the_clip_package_has_it() -> None:
    theirs = _constant("clip", "clip.py", "_MODELS")
    ours = {name: model for name, model in registry().items() if model.folder == "clip"}
    assert ours.keys() == theirs.keys()
    for name, url in theirs.items():
        ((file, entry),) = ours[name].files.items()
        assert entry.url == url and entry.sha256 == url.split("/")[-2] and file == url.split("/")[-1]


@pytest.mark.usefixtures("cache")
def test_biggan_is_as_its_package_has_it() -> None:
    models, settings = (
        _constant("pytorch_pretrained_biggan", "model.py", f"PRETRAINED_{kind}_ARCHIVE_MAP") for kind in ("MODEL", "CONFIG")
    )
    for name, url in models.items():
        files = registry()[name].files
        assert files["pytorch_model.bin"].url == url and files["config.json"].url == settings[name]


@pytest.mark.usefixtures("cache")
def test_from_hubs_nothing_that_could_be_a_pickle_is_taken() -> None:
    hubs = [model for model in registry().values() if model.hub]
    assert len(hubs) == 10
    assert all(PurePosixPath(file.origin or name).suffix in HUB_SUFFIXES for model in hubs for name, file in model.files.items())
    assert {InterpolationSpec().model} <= registry().keys()


@pytest.mark.usefixtures("cache")
def test_the_docs_list_every_model_as_it_is() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "weights.md").read_text(encoding="utf-8")
    for name, model in registry().items():
        size = "unknown" if model.megabytes is None else ""
        row = next(line for line in docs.splitlines() if line.startswith(f"| `{name}` | {size}"))
        known = all(file.sha256 for file in model.files.values())
        assert model.licence and model.licence in row and (model.hub or "") in row
        assert row.endswith(f"| {len(model.files)} | {'known' if known else 'on first use'} |")


PIPELINES = {
    "stable-diffusion-1.5": "pipelines/stable_diffusion/pipeline_stable_diffusion.py",
    "stable-diffusion-2.1": "pipelines/stable_diffusion/pipeline_stable_diffusion.py",
    "stable-diffusion-xl": "pipelines/stable_diffusion_xl/pipeline_stable_diffusion_xl.py",
    "karlo": "pipelines/deprecated/unclip/pipeline_unclip.py",
}
NOT_NEEDED = (
    "self",
    "safety_checker",
    "feature_extractor",
    "image_encoder",
    "requires_safety_checker",
    "force_zeros_for_empty_prompt",
    "add_watermarker",
)


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.usefixtures("cache")
def test_hub_files_are_those_that_the_pipeline_of_diffusers_is_made_of(name: str) -> None:
    tree = ast.parse((_folder_of("diffusers") / PIPELINES[name]).read_text(encoding="utf-8"))
    pipeline = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("Pipeline"))
    parts = next(node for node in pipeline.body if isinstance(node, ast.FunctionDef) and node.name == "__init__").args.args
    wanted = {"model_index.json"}
    for part in parts:
        kind = ast.unparse(part.annotation) if part.annotation else ""
        if part.arg not in NOT_NEEDED:
            wanted |= {f"{part.arg}/{file}" for file in _files_of(kind)}
    assert registry()[name].files.keys() == wanted


def _files_of(kind: str) -> tuple[str, ...]:
    """Returns the files that diffusers and transformers save of a part of this class."""
    if "Tokenizer" in kind:
        return ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json")
    if "Scheduler" in kind:
        return ("scheduler_config.json",)
    return ("config.json", "model.safetensors" if kind.startswith("CLIP") else "diffusion_pytorch_model.safetensors")


@pytest.mark.usefixtures("cache")
def test_an_unknown_name_is_answered_with_similar_ones() -> None:
    with pytest.raises(WeightsError, match=r"weights 'ViT-B/33'.*'ViT-B/32'"):
        find("ViT-B/33")
    with pytest.raises(WeightsError, match=r"weights 'nonsense'.*RN50, RN101.*owner/name"):
        find("nonsense")
    assert find("someone/something") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "not YAML"),
        ("a: {folder: a, files: {x.bin: {}}}", "x.bin needs a url"),
        ("a: {folder: a, hub: b/c, files: {x.bin: {}}}", "from a hub only .safetensors"),
        ("a: {folder: a, files: {../x.bin: {url: 'https://b.invalid/x'}}}", "should match pattern"),
        ("a: {folder: /etc, files: {x.bin: {url: 'https://b.invalid/x'}}}", "a.folder"),
        ("a: {folder: a, files: {x.bin: {url: 'https://b.invalid/x', sha256: beef}}}", "sha256"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_the_users_registry_is_checked(text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    monkeypatch.setenv("DREAMSWEEP_WEIGHTS_REGISTRY", str(path))
    with pytest.raises(WeightsError, match=rf"weights registry .*own.yaml: .*{reason}"):
        registry()


@pytest.mark.usefixtures("cache")
def test_a_missing_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_WEIGHTS_REGISTRY", "/nowhere/own.yaml")
    with pytest.raises(WeightsError, match=r"own.yaml: it cannot be read"):
        registry()
