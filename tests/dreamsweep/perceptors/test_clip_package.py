"""OpenAI's `clip` is imported whether or not setuptools still has `pkg_resources`."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
{before}
from dreamsweep.perceptors.clip_package import import_clip
before = sys.modules.get("pkg_resources")
clip = import_clip()
from clip.model import CLIP
assert clip.tokenize("a red heart").shape == (1, 77)
assert sys.modules.get("pkg_resources") is before, "the stand-in stayed behind"
"""
ABSENT = """
class Nowhere:
    def find_spec(self, name, *_):
        if name == "pkg_resources":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Nowhere())
"""
LOADED = """
import types, packaging.version
sys.modules["pkg_resources"] = types.SimpleNamespace(packaging=packaging)
"""


@pytest.mark.parametrize("before", [ABSENT, LOADED], ids=["absent", "loaded"])
def test_clip_is_imported(before: str) -> None:
    program = PROGRAM.format(before=before)
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
