"""Rules about the repository itself: what no single module can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.requirements import REPOSITORY

pytestmark = pytest.mark.needs("git")

MAX_MODULE_LINES = 500
MAX_FILE_BYTES = 2**20
MAX_WEIGHTS_BYTES = 8 * 10**6
CODE_SUFFIXES = frozenset({".py", ".ts", ".tsx", ".java", ".css", ".sh"})
PROSE_SUFFIXES = frozenset({".md"})

# Each name is spelt in two parts, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(
    "|".join(["/wo" + r"rk/\w", "/fa" + r"rm/\w", r"(?<![\w}])/ro" + r"ot/\w", "/ho" + r"me/(?!overread\b)\w"])
)
PACKAGE_HOSTS = re.compile(
    "|".join(
        [
            "py" + r"pi\.org",
            "python" + r"hosted\.org",
            "registry\\." + r"npmjs",
            "deb\\." + r"debian\.org",
            "download\\." + r"pytorch\.org",
            "repo1?\\." + r"maven",
            "un" + r"pkg\.com",
            "js" + r"delivr\.net",
        ]
    )
)
UNFINISHED = re.compile(
    "|".join([r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"\bXX" + r"X\b", "raise NotImplemented" + "Error"])
)
MARKDOWN_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCED_CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def tracked_files() -> list[Path]:
    """List the files that a commit would hold: tracked and new ones, less what is ignored or deleted."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [path for name in listed.split("\0") if name and (path := REPOSITORY / name).is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every tracked text file with what it holds; files that are not UTF-8 are no texts."""
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            yield path, text


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    """List ``file:line: text`` of every line that the pattern finds."""
    return [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:120]}"
        for path, text in texts()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_path_of_a_machine_is_written_down() -> None:
    assert lines_matching(MACHINE_PATHS) == []


def test_no_package_host_is_written_down() -> None:
    assert lines_matching(PACKAGE_HOSTS) == [], "lock files can be written without hosts; name packages, not hosts"


def test_nothing_is_marked_as_unfinished() -> None:
    assert lines_matching(UNFINISHED) == []


def test_files_are_small() -> None:
    def limit(path: Path) -> int:
        is_model = re.fullmatch(r"containers/[^/]+/model/.+", path.relative_to(REPOSITORY).as_posix())
        return MAX_WEIGHTS_BYTES if is_model else MAX_FILE_BYTES

    large = [
        f"{path.relative_to(REPOSITORY)}: {path.stat().st_size} bytes"
        for path in tracked_files()
        if path.stat().st_size > limit(path)
    ]
    assert large == []


def test_modules_are_short() -> None:
    lengths = {
        path.relative_to(REPOSITORY).as_posix(): text.count("\n")
        for path, text in texts()
        if path.suffix in CODE_SUFFIXES
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_MODULE_LINES} == {}, "split by noun"


def broken_links(path: Path, text: str) -> list[str]:
    """List the relative links of a Markdown file that lead nowhere."""
    broken = []
    for match in MARKDOWN_LINK.finditer(FENCED_CODE.sub("", text)):
        target = match.group(1) or match.group(2)
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        if not linked.exists() or (
            anchor and linked.suffix == ".md" and anchor not in heading_anchors(linked.read_text())
        ):
            broken.append(f"{path.relative_to(REPOSITORY)}: {target}")
    return broken


def heading_anchors(text: str) -> set[str]:
    """List the anchors that a Markdown text's headings get: lower case, spaces to hyphens, no punctuation."""
    headings = re.findall(r"^#+\s+(.*?)\s*#*$", FENCED_CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_documents_lead_somewhere() -> None:
    assert [link for path, text in texts() if path.suffix in PROSE_SUFFIXES for link in broken_links(path, text)] == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    readme = REPOSITORY / "README.md"
    assert broken_links(readme, "[here](docs/no-such-page.md) and [there](LICENSE)") == [
        "README.md: docs/no-such-page.md"
    ]
    assert broken_links(readme, "# One\n[up](#no-such-heading)") == ["README.md: #no-such-heading"]


def test_imports_point_downwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert lint_imports(config_filename="pyproject.toml", cache_dir=None) == EXIT_STATUS_SUCCESS, (
        "run `make lint` for the chain of imports"
    )


def pyproject() -> Mapping[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def declared_distributions() -> set[str]:
    """List what pyproject.toml names, all extras but ``dev`` included."""
    project = pyproject()["project"]
    groups = [
        project["dependencies"],
        *(names for extra, names in project["optional-dependencies"].items() if extra != "dev"),
    ]
    return {canonicalize_name(Requirement(line).name) for group in groups for line in group}


def imported_names(path: Path) -> set[str]:
    """List the top-level packages that a module imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_every_import_of_the_package_is_a_declared_dependency() -> None:
    distributions = packages_distributions()
    declared = declared_distributions()
    declared |= {"pydantic-core"}  # a part of pydantic, which names its exact version
    declared |= {"nilearn"}  # its files are read, its code is not needed
    undeclared = {
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in tracked_files()
        if path.suffix == ".py" and path.is_relative_to(REPOSITORY / "pytools")
        for name in imported_names(path) - sys.stdlib_module_names - {"overread", "_typeshed"}
        if not declared & {canonicalize_name(found) for found in distributions.get(name, [])}
    }
    assert undeclared == set()


def pins(path: Path) -> dict[str, str]:
    """Read the exact versions of a requirements file: canonical name to version."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement in (Requirement(line) for line in lines if line and not line.startswith("-"))
    }


def test_every_declared_dependency_is_pinned() -> None:
    project = pyproject()["project"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        pyproject()["build-system"]["requires"],
    ]
    names = {canonicalize_name(Requirement(line).name) for group in groups for line in group} - {
        "overread",
        "_typeshed",
    }
    assert names - pins(REPOSITORY / "constraints.txt").keys() == set()


def test_images_are_tested_with_the_versions_they_ship() -> None:
    pinned = pins(REPOSITORY / "constraints.txt")
    for path in tracked_files():
        if PurePosixPath(path.relative_to(REPOSITORY)).match("containers/*/requirements.txt"):
            differing = {name: version for name, version in pins(path).items() if pinned.get(name) != version}
            assert differing == {}, f"{path.relative_to(REPOSITORY)} and constraints.txt disagree"


def test_the_command_line_starts_light() -> None:
    heavy = {"numpy", "torch", "monai", "sqlalchemy", "pydicom", "starlette"}
    probe = f"import sys, overread.cli.main; print(*sorted({heavy!r} & set(sys.modules)))"
    started = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert started.stdout.split() == []
