"""A new study from one that is there: its files, renamed by rule.

No template stands beside the studies: they are the templates, so a new study is as good as they are, tests included.
What is whose follows from the manifest: datatype, forms and the model's image are the study's own, and so is any other
image whose command stores the study's datatype; the rest is shared, and only copied to where it is not.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from overread.errors import OverreadError, SpecError
from overread.plugins.datatype import DataType, read_datatype
from overread.study.manifest import StudyManifest, load_manifest

STUDIES: Final = "xnat-plugins"
_ID: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_PROJECT: Final = re.compile(r"[A-Za-z0-9_-]{1,16}")
_MAX_ID, _MAX_PREFIX, _MAX_CODE, _MAX_PORT = 40, 20, 4, 65535
_SKIPPED: Final = frozenset({"__pycache__", "build", "dist", "node_modules"})
_WEIGHTS_BYTES: Final = 64 * 1024
_NEED_WEIGHTS: Final = "test_shipped_"
"""Files of tests that run the shipped weights begin so: without weights they are left out."""
_PYTEST_INI: Final = """\
[pytest]
testpaths = containers
pythonpath = tests
addopts = --import-mode=importlib --strict-markers
markers =
    slow: takes more than a few seconds
    needs(*programs): external programs
"""


@dataclass(frozen=True)
class Names:
    """What a study is called.

    Parameters
    ----------
    id
        Of the manifest.
    project, ae_title, port
        Where it lives, and where its exams arrive.
    prefix, code
        Of its datatype.
    words
        In prose, such as "Brain tumour".
    """

    id: str
    project: str
    ae_title: str
    port: int
    prefix: str
    code: str
    words: str


@dataclass(frozen=True)
class Template:
    """A study that others are made from.

    Parameters
    ----------
    root
        Folder that holds ``xnat-plugins``, ``containers``, ``schemas``, ``forms``.
    manifest, datatype
        The study.
    names
        What it is called.
    images
        Folders of its own images, the model's first.
    shared
        Folders of images that it uses with others.
    files
        Single files of its own: datatype and forms.
    """

    root: Path
    manifest: StudyManifest
    datatype: DataType
    names: Names
    images: tuple[Path, ...]
    shared: tuple[Path, ...]
    files: tuple[Path, ...]


@dataclass
class Scaffold:
    """A new study before it is written: file (relative) to content."""

    manifest: str
    image: str
    files: dict[str, bytes] = field(default_factory=dict)


def templates_in(root: Path) -> list[str]:
    """Return the studies that a folder holds."""
    return sorted(path.parent.name for path in (root / STUDIES).glob("*/study.yaml"))


def find_root(given: Path | None) -> Path:
    """Return the folder that holds the studies: the one given, or the checkout that this program runs from.

    Raises
    ------
    OverreadError
        There is none: the installed package has no studies in it.
    """
    here = Path(__file__).resolve().parents[3]
    for root in (given,) if given else (here, Path.cwd()):
        if templates_in(root):
            return root
    if given:
        raise OverreadError(f"{given} holds no studies ({STUDIES}/*/study.yaml); give a checkout of Overread")
    raise OverreadError(
        "the studies that a new one is made from are no part of the installed package; "
        "give a checkout of Overread with --templates DIR"
    )


def read_template(root: Path, name: str) -> Template:
    """Read a study with all that it refers to.

    Raises
    ------
    OverreadError
        There is no such study.
    SpecError
        Its files are wrong.
    """
    if name not in templates_in(root):
        raise OverreadError(f"{root} holds no study {name}; there are: {', '.join(templates_in(root))}")
    path = root / STUDIES / name / "study.yaml"
    manifest = load_manifest(path.read_text("utf-8"), source=str(path))
    result = (path.parent / manifest.result).resolve()
    datatype = read_datatype(result)
    if not isinstance(datatype, DataType):
        raise datatype[0].error(others=len(datatype) - 1)
    reading = manifest.reading
    forms = (manifest.form, manifest.anonymisation, reading.form if reading else None)
    gate = reading.gate.form if reading and reading.gate else None
    files = [result, *((path.parent / one).resolve() for one in (*forms, gate) if one)]
    used = [manifest.command, *([manifest.edit.recompute] if manifest.edit else [])]
    used += [manifest.report.command] if manifest.report else []
    folders = list(dict.fromkeys((path.parent / one).resolve().parent for one in used))
    own = [one for one in folders if one == folders[0] or f'"{datatype.xsi_type}"' in _text(one / "command.json")]
    companions = [one for folder in folders for one in _companions(folder)]
    shared = [one for one in dict.fromkeys([*folders, *companions]) if one not in own]
    names = Names(
        id=manifest.id,
        project=manifest.project,
        ae_title=manifest.receiver.ae_title,
        port=manifest.receiver.port,
        prefix=datatype.spec.prefix,
        code=datatype.spec.code,
        words=_words(datatype.spec.singular, manifest.id),
    )
    return Template(root.resolve(), manifest, datatype, names, tuple(own), tuple(shared), tuple(dict.fromkeys(files)))


def new_names(
    name: str, *, others: Iterable[Names], project: str = "", ae_title: str = "", port: int | None = None
) -> Names:
    """Return what a new study is called; nothing of it is another study's.

    Raises
    ------
    SpecError
        A name can't be one, or is taken.
    """
    others = list(others)
    if not _ID.fullmatch(name) or len(name) > _MAX_ID:
        raise SpecError(f"{name}: write lower-case words with hyphens, at most {_MAX_ID} characters")
    words = name.split("-")
    initials = "".join(word[0] for word in words).upper()
    letters = initials if len(words) > 1 else name[:3].upper()
    wanted = project or f"{letters}S"
    found = Names(
        id=name,
        project=_free(wanted, {one.project for one in others}, asked=bool(project)),
        ae_title=_free(ae_title or wanted, {one.ae_title for one in others}, asked=bool(ae_title)),
        port=port or min(max((one.port for one in others), default=8103) + 1, _MAX_PORT),
        prefix=_free("".join(words)[:_MAX_PREFIX], {one.prefix for one in others}, asked=False),
        code=_free(letters[:_MAX_CODE], {one.code for one in others}, asked=False),
        words=" ".join(words).capitalize(),
    )
    taken = {one.id for one in others} | {one.prefix for one in others}
    if name in taken or found.prefix in taken:
        raise SpecError(f"there is a study {name} already; take another name")
    for what in (found.project, found.ae_title):
        if not _PROJECT.fullmatch(what):
            raise SpecError(f"'{what}' can't be project and AE title; write up to 16 letters, digits, - and _")
    return found


def scaffold(template: Template, names: Names, target: Path, *, weights: bool) -> Scaffold:
    """Return the files of a new study for a folder.

    Parameters
    ----------
    template
        The study that it is made from.
    names
        What the new one is called.
    target
        Folder to write to: a checkout, or an empty one, which then gets the shared images and the tests' helpers, too.
    weights
        Copy the network's weights; without them its tests of the weights are left out.

    Raises
    ------
    SpecError
        Something of it is there already.
    """
    rename = _Renamer(template, names)
    old = template.names
    made = Scaffold(rename.path(f"{STUDIES}/{old.id}/study.yaml"), rename.path(template.images[0].name))
    own = [template.root / STUDIES / old.id, *template.images]
    for path in (*template.files, *(file for folder in own for file in _files(folder))):
        if weights or not (_is_weights(path) or path.name.startswith(_NEED_WEIGHTS)):
            _add(made, template, path, rename)
    manifest = made.files[made.manifest].decode()
    manifest = manifest.replace(rename.text(template.manifest.title), names.words)
    made.files[made.manifest] = re.sub(rf"\bport: {old.port}\b", f"port: {names.port}", manifest).encode()
    if not weights:
        note = b"The weights are not here: train them, put them into this folder, and their hash into card.yaml.\n"
        made.files[rename.path(f"{_relative(template, template.images[0])}/model/WEIGHTS-MISSING.txt")] = note
    there = [name for name in made.files if (target / name).exists()]
    if there:
        raise SpecError(f"{target / there[0]} is there already{_more(there)}; take another name or folder")
    for path in _shared_files(template):
        relative = _relative(template, path)
        if relative not in made.files and not (target / relative).exists():
            _add(made, template, path, rename)
    if not (target / "pyproject.toml").exists() and not (target / "pytest.ini").exists():
        made.files["pytest.ini"] = _PYTEST_INI.encode()
    return made


def write(made: Scaffold, target: Path) -> None:
    """Write the files; none of them is there."""
    for name, content in made.files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)


class _Renamer:
    """Puts the new names in place of the old ones, the longest first."""

    def __init__(self, template: Template, names: Names) -> None:
        old = template.names
        pairs: dict[str, str] = {}
        for index, folder in enumerate(template.images):
            pairs[folder.name] = _image_name(folder.name, old.id, names.id, model=index == 0)
        pairs |= {
            old.id: names.id,
            old.id.replace("-", "_"): names.id.replace("-", "_"),
            old.words: names.words,
            old.words.lower(): names.words.lower(),
        }
        patterns = {re.escape(text): new for text, new in pairs.items()}
        patterns |= dict.fromkeys(_prefix_patterns(old), names.prefix)
        for text, new in ((old.project, names.project), (old.ae_title, names.ae_title), (old.code, names.code)):
            patterns.setdefault(rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])", new)
        ordered = sorted(patterns, key=lambda pattern: ("(?" not in pattern, len(pattern)), reverse=True)
        self._new = [patterns[pattern] for pattern in ordered]
        self._any = re.compile("|".join(f"({pattern})" for pattern in ordered))

    def text(self, text: str, *, keep: frozenset[str] = frozenset()) -> str:
        """Return a text with the new names; those to keep are words of others that happen to be spelt alike."""
        return self._any.sub(
            lambda found: found[0] if found[0] in keep else self._new[(found.lastindex or 1) - 1], text
        )

    def path(self, relative: str) -> str:
        """Return a path with the new names."""
        return self.text(relative)


def _words(singular: str, study: str) -> str:
    """Return what a study is called in prose; a single word, such as an organ, would be found everywhere."""
    words = re.sub(r"\s+results?$", "", singular)
    return words if " " in words else study.replace("-", " ").capitalize()


def _prefix_patterns(old: Names) -> list[str]:
    """Return where a datatype's prefix is meant; one that is a word of its own stands elsewhere, too."""
    prefix = re.escape(old.prefix)
    if old.prefix == old.id.replace("-", ""):
        return [prefix]
    before = (r"(?<=/xnat/)", r"(?<=prefix: )", r'(?<=prefix=")')
    return [*(f"{place}{prefix}(?![A-Za-z0-9])" for place in before), rf"(?<![A-Za-z0-9]){prefix}(?=[:_][a-z]\w*Data)"]


