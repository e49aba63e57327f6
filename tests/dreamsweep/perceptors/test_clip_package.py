"""OpenAI's `clip` is imported whether or not setuptools still has `pkg_resources`."""

import subprocess
import sys

ABSENT = """
import sys
from dreamsweep.perceptors.clip_package import import_clip

class Nowhere:
    def find_spec(self, name, *_):
        if name == "pkg_resources":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Nowhere())
"""
IMPORTED = """
clip = import_clip()
from clip.model import CLIP
assert clip.tokenize("a red heart").shape == (1, 77)
assert "pkg_resources" not in sys.modules, "the stand-in stayed behind"
"""
LOADED = """
import types, packaging.version
for name in [name for name in sys.modules if name.partition(".")[0] == "clip"]:
    del sys.modules[name]
loaded = sys.modules["pkg_resources"] = types.SimpleNamespace(packaging=packaging)
assert import_clip() is not clip and sys.modules["clip"] is not clip, "it was imported once only"
assert sys.modules["pkg_resources"] is loaded, "the real module was put aside"
"""


def test_clip_is_imported_without_pkg_resources_and_then_beside_it() -> None:
    program = ABSENT + IMPORTED + LOADED
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
