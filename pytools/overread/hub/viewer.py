"""Preparation of the OHIF viewer, so that the hub can serve it below ``/viewer/``.

The published npm package ``@ohif/app`` holds a ready-built application for the root of a site. Nothing of it is run or
rebuilt here: it is packed by npm, checked against a pinned hash, trimmed, patched in a few counted places, minified (it
is published as readable text), and compressed once by gzip and Brotli. The folder that comes out is static.

``python -m overread.hub.viewer prepare [--out build/ohif]`` does it; a second call finds everything done. Our own
configuration, ``app-config.js``, is not part of it: it comes from the core plugin (``xnat-plugins/core/web``).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import click

from overread.errors import DataError, OverreadError
from overread.hub.node import find_npm

PACKAGE = "@ohif/app"
VERSION = "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
PREFIX = "/viewer/"
DEFAULT_OUT = Path("build") / "ohif"

STAMP = "prepared.json"
"""File of the prepared folder that says what it was made from."""

DROPPED_FOLDERS = frozenset({"ort", "dicom-microscopy-viewer"})
"""Click-to-segment runtime (136 MB) and slide viewer (20 MB): neither is offered by the review page."""

DROPPED_FILES = frozenset({"app-config.js", "sw.js", "_headers", "_redirects", "serve.json", "google.js"})
"""The configuration is ours; the others belong to public hosting or name hosts that are not ours."""

COMPRESSED_SUFFIXES = frozenset({".css", ".html", ".js", ".json", ".jsonc", ".svg", ".wasm"})
COMPRESSION_WORTH = 0.95
"""A twin is kept only if it is at most this share of the original."""

MINIFIER = "esbuild@0.28.2"
"""Names of functions and classes are kept: some of them are looked up by it."""

BROTLI = """
const fs = require("fs"), path = require("path"), zlib = require("zlib"), c = zlib.constants;
for (const twin of fs.readdirSync(".", {recursive: true}).filter((name) => name.endsWith(".gz"))) {
  const file = twin.slice(0, -3), text = fs.readFileSync(file);
  const params = {[c.BROTLI_PARAM_QUALITY]: 9, [c.BROTLI_PARAM_LGWIN]: 22, [c.BROTLI_PARAM_SIZE_HINT]: text.length};
  fs.writeFileSync(file + ".br", zlib.brotliCompressSync(text, {params}));
}
"""
"""Puts a Brotli twin beside each file that has one by gzip. Quality 9: 11 takes ten times as long for a tenth less."""

TWINS = (".gz", ".br")


@dataclass(frozen=True)
class Patch:
    """One textual replacement, tied to the pinned version by the number of places it must find.

    Parameters
    ----------
    name
        What it is for, in words.
    files
        Glob of the files below the package's ``dist``.
    old, new
        Text to find and text that replaces it.
    places
        How often `old` stands in all these files together.
    """

    name: str
    files: str
    old: str
    new: str
    places: int


PATCHES: tuple[Patch, ...] = (
    Patch(
        "chunks and workers", "*.bundle.*.js", '__webpack_require__.p = "/";', f'__webpack_require__.p = "{PREFIX}";', 8
    ),
    Patch("page: scripts", "index.html", 'src="/', f'src="{PREFIX}', 3),
    Patch("page: links", "index.html", 'href="/', f'href="{PREFIX}', 28),
    Patch("page: base", "index.html", 'window.PUBLIC_URL="/"', f'window.PUBLIC_URL="{PREFIX}"', 2),
    Patch("page: tiles", "index.html", 'content="/assets', f'content="{PREFIX}assets', 2),
    Patch("fonts", "*.css", "url(/", f"url({PREFIX}", 5),
    Patch("icons", "manifest.json", '"/assets/', f'"{PREFIX}assets/', 9),
    Patch(
        "no overlap by painting over a locked segment",
        "*.bundle.*.js",
        "const shouldMoveSegment = hasProtectedSegmentOverwrite(",
        "const shouldMoveSegment = false && hasProtectedSegmentOverwrite(",
        1,
    ),
)
"""All that must change for the application to live below :data:`PREFIX` (the router's base stands in our own
``app-config.js``), and one fault: painting over a locked segment moves the active one to a layer of its own, where it
has another number, and what is stored then names the wrong segment. Without that, the locked one keeps its voxels."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the prepared folder holds; two equal recipes give equal folders."""

    package: str = PACKAGE
    version: str = VERSION
    integrity: str = INTEGRITY
    patches: tuple[Patch, ...] = PATCHES
    dropped_folders: frozenset[str] = DROPPED_FOLDERS
    dropped_files: frozenset[str] = DROPPED_FILES
    minifier: str = MINIFIER
    brotli: str = BROTLI

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the recipe."""
        described = asdict(self) | {
            "dropped_folders": sorted(self.dropped_folders),
            "dropped_files": sorted(self.dropped_files),
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Prepared:
    """Result of :func:`prepare`; ``fresh`` is false if it was all there already."""

    folder: Path
    files: int
    size_bytes: int
    compressed_bytes: int
    fresh: bool


Fetch = Callable[[Recipe, Path], Path]
"""Puts the package's tarball into a folder and returns its path."""