def _image_name(image: str, old_id: str, new_id: str, *, model: bool) -> str:
    if image.startswith(old_id):
        return new_id + image.removeprefix(old_id)
    return f"{new_id}-{image.rpartition('-')[2]}" if model else f"{new_id}-{image}"


def _free(wanted: str, taken: set[str], *, asked: bool) -> str:
    if wanted not in taken:
        return wanted
    if asked:
        raise SpecError(f"{wanted} is taken by another study; take another")
    return next(f"{wanted}{n}" for n in range(2, 1000) if f"{wanted}{n}" not in taken)


def _add(made: Scaffold, template: Template, path: Path, rename: _Renamer) -> None:
    content = path.read_bytes()
    with contextlib.suppress(UnicodeDecodeError):  # weights and pictures stay as they are
        keep = frozenset(_imported_from_overread(path)) if path.suffix == ".py" else frozenset[str]()
        content = rename.text(content.decode(), keep=keep).encode()
    made.files[rename.path(_relative(template, path))] = content


def _relative(template: Template, path: Path) -> str:
    try:
        return path.resolve().relative_to(template.root).as_posix()
    except ValueError:
        raise SpecError(f"{template.names.id} uses {path}, which lies outside {template.root}") from None


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _SKIPPED or path.name.startswith(".") or path.suffix == ".pyc":
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _is_weights(path: Path) -> bool:
    return path.parent.name == "model" and path.stat().st_size > _WEIGHTS_BYTES and not _is_text(path)


