"""What images are built from: ``docs/reference/operators.md``, computed from signatures and docstrings.

python tests/helpers/operators_page.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = _REPOSITORY / "pytools/overread/operators"
DOCUMENT = _REPOSITORY / "docs/reference/operators.md"
_HEAD = """# Operators: what images are built from

Computed by `python tests/helpers/operators_page.py` from signatures and docstrings in `pytools/overread/operators`; a
test fails when this page is not what that writes. How an image is made of them:
[an image of your own](../how-to/new-image.md). Arrays are (slices, rows, columns), coordinates LPS in mm; it all works
offline, on files, and raises errors of `overread.errors` in one line.
"""
Public = ast.FunctionDef | ast.ClassDef


def document() -> str:
    """Return the page as it must be now."""
    modules = [(path.stem, ast.parse(path.read_text("utf-8"))) for path in sorted(SOURCES.glob("[a-z]*.py"))]
    lines = [_HEAD, "| module | what it does |", "|---|---|"]
    for name, tree in modules:
        first = (ast.get_docstring(tree) or "").partition("\n")[0]
        lines.append(f"| [{name}](#{name}) | {first} |")
    for name, tree in modules:
        lines += ["", f"## {name}", "", ast.get_docstring(tree) or ""]
        for node in _public(tree.body):
            lines += ["", f"### `{_signature(node)}`", "", *_said(node)]
            if isinstance(node, ast.ClassDef):
                for member in _public(node.body):
                    lines += ["", f"`.{_signature(member)}`", "", *_said(member)]
    return "\n".join(lines) + "\n"


def undocumented() -> list[str]:
    """Return what is public and says nothing of itself."""
    found = []
    for path in sorted(SOURCES.glob("[a-z]*.py")):
        for node in _public(ast.parse(path.read_text("utf-8")).body):
            members = list(_public(node.body)) if isinstance(node, ast.ClassDef) else []
            found += [f"{path.stem}.{one.name}" for one in (node, *members) if not ast.get_docstring(one)]
    return found


def _public(body: list[ast.stmt]) -> Iterator[Public]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node


def _signature(node: Public) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}"
    if any(isinstance(one, ast.Name) and one.id == "property" for one in node.decorator_list):
        return f"{node.name}: {ast.unparse(node.returns) if node.returns else ''}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = ast.unparse(node.args)
    for own in ("self, ", "self", "cls, ", "cls"):
        arguments = arguments.removeprefix(own) if arguments == own or own.endswith(" ") else arguments
    return f"{node.name}({arguments}){returns}"


def _said(node: Public) -> list[str]:
    """Return a docstring as Markdown: the entries of numpydoc's sections become lists."""
    said: list[str] = []
    section = ""
    lines = [*(ast.get_docstring(node) or "").replace("``", "`").split("\n"), ""]
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line and below and set(below) == {"-"}:
            section = line
            said += [f"**{line}**", ""]
        elif line and set(line) == {"-"}:
            continue
        elif section and line.startswith(" "):
            said[-1] += f" {line.strip()}"
        elif section and line:
            said.append(f"- `{line}`:")
        else:
            said.append(line)
    return said[:-1]


def main() -> None:
    """Write the page."""
    DOCUMENT.write_text(document(), "utf-8")


if __name__ == "__main__":
    main()