Step = Callable[[Recipe, Path], None]
"""Works on the unpacked folder."""


def fetch_with_npm(recipe: Recipe, folder: Path) -> Path:
    """Let npm put the tarball of `recipe` into `folder`; return its path."""
    npm = find_npm()
    before = set(folder.glob("*.tgz"))
    npm.run("pack", f"{recipe.package}@{recipe.version}", "--pack-destination", str(folder.resolve()), folder=folder)
    tarballs = sorted(set(folder.glob("*.tgz")) - before)
    if len(tarballs) != 1:
        raise DataError(
            f"npm pack of {recipe.package}@{recipe.version} left {len(tarballs)} tarballs in {folder}, not 1"
        )
    return tarballs[0]


def minify_with_npm(recipe: Recipe, folder: Path) -> None:
    """Make the program's files smaller, in place."""
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.bundle.*.js"))
    options = ("--minify", "--keep-names", "--charset=utf8", "--log-level=error", "--outdir=.", "--allow-overwrite")
    find_npm().run("exec", "--yes", f"--package={recipe.minifier}", "--", "esbuild", *files, *options, folder=folder)


def brotli_with_node(recipe: Recipe, folder: Path) -> None:
    """Put Brotli twins beside what gzip made smaller."""
    find_npm().evaluate(recipe.brotli, folder=folder)