def _is_text(path: Path) -> bool:
    return b"\0" not in path.read_bytes()


def _shared_files(template: Template) -> Iterator[Path]:
    """Give what the study needs of others: images, included datatypes, and the helpers of the tests."""
    for folder in template.shared:
        yield from _files(folder)
    for include in template.datatype.spec.include:
        yield (Path(template.datatype.source).parent / include).resolve()
    tests = template.root / "tests"
    waiting = [path for folder in (*template.images, *template.shared) for path in folder.rglob("*.py")]
    seen: set[Path] = set()
    while waiting:
        for name in _imports(waiting.pop()):
            path = tests.joinpath(*name.split(".")).with_suffix(".py")
            if path.is_file() and path not in seen:
                seen.add(path)
                waiting.append(path)
    packages = {path.parent / "__init__.py" for path in seen if (path.parent / "__init__.py").is_file()}
    yield from sorted(seen | packages)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _imported_from_overread(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "overread":
            yield from (alias.name for alias in node.names)


def _companions(folder: Path) -> list[Path]:
    """Return the folders of the wrap-up images that a command names."""
    document: Mapping[str, object] = json.loads(_text(folder / "command.json"))
    names = set(re.findall(r'"via-wrapup-command": "[^":]*:[^":]*:([^"]+)"', json.dumps(document)))
    return [folder.parent / name for name in sorted(names) if (folder.parent / name / "command.json").is_file()]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise SpecError(f"can't be read ({error.strerror}); mend the study first", source=str(path)) from None


def _more(names: list[str]) -> str:
    return f", and {len(names) - 1} more" if len(names) > 1 else ""
