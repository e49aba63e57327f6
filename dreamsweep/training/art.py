"""Freely licensed emoji art with names and keywords: what the starter weights learn from.

The art comes from icon sets on the npm registry, each pinned to a version and a SHA-256, and is drawn once to
RGBA sheets in a work folder. Twemoji and OpenMoji are drawn too, but never trained on: they are the held-out styles.
"""

import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dreamsweep.errors import StarterError

SIDE = 128
"""Pixels on a side of the drawn art; the perceptors see it at 64."""


@dataclass(frozen=True)
class Source:
    """One npm package: a style of art, or the names that go with it."""

    package: str
    version: str
    sha256: str
    licence: str
    use: str
    """`train`, `held out` or `names`."""

    @property
    def style(self) -> str:
        return self.package.removeprefix("@iconify-json/").removeprefix("@lobehub/")

    @property
    def tarball(self) -> str:
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def _icons(style: str, version: str, sha256: str, licence: str, use: str = "train") -> Source:
    return Source(f"@iconify-json/{style}", version, sha256, licence, use)


SOURCES = (
    _icons("noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad", "Apache-2.0"),
    _icons("noto-v1", "1.2.5", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37", "Apache-2.0"),
    _icons("fluent-emoji", "1.2.7", "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b", "MIT"),
    _icons("fluent-emoji-flat", "1.2.6", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175", "MIT"),
    _icons("fxemoji", "1.2.2", "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef", "Apache-2.0"),
    _icons("emojione", "1.2.3", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e", "CC-BY-4.0"),
    _icons("streamline-emojis", "1.2.4", "5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc", "CC-BY-4.0"),
    Source(
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        "MIT",
        "train",
    ),
    _icons("twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7", "CC-BY-4.0", "held out"),
    _icons("openmoji", "1.2.29", "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5", "CC-BY-SA-4.0", "held out"),
    Source("emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a", "MIT", "names"),
    Source("emojilib", "4.0.3", "7f9a6b43cff31d18985b7d65d11faba5bd971cbcc60020cf6d09322fbaaaf303", "MIT", "names"),
)

OBJECT_GROUPS = (0, 3, 4, 5, 6, 7)
"""Emojibase groups counted as things to draw: smileys, animals, food, places, activities, objects."""
_DRAWN_GROUPS = (0, 1, 3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class Art:
    """Every picture with what it shows.

    `rgba` is uint8 `n h w 4`; `name_of` and `style_of` (both `n`) index `names` and `styles`.
    """

    rgba: NDArray[np.uint8]
    name_of: NDArray[np.int64]
    style_of: NDArray[np.int64]
    names: tuple[str, ...]
    keywords: tuple[tuple[str, ...], ...]
    groups: tuple[int, ...]
    styles: tuple[str, ...]

    def of_styles(self, use: str) -> NDArray[np.int64]:
        """Indices of the pictures whose style is used for `train`, or is `held out`."""
        wanted = {s.style for s in SOURCES if s.use == use}
        chosen = [i for i, style in enumerate(self.styles) if style in wanted]
        return np.flatnonzero(np.isin(self.style_of, chosen))


def load_art(folder: Path) -> Art:
    """Returns the art in `folder`, fetched and drawn there first if need be (about 4 minutes, 0.9 GB).

    Raises StarterError when npm is missing, a package cannot be fetched, or its SHA-256 is another.
    """
    sheet = folder / f"art-{SIDE}.npz"
    index = folder / "art.json"
    if not (sheet.exists() and index.exists()):
        _draw_all(folder, sheet, index)
    record = json.loads(index.read_text())
    stored = np.load(sheet)
    return Art(
        rgba=stored["rgba"],
        name_of=stored["name_of"],
        style_of=stored["style_of"],
        names=tuple(record["names"]),
        keywords=tuple(tuple(words) for words in record["keywords"]),
        groups=tuple(record["groups"]),
        styles=tuple(record["styles"]),
    )


def fetch(source: Source, folder: Path) -> Path:
    """Returns the source's tarball in `folder`, fetched with npm if it is not there, and checked."""
    path = folder / source.tarball
    if not path.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise StarterError(f"{path} is missing and npm is not installed: install Node.js, or put the tarball there.")
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", "--silent", f"{source.package}@{source.version}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not path.exists():
            raise StarterError(f"npm could not fetch {source.package}@{source.version}: {done.stderr.strip()[-300:]}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != source.sha256:
        raise StarterError(f"{path} has SHA-256 {digest}, expected {source.sha256}: delete it and fetch it again.")
    return path


_Draw = Callable[[], NDArray[np.uint8] | None]
"""Draws one icon, uint8 `128 128 4`; None where it cannot be drawn."""


@dataclass(frozen=True)
class _Emoji:
    label: str
    group: int
    keywords: tuple[str, ...]
    aliases: tuple[str, ...]
    hexcode: str


def _draw_all(folder: Path, sheet: Path, index: Path) -> None:
    emojis = _read_emojis(folder)
    by_key = {key: i for i, e in reversed(list(enumerate(emojis))) for key in (*map(_key, e.aliases), _key(e.label))}
    by_hex = {_bare_hex(e.hexcode): i for i, e in enumerate(emojis)}
    styles = [s for s in SOURCES if s.use != "names"]
    pictures: list[NDArray[np.uint8]] = []
    name_of: list[int] = []
    style_of: list[int] = []
    for number, source in enumerate(styles):
        seen: set[int] = set()
        for key, hexcode, draw in _read_icons(source, folder):
            emoji = by_hex.get(hexcode) if hexcode else by_key.get(_key(key))
            if emoji is None or emoji in seen:
                continue
            picture = draw()
            if picture is not None:
                seen.add(emoji)
                pictures.append(picture)
                name_of.append(emoji)
                style_of.append(number)
        print(f"{source.style}: {len(seen)} pictures", flush=True)  # noqa: T201 - the recipe's own terminal
    np.savez(sheet, rgba=np.stack(pictures), name_of=np.array(name_of), style_of=np.array(style_of))
    record = {
        "names": [e.label for e in emojis],
        "keywords": [e.keywords for e in emojis],
        "groups": [e.group for e in emojis],
        "styles": [s.style for s in styles],
    }
    index.write_text(json.dumps(record, ensure_ascii=False))


def _read_emojis(folder: Path) -> list[_Emoji]:
    base, lib = (fetch(s, folder) for s in SOURCES if s.use == "names")
    data = json.loads(_member(base, "package/en/data.json"))
    sets = ("cldr", "emojibase", "emojibase-legacy", "github", "iamcal", "joypixels")
    shortcodes = [json.loads(_member(base, f"package/en/shortcodes/{name}.json")) for name in sets]
    words = json.loads(_member(lib, "package/dist/emoji-en-US.json"))
    emojis = []
    for entry in data:
        if entry.get("group") not in _DRAWN_GROUPS:
            continue
        codes = [s.get(entry["hexcode"], []) for s in shortcodes]
        aliases = [a for code in codes for a in ([code] if isinstance(code, str) else code)]
        tags = [*entry.get("tags", []), *words.get(entry["emoji"], [])]
        keywords = dict.fromkeys(t.replace("_", " ").lower() for t in tags if t.replace("_", " ").isascii())
        label = entry["label"].lower().replace("’", "'").replace("“", "").replace("”", "")
        emojis.append(_Emoji(label, entry["group"], tuple(keywords), tuple(aliases), entry["hexcode"]))
    return emojis


def _read_icons(source: Source, folder: Path) -> Iterator[tuple[str, str, _Draw]]:
    """(icon's name, bare hexcode or "", how to draw it) for each icon of a style."""
    path = fetch(source, folder)
    if not source.package.startswith("@iconify-json/"):
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                if member.name.endswith(".webp"):
                    stem = Path(member.name).stem
                    handle = archive.extractfile(member)
                    assert handle is not None
                    data = handle.read()
                    yield stem, _bare_hex(stem), lambda data=data: _rgba(Image.open(io.BytesIO(data)))  # type: ignore[misc]
        return
    icons = json.loads(_member(path, "package/icons.json"))
    try:
        chars = json.loads(_member(path, "package/chars.json"))
    except KeyError:
        chars = {}
    hex_of = {name: _bare_hex(code) for code, name in chars.items()}
    for name, icon in icons["icons"].items():
        left, top = icon.get("left", 0), icon.get("top", 0)
        width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}">{icon["body"]}</svg>'
        )
        yield name, hex_of.get(name, ""), lambda svg=svg: _draw_svg(svg)  # type: ignore[misc]


def _draw_svg(svg: str) -> NDArray[np.uint8] | None:
    import resvg_py

    try:
        return _rgba(Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, height=SIDE)))))
    except ValueError:
        return None


def _rgba(picture: Image.Image) -> NDArray[np.uint8]:
    picture = picture.convert("RGBA")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    canvas.paste(picture, ((SIDE - picture.width) // 2, (SIDE - picture.height) // 2))
    return np.asarray(canvas)


def _member(tarball: Path, name: str) -> bytes:
    with tarfile.open(tarball) as archive:
        handle = archive.extractfile(name)
        assert handle is not None
        return handle.read()


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _bare_hex(code: str) -> str:
    return "-".join(part.lstrip("0") for part in code.lower().split("-") if part not in ("fe0f",))
