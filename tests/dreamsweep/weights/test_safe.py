"""Weights are read, and no code in their files is run."""

import io
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dreamsweep import weights
from dreamsweep.errors import WeightsError
from dreamsweep.weights.safe import load_clip_tensors, load_dalle_tensors
from tests.dreamsweep.weights.tiny_models import Trap, a_state, clip_archive, half_state, old_dalle, saved, tiny_clip, trapped_module


def written(folder: Path, content: bytes, name: str = "a.bin") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("legacy", [False, True])
def test_a_state_dict_of_either_age(legacy: bool, tmp_path: Path) -> None:
    state = weights.load_tensors(written(tmp_path, saved(a_state(), legacy)))
    assert state.keys() == a_state().keys() and all(torch.equal(state[key], value) for key, value in a_state().items())


def test_safetensors(tmp_path: Path) -> None:
    save_file(a_state(), tmp_path / "a.safetensors")
    assert weights.load_tensors(tmp_path / "a.safetensors").keys() == a_state().keys()
    with pytest.raises(WeightsError, match=r"a.safetensors: it cannot be read as safetensors"):
        weights.load_tensors(written(tmp_path, b"no such thing", "a.safetensors"))


@pytest.mark.parametrize("vision", ["vit", "resnet"])
def test_a_clip_archive_and_a_clip_state_dict_hold_the_same(vision: str, tmp_path: Path) -> None:
    model = tiny_clip(vision, vocabulary=8)
    plain = load_clip_tensors(written(tmp_path, saved(half_state(model)), "plain.pt"))
    archive = load_clip_tensors(written(tmp_path, clip_archive(model), "archive.pt"))
    assert archive.keys() - plain.keys() == {"input_resolution", "context_length", "vocab_size"}
    assert all(torch.equal(archive[key], value) for key, value in plain.items() if value.is_floating_point())


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_pickled_module_gives_its_tensors(part: str, tmp_path: Path) -> None:
    module = old_dalle(part)
    state = load_dalle_tensors(written(tmp_path, saved(module)))
    assert list(state) == list(module.state_dict()) and len(state) > 30
    assert all(torch.equal(state[key], value) for key, value in module.named_parameters())


def test_a_module_with_its_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"a.bin: it is a module with its source code, as torch saved it before 1.6"):
        load_dalle_tensors(written(tmp_path, saved(old_dalle("encoder"), legacy=True)))


def test_a_module_of_other_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"would run torch.nn.modules.linear.Linear"):
        load_dalle_tensors(written(tmp_path, saved(torch.nn.Linear(2, 2))))