def prepare(
    out: Path = DEFAULT_OUT,
    *,
    recipe: Recipe | None = None,
    fetch: Fetch = fetch_with_npm,
    minify: Step = minify_with_npm,
    brotli: Step = brotli_with_node,
) -> Prepared:
    """Make the viewer's folder at `out`, whole or not at all.

    The folder is built beside `out` and renamed at the end, so that a hub that is serving, or a run that is cut short,
    never sees half of it.

    Parameters
    ----------
    out
        Folder to be made or replaced. It is left alone if it was made by the same recipe.
    recipe
        What to make; the pinned release unless a test says otherwise.
    fetch, minify, brotli
        Bring the tarball; make its programs smaller; compress once more.

    Raises
    ------
    DataError
        The tarball is not the pinned one, or a patch does not find the places it was written for.
    Unavailable
        npm is missing or its registry is out of reach.
    """
    recipe = recipe or Recipe()
    if _stamp_of(out) == recipe.fingerprint():
        return _measure(out, fresh=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as work:
        tarball = fetch(recipe, Path(work))
        check_integrity(tarball, recipe.integrity)
        made = Path(work) / "made"
        unpack(tarball, made, recipe=recipe)
        apply_patches(made, recipe.patches)
        minify(recipe, made)
        for file in sorted(made.rglob("*")):
            compress(file)
        brotli(recipe, made)
        stamp = {"package": recipe.package, "version": recipe.version, "recipe": recipe.fingerprint()}
        (made / STAMP).write_text(json.dumps(stamp, indent=2) + "\n")
        made.chmod(0o755)
        if out.exists():
            out.rename(Path(work) / "replaced")
        made.rename(out)
    return _measure(out, fresh=True)


def check_integrity(file: Path, expected: str) -> None:
    """Raise DataError unless `file` has the hash `expected` (``sha512-<base64>``, as npm writes it)."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha512").digest()
    found = "sha512-" + base64.b64encode(digest).decode()
    if found != expected:
        raise DataError(
            f"{file.name} is not the pinned package: expected {expected}, found {found}. "
            "Don't use it; fetch again, and if it differs again, ask who serves that registry."
        )


def unpack(tarball: Path, target: Path, *, recipe: Recipe) -> None:
    """Write the files below ``package/dist`` of `tarball` to `target`, without what the recipe drops, and the licence.

    Links and names that lead out of the target are refused by :mod:`tarfile`'s data filter.
    """
    target.mkdir()
    with tarfile.open(tarball) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if not member.isfile():
                continue
            if path.parts == ("package", "LICENSE"):
                inside = PurePosixPath("LICENSE")
            elif path.parts[:2] == ("package", "dist") and _kept(path.parts[2:], recipe):
                inside = PurePosixPath(*path.parts[2:])
            else:
                continue
            archive.extract(member.replace(name=str(inside), mode=0o644), target, filter="data")


def _kept(parts: tuple[str, ...], recipe: Recipe) -> bool:
    if len(parts) == 1 and parts[0] in recipe.dropped_files:
        return False
    return parts[0] not in recipe.dropped_folders and not parts[-1].endswith(".map")


def apply_patches(folder: Path, patches: Iterable[Patch]) -> None:
    """Apply `patches` to the files of `folder`; raise DataError if one finds more or fewer places than it must."""
    for patch in patches:
        found = 0
        for file in sorted(folder.glob(patch.files)):
            text = file.read_text(encoding="utf-8")
            here = text.count(patch.old)
            if here:
                file.write_text(text.replace(patch.old, patch.new), encoding="utf-8")
            found += here
        if found != patch.places:
            raise DataError(
                f"patch '{patch.name}' of the viewer: '{patch.old}' stands {found} times in {patch.files}, "
                f"not {patch.places}. It was written for {PACKAGE} {VERSION}: look at the new release, then mend "
                "PATCHES in overread/hub/viewer.py."
            )


def compress(file: Path) -> None:
    """Put ``<name>.gz`` beside `file` where that saves something; the same bytes for the same input."""
    if not file.is_file() or file.suffix not in COMPRESSED_SUFFIXES:
        return
    data = file.read_bytes()
    small = gzip.compress(data, compresslevel=9, mtime=0)
    if len(small) <= COMPRESSION_WORTH * len(data):
        file.with_name(file.name + ".gz").write_bytes(small)


def _stamp_of(folder: Path) -> str:
    """Return the fingerprint of the recipe that made `folder`; empty if none did."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return ""
    return str(stamp.get("recipe", "")) if isinstance(stamp, dict) else ""


def _measure(folder: Path, *, fresh: bool) -> Prepared:
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix not in TWINS and file.name != STAMP]
    twins = {file: file.with_name(file.name + TWINS[-1]) for file in files}
    return Prepared(
        folder=folder,
        files=len(files),
        size_bytes=sum(file.stat().st_size for file in files),
        compressed_bytes=sum((twin if twin.exists() else file).stat().st_size for file, twin in twins.items()),
        fresh=fresh,
    )


@click.group()
def main() -> None:
    """Prepare the OHIF viewer for the hub."""


@main.command("prepare")
@click.option("--out", type=click.Path(path_type=Path), default=DEFAULT_OUT, show_default=True, help="Folder to make.")
@click.option("--force", is_flag=True, help="Make it anew even if it is there.")
def prepare_command(out: Path, force: bool) -> None:  # noqa: FBT001 - click hands flags over like this
    """Pack, check, trim, patch, minify and compress the viewer into a folder that the hub serves at /viewer/."""
    if force and _stamp_of(out):
        shutil.rmtree(out)
    try:
        made = prepare(out)
    except OverreadError as error:
        raise click.ClickException(str(error)) from error
    megabytes, compressed = made.size_bytes / 1e6, made.compressed_bytes / 1e6
    done = "prepared" if made.fresh else "already there"
    sizes = f"{made.files} files, {megabytes:.1f} MB, {compressed:.1f} MB compressed"
    click.echo(f"{PACKAGE} {VERSION} {done}: {made.folder} ({sizes})")


if __name__ == "__main__":
    main()
