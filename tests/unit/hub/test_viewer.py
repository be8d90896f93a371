"""Preparation of the viewer, on a package of five small files, and once on the real one (slow)."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from overread.errors import DataError
from overread.hub import viewer
from overread.hub.viewer import Patch, Prepared, Recipe, prepare

LONG = "padding that compresses well; " * 50
DIST = {
    "package/dist/index.html": '<script src="/app.js"></script><script src="/b.js"></script>' + LONG,
    "package/dist/app.bundle.1.js": 'base = "/";' + LONG,
    "package/dist/app-config.js": "window.config = {}",
    "package/dist/app.bundle.1.js.map": "{}",
    "package/dist/ort/model.wasm": "x",
    "package/dist/assets/icon.png": "not compressed",
    "package/package.json": "{}",
    "package/LICENSE": "MIT",
}
PATCHES = (
    Patch("page", "index.html", 'src="/', 'src="/viewer/', 2),
    Patch("base", "*.bundle.*.js", 'base = "/";', 'base = "/viewer/";', 1),
)


def make_tarball(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def hash_of(path: Path) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


class Registry:
    """A registry with one package; counts how often it is asked."""

    def __init__(self, folder: Path, files: dict[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.tarball = make_tarball(folder, files or DIST)
        self.asked = 0

    def recipe(self, *, patches: tuple[Patch, ...] = PATCHES, integrity: str | None = None) -> Recipe:
        return Recipe("@x/app", "1.0.0", integrity or hash_of(self.tarball), patches)

    def fetch(self, recipe: Recipe, folder: Path) -> Path:
        self.asked += 1
        target = folder / f"{recipe.version}.tgz"
        target.write_bytes(self.tarball.read_bytes())
        return target


def make(out: Path, registry: Registry, recipe: Recipe | None = None) -> Prepared:
    """Prepare without npm: what it would do is seen on the real package."""

    def minify(_: Recipe, folder: Path) -> None:
        file = folder / "app.bundle.1.js"
        if file.exists():
            file.write_text(file.read_text().rstrip())

    def brotli(_: Recipe, folder: Path) -> None:
        for twin in folder.rglob("*.gz"):
            twin.with_suffix(".br").write_bytes(b"by brotli")

    return prepare(out, recipe=recipe or registry.recipe(), fetch=registry.fetch, minify=minify, brotli=brotli)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def test_prepare_trims_patches_and_compresses(tmp_path: Path, registry: Registry) -> None:
    out = tmp_path / "ohif"
    made = make(out, registry)
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names == {
        "LICENSE",
        "app.bundle.1.js",
        "app.bundle.1.js.br",
        "app.bundle.1.js.gz",
        "assets/icon.png",
        "index.html",
        "index.html.br",
        "index.html.gz",
        "prepared.json",
    }
    assert made.fresh
    assert made.files == 4
    page = (out / "index.html").read_text()
    assert page.count('src="/viewer/') == 2
    assert gzip.decompress((out / "index.html.gz").read_bytes()).decode() == page
    assert (out / "app.bundle.1.js").read_text().startswith('base = "/viewer/";')


def test_prepare_leaves_a_finished_folder_alone(tmp_path: Path, registry: Registry) -> None:
    out = tmp_path / "ohif"
    make(out, registry)
    again = make(out, registry)
    assert not again.fresh
    assert registry.asked == 1


def test_prepare_makes_it_anew_when_the_recipe_changed(tmp_path: Path, registry: Registry) -> None:
    out = tmp_path / "ohif"
    make(out, registry)
    again = make(out, registry, registry.recipe(patches=PATCHES[:1]))
    assert again.fresh
    assert (out / "app.bundle.1.js").read_text().startswith('base = "/";')


def test_prepare_gives_equal_bytes_for_equal_recipes(tmp_path: Path, registry: Registry) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        make(folder, registry)
    first, second = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders)
    assert first == second


def test_prepare_refuses_another_package_than_the_pinned_one(tmp_path: Path, registry: Registry) -> None:
    recipe = registry.recipe(integrity="sha512-AAAA")
    with pytest.raises(DataError, match="is not the pinned package: expected sha512-AAAA, found sha512-"):
        make(tmp_path / "ohif", registry, recipe)
    assert not (tmp_path / "ohif").exists()


def test_a_patch_that_does_not_fit_leaves_the_old_folder(tmp_path: Path, registry: Registry) -> None:
    out = tmp_path / "ohif"
    make(out, registry)
    before = (out / "index.html").read_bytes()
    wrong = (*PATCHES, Patch("fonts", "*.css", "url(/", "url(/viewer/", 5))
    with pytest.raises(DataError, match=r"patch 'fonts' of the viewer: 'url\(/' stands 0 times in \*\.css, not 5"):
        make(out, registry, registry.recipe(patches=wrong))
    assert (out / "index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry", {**DIST, "package/dist/../../../../evil.js": "x"})
    with pytest.raises(tarfile.OutsideDestinationError):
        make(tmp_path / "ohif", registry)
    assert not list(tmp_path.rglob("evil.js"))


def test_links_in_the_package_are_not_unpacked(tmp_path: Path, registry: Registry) -> None:
    with tarfile.open(registry.tarball, "w:gz") as archive:
        link = tarfile.TarInfo("package/dist/secret.js")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    made = make(tmp_path / "ohif", registry, registry.recipe(patches=()))
    assert made.files == 0


@pytest.mark.slow
@pytest.mark.needs("npm")
def test_the_real_package_takes_all_patches(tmp_path: Path) -> None:
    out = tmp_path / "ohif"
    made = prepare(out)
    assert made.size_bytes < 30e6
    assert made.compressed_bytes < 8e6
    assert (out / "index.html").read_text().count(f'src="{viewer.PREFIX}app.bundle.') == 1
    assert not (out / "app-config.js").exists()
    texts = {file.name: file.read_text() for file in out.glob("*.bundle.*.js")}
    assert len([name for name, text in texts.items() if f'.p="{viewer.PREFIX}"' in text]) == 8
    assert not [name for name, text in texts.items() if "__webpack_require__.p" in text], "not minified"
    assert all(file.with_name(file.name + ".br").exists() for file in out.glob("app.bundle.*.js"))