@pytest.mark.parametrize("read", [weights.load_tensors, load_clip_tensors, load_dalle_tensors])
@pytest.mark.parametrize("kind", ["plain pickle", "torch, new", "torch, old", "a module", "a state dict"])
def test_a_malicious_pickle_does_not_run(kind: str, read: Callable[[Path], object], tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    content = {
        "plain pickle": lambda: pickle.dumps(Trap(mark), protocol=2),
        "torch, new": lambda: saved(Trap(mark)),
        "torch, old": lambda: saved(Trap(mark), legacy=True),
        "a module": lambda: saved(trapped_module(mark)),
        "a state dict": lambda: saved({**a_state(), "trap": Trap(mark)}),
    }[kind]()
    with pytest.raises(WeightsError) as caught:
        read(written(tmp_path, content))
    assert not mark.exists()
    sentence = str(caught.value)
    reason = {"plain pickle": ": it", "a module": "would run "}.get(kind, "would run posix.system")
    assert reason in sentence
    assert sentence.count("\n") == 0 and str(tmp_path / "a.bin") in sentence


def test_the_trap_would_have_run(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "it-ran")))
    assert (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("content", [b"", b"no such thing", b"PK\x03\x04 half a zip"])
@pytest.mark.parametrize("read", [weights.load_tensors, load_clip_tensors, load_dalle_tensors])
def test_a_file_that_holds_no_weights(read: Callable[[Path], object], content: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"a.bin: it (is|holds|cannot).*fetch"):
        read(written(tmp_path, content))


def test_a_cut_archive(tmp_path: Path) -> None:
    path = written(tmp_path, clip_archive(tiny_clip(vocabulary=8))[:-2000])
    with pytest.raises(WeightsError, match=r"a.bin: it"):
        load_clip_tensors(path)


def test_a_file_that_holds_other_objects(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="it holds a list, not a state dict"):
        weights.load_tensors(written(tmp_path, saved([1, 2])))
    with pytest.raises(WeightsError, match="it holds a dict, not a pickled module"):
        load_dalle_tensors(written(tmp_path, saved(a_state())))


class Runs(torch.nn.Module):
    """A module whose archive runs code of its own when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        raise RuntimeError("it ran")


def archive_of(module: torch.nn.Module) -> bytes:
    buffer = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_the_code_of_an_archive_that_nobody_published_is_not_run(tmp_path: Path) -> None:
    path = written(tmp_path, archive_of(Runs()), "a.pt")
    with pytest.raises(torch.jit.Error, match="it ran"):
        torch.jit.load(str(path))
    assert load_clip_tensors(path) == {}, "no tensor can be had without its code"


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("vision", ["vit", "resnet"])
def test_tensors_are_the_same_read_with_and_without_the_archive_s_code(
    vision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, clip_archive(tiny_clip(vision, vocabulary=8)), "a.pt")
    alone = load_clip_tensors(path)
    monkeypatch.setattr("dreamsweep.weights.safe.is_published", lambda sha256: True)
    run = load_clip_tensors(path)
    assert alone.keys() == run.keys() and len(alone) > 20
    assert all(torch.equal(alone[name], value) and alone[name].dtype == value.dtype for name, value in run.items())


def zipped(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def rewritten(archive: bytes, name: str, data: bytes) -> bytes:
    """The same archive with another file in it, stored as it is."""
    with zipfile.ZipFile(io.BytesIO(archive)) as read:
        return zipped({entry: data if entry.endswith(name) else read.read(entry) for entry in read.namelist()})


READERS = [weights.load_tensors, load_clip_tensors, load_dalle_tensors]


@pytest.mark.parametrize("read", READERS)
def test_an_archive_that_would_fill_the_memory_is_refused_before_it_is_read(read: Callable[[Path], object], tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(saved(a_state()))) as plain:
        parts = {name: plain.read(name) for name in plain.namelist()}
    bomb = zipped({**parts, "archive/data/0": bytes(64 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    with pytest.raises(WeightsError, match=r"a.bin: its parts come to 6\d,\d+,\d+ bytes in a file of "):
        read(written(tmp_path, bomb))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("read", READERS)
def test_parts_that_overlap_are_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    data = bytearray(zipped({f"archive/data/{number}": bytes(1 << 20 if number == 0 else 1) for number in range(20)}))
    first = data.index(b"PK\x01\x02")
    size = data[first + 20 : first + 28]
    at = first
    while (at := data.find(b"PK\x01\x02", at + 1)) > 0:
        data[at + 20 : at + 28] = size
        data[at + 42 : at + 46] = bytes(4)
    with pytest.raises(WeightsError, match="its parts come to 2"):
        read(written(tmp_path, bytes(data)))


@pytest.mark.parametrize("length", [1 << 40, 200_000_000, 5_000])
def test_a_header_that_is_longer_than_its_file_is_refused(length: int, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"a.safetensors: it cannot be read as safetensors \(its header is longer"):
        weights.load_tensors(written(tmp_path, length.to_bytes(8, "little") + b"{}" * 100, "a.safetensors"))


@pytest.mark.parametrize("content", [b"\x80\x02cposix\nsystem\nX\x04\0\0\0trueR.", b"", b"\x80\x02]."], ids=["command", "empty", "list"])
def test_an_archive_whose_pickle_is_another_is_refused(content: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, rewritten(clip_archive(tiny_clip(vocabulary=8)), "/data.pkl", content), "a.pt")
    with pytest.raises(WeightsError, match="it cannot be read as TorchScript without running it"):
        load_clip_tensors(path)
