"""Extract XNAT's route table from clones of its sources: which verbs and paths there are, which parameters they read.

    python tests/contract/routes/extract.py --xnat CLONE.git --container-service CLONE.git

writes ``pytools/overread/hub/areas/missing/xnat_routes.tsv`` anew: first the routes below ``/data`` (Restlet: what
``XNATApplication`` attaches, and classes annotated ``@XnatRestlet``), then those below ``/xapi`` (Spring: methods
annotated ``@XapiRequestMapping``), then ``by_hand.tsv`` beside this file, for what no script can read. Facts are
taken, no code.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_TABLE = _HERE.parents[2] / "pytools/overread/hub/areas/missing/xnat_routes.tsv"
_VERBS = ("GET", "PUT", "POST", "DELETE")
# Restlet's own defaults (org.restlet.resource.Resource, 1.1): a resource is read-only unless it says otherwise.
_ALLOWED = {"GET": True, "PUT": False, "POST": False, "DELETE": False}
_CLASS = re.compile(r"\bclass\s+(\w+)(?:<[^{]*?>)?(?:\s+extends\s+(\w+))?")
_ALLOW = re.compile(r"boolean\s+allow(Get|Put|Post|Delete)\s*\(\s*\)\s*\{\s*return\s+(.*?);", re.DOTALL)
_MODIFIABLE = re.compile(r"setModifiable\(\s*true\s*\)|boolean\s+isModifiable\s*\(\s*\)\s*\{\s*return\s+true")
_HANDLERS = {
    "PUT": r"void\s+(handlePut|storeRepresentation)\b",
    "POST": r"void\s+(handlePost|acceptRepresentation)\b",
    "DELETE": r"void\s+(handleDelete|removeRepresentations)\b",
}
_QUERY = re.compile(
    r"(?:getQueryVariables?|isQueryVariable\w*|hasQueryVariable|containsQueryVariable)\(\s*\"([\w:/.-]+)\""
)
_NAMED_QUERY = re.compile(
    r"(?:getQueryVariables?|isQueryVariable\w*|hasQueryVariable|containsQueryVariable)\(\s*(?:\w+\.)?([A-Z_0-9]+)\b"
)
# what a resource does with parameters that it is handed one by one: handleParam(key, value)
_HANDED = re.compile(r"\bkey\.equals(?:IgnoreCase)?\(\s*(?:\w+\.)?([\w\"-]+)\s*\)|\bcase\s+(?:\w+\.)?([\w\"-]+)\s*:")
# parameters that name fields of an item, by their paths or short names
_TAKES_FIELDS = re.compile(r"XMLPathShortcuts|getQueryVariableMap\(|getQueryVariableKeys\(|\bfieldMapping\b")
FIELDS, ANY = "<fields>", "<any>"
_COMMON = "SecureResource"  # what it reads, every resource reads: see tests/helpers/own_requests.py
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_REQUEST_PARAM = re.compile(
    r"@RequestParam(?:\s*\(([^)]*)\))?\s*(?:final\s+)?(?:@\w+(?:\([^)]*\))?\s*)*(?:final\s+)?([\w.]+(?:<[^>]*>)?(?:\[\])?)\s+(\w+)"
)
_FRAMEWORK = {"web/src/main/java/org/nrg/xapi/rest/JsonYamlRestValidator.java"}


@dataclass(frozen=True, order=True)
class Fact:
    """One route: a row of the table."""

    path: str
    verb: str
    query: str
    source: str
    file: str
    sure: str


class Clone:
    """A git clone that is read without a work tree."""

    def __init__(self, folder: Path) -> None:
        self._git = ["git", f"--git-dir={folder}"]

    def commit(self) -> str:
        """Return the commit that is read."""
        return self._run("rev-parse", "HEAD").strip()

    def naming(self, pattern: str) -> list[str]:
        """Return the paths of the Java files of which a line matches `pattern`."""
        found = self._run("grep", "-lE", pattern, "HEAD", "--", "*.java")
        return [line.removeprefix("HEAD:") for line in found.splitlines() if "/src/test/" not in line]

    @cache  # noqa: B019 - there are two clones, and they live as long as the script
    def classes(self) -> dict[str, str]:
        """Return the paths of all Java files by class name."""
        names = self._run("ls-tree", "-r", "--name-only", "HEAD").splitlines()
        return {Path(name).stem: name for name in names if name.endswith(".java") and "/src/test/" not in name}

    @cache  # noqa: B019
    def text(self, path: str) -> str:
        """Return a file's text without its comments."""
        return without_comments(self._run("show", f"HEAD:{path}"))

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._git, *arguments], check=True, capture_output=True, text=True).stdout


def without_comments(text: str) -> str:
    """Return Java text without comments; ``//`` and ``/*`` inside strings stay."""
    return re.sub(
        r'"(?:[^"\\]|\\.)*"|/\*.*?\*/|//[^\n]*',
        lambda found: found.group() if found.group().startswith('"') else " ",
        text,
        flags=re.DOTALL,
    )


def restlet_routes(clone: Clone, source: str) -> Iterator[Fact]:
    """Yield what is served below ``/data``."""
    classes = clone.classes()
    application = clone.text(classes["XNATApplication"])
    constants = _constants(application)
    for path, name, prefix in _attached(application, constants):
        if not path:  # routes of a mock service, which its configuration names
            continue
        yield from _facts_of_restlet(clone, classes, name, path, source, prefix=prefix)
        if name == "FileList":  # Restlet matches beginnings: what follows is the file's path
            yield from _facts_of_restlet(clone, classes, name, f"{path}/{{path}}", source, prefix=True)
    for file in clone.naming(r"@XnatRestlet2?\("):
        text = clone.text(file)
        annotation = _argument(text, re.search(r"@XnatRestlet2?\(", text))
        for path in _STRING.findall(annotation):
            yield from _facts_of_restlet(clone, classes, Path(file).stem, path, source, prefix=False)


def _attached(application: str, constants: dict[str, str]) -> Iterator[tuple[str, str, bool]]:
    for found in re.finditer(r"\battach(?:Archive)?URI\(router,\s*([^;]+?),\s*(\w+)\.class(,[^)]*)?\)", application):
        yield _value(found.group(1), constants), found.group(2), "STARTS_WITH" in (found.group(3) or "")
    for found in re.finditer(r"\battachURIs\(router,\s*(\w+)\.class,([^;]+)\)", application):
        for path in _STRING.findall(found.group(2)):
            yield path, found.group(1), False


def _facts_of_restlet(
    clone: Clone, classes: dict[str, str], name: str, path: str, source: str, *, prefix: bool
) -> Iterator[Fact]:
    allowed, query = dict(_ALLOWED), set[str]()
    named = _all_constants(clone)
    for one in reversed(_lineage(clone, classes, name)):
        text = clone.text(classes[one])
        if _MODIFIABLE.search(text):
            allowed |= {verb: True for verb, handlers in _HANDLERS.items() if re.search(handlers, text)}
        for verb, value in _ALLOW.findall(text):
            allowed[verb.upper()] = value.strip() != "false"
        if one != _COMMON:
            query |= _queries(text, {**named, **_constants(text)})
    whole = "/data" + _renamed(path)
    if prefix:
        whole = re.sub(r"\{(\w+)\}$", r"{\1:path}", whole)
    for verb in _VERBS:
        if allowed[verb]:
            yield Fact(whole, verb, " ".join(sorted(query)), source, classes[name], "read")


def _queries(text: str, named: dict[str, str]) -> set[str]:
    """Return the parameters that a class reads, whether it names them by text or by a constant."""
    found = set(_QUERY.findall(text)) | {named[name] for name in _NAMED_QUERY.findall(text) if named.get(name)}
    if "void handleParam" in text:
        body = text[text.index("void handleParam") :]
        for groups in _HANDED.findall(body):
            key = next(group for group in groups if group)
            found.add(key.strip('"') if key.startswith('"') else named.get(key, ""))
    if _TAKES_FIELDS.search(text):
        found.add(FIELDS)
    return {name for name in found if re.fullmatch(r"[\w:/.<>-]+", name)}


@cache
def _all_constants(clone: Clone) -> dict[str, str]:
    """Return the constants of the classes that others take their parameters' names from."""
    classes = clone.classes()
    holders = ("XNATRestConstants", "EventUtils", "PrearcUtils", "RequestUtil", "ImporterHandlerA", "URIManager")
    return {
        key: value
        for name in holders
        if name in classes
        for key, value in _constants(clone.text(classes[name])).items()
    }


def _lineage(clone: Clone, classes: dict[str, str], name: str) -> list[str]:
    """Return a class and those it derives from, as far as this clone has them."""
    found = [name]
    while found[-1] in classes:
        declared = dict(_CLASS.findall(clone.text(classes[found[-1]])))
        parent = declared.get(found[-1], "")
        if parent not in classes or parent in found:
            break
        found.append(parent)
    return found


def xapi_routes(clone: Clone, source: str) -> Iterator[Fact]:
    """Yield what is served below ``/xapi``."""
    for file in clone.naming(r"^\s+@XapiRequestMapping"):
        if file in _FRAMEWORK:
            continue
        text = clone.text(file)
        constants = _constants(text)
        head = text[: text.index("class ")]
        base_paths = _paths(_argument(head, re.search(r"@RequestMapping\s*\(", head)), constants) or [""]
        starts = list(re.finditer(r"@XapiRequestMapping\s*\(", text))
        for start, after in zip(starts, [*starts[1:], None], strict=True):
            annotation = _argument(text, start)
            body = text[start.end() + len(annotation) : after.start() if after else len(text)]
            query = sorted({*_demanded(annotation), *_read(body)})
            for base in base_paths:
                for path in _paths(annotation, constants) or [""]:
                    whole = "/xapi" + _renamed(_joined(base, path))
                    for verb in _verbs(annotation):
                        yield Fact(whole, verb, " ".join(query), source, file, "read")


def _argument(text: str, start: re.Match[str] | None) -> str:
    """Return what stands between the parenthesis that `start` ends with and its partner."""
    if start is None:
        return ""
    depth, at, quoted = 1, start.end(), False
    while depth:
        character = text[at]
        if character == '"' and text[at - 1] != "\\":
            quoted = not quoted
        elif not quoted:
            depth += {"(": 1, ")": -1}.get(character, 0)
        at += 1
    return text[start.end() : at - 1]


def _paths(annotation: str, constants: dict[str, str]) -> list[str]:
    """Return the paths that an annotation names: its ``value`` or ``path``, or its only argument."""
    found = re.search(r"\b(?:value|path)\s*=\s*(\{.*?\"\s*\}|[^,{]*\"[^,]*)", annotation, re.DOTALL)
    if found is not None:
        given = found.group(1)
    elif re.match(r'\s*[{"]', annotation):
        given = annotation
    else:
        return []
    given = given.strip()
    inner = given[1:-1] if given.startswith("{") else given
    return [_value(part, constants) for part in _split(inner) if part.strip()]


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside of strings."""
    return re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+', text)


def _verbs(annotation: str) -> list[str]:
    found = re.search(r"\bmethod\s*=\s*(\{[^}]*\}|[\w.]+)", annotation)
    named = [verb for verb in _VERBS if found is not None and re.search(rf"\b{verb}\b", found.group(1))]
    return named or ["GET"]


def _demanded(annotation: str) -> list[str]:
    found = re.search(r"\bparams\s*=\s*(\{[^}]*\}|\"[^\"]*\")", annotation)
    return [name for name in _STRING.findall(found.group(1)) if not name.startswith("!")] if found else []


def _read(body: str) -> list[str]:
    names = []
    for arguments, kind, variable in _REQUEST_PARAM.findall(body):
        if kind == "MultipartFile":
            continue
        if kind.startswith("Map"):  # whatever the query says
            names.append(ANY)
            continue
        named = re.search(r'(?:\b(?:value|name)\s*=\s*|^\s*)"([^"]+)"', arguments)
        names.append(named.group(1) if named else variable)
    return names


def _constants(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in re.findall(r"\bString\s+(\w+)\s*=\s*([^;]+);", text):
        if '"' in value:
            found[name] = _value(value, found)
    return found


def _value(expression: str, constants: dict[str, str]) -> str:
    """Return a Java expression of strings, constants and ``+``."""
    parts = re.findall(r'"((?:[^"\\]|\\.)*)"|([A-Za-z_]\w*)', expression)
    return "".join(text if not name else constants.get(name, "") for text, name in parts)


def _joined(base: str, path: str) -> str:
    return "/" + "/".join(part.strip("/") for part in (base, path) if part.strip("/"))


_NAMES = {
    "PROJECT_ID": "project", "PROJECT": "project", "projectId": "project", "SUBJECT_ID": "subject",
    "subjectId": "subject", "ASSESSED_ID": "session", "SCAN_ID": "scan", "RECON_ID": "reconstruction",
    "RESOURCE_ID": "resource",
}  # fmt: skip


def _renamed(path: str) -> str:
    """Return a path with one spelling of its parameters' names, and without their patterns."""
    path = re.sub(r"\{(\w+)(?::[^{}]*(?:\{[^{}]*\}[^{}]*)*)?\}", lambda found: "{" + _name(found.group(1)) + "}", path)
    return path.rstrip("/") or "/"


def _name(given: str) -> str:
    return _NAMES.get(given) or (given.lower() if given.isupper() else given)


def by_hand() -> Iterator[Fact]:
    """Yield the rows that people wrote."""
    with (_HERE / "by_hand.tsv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader((line for line in stream if not line.startswith("#")), delimiter="\t"):
            for verb in row["verb"].split():
                yield Fact(row["path"], verb, row["query"], row["source"], row["file"], row["sure"])


def write(facts: Iterable[Fact], sources: dict[str, str]) -> None:
    """Write the table, one row for each verb and path; the first source of a row counts."""
    rows: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        known = rows.setdefault((fact.path, fact.verb), fact)
        if known is not fact:
            query = " ".join(sorted({*known.query.split(), *fact.query.split()}))
            rows[fact.path, fact.verb] = Fact(known.path, known.verb, query, known.source, known.file, known.sure)
    with _TABLE.open("w", encoding="utf-8", newline="") as stream:
        stream.write(
            "# Routes of XNAT and its plugins, written by tests/contract/routes/extract.py: change by_hand.tsv there.\n"
        )
        stream.writelines(f"# {name}: {what}\n" for name, what in sources.items())
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE)
        writer.writerow([field.name for field in fields(Fact)])
        writer.writerows(astuple(row) for row in sorted(rows.values()))


def main() -> None:
    """Read the clones that the command line names, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xnat", type=Path, required=True, help="git directory of NrgXnat/xnat")
    parser.add_argument("--container-service", type=Path, required=True, help="the same of NrgXnat/container-service")
    given = parser.parse_args()
    xnat, containers = Clone(given.xnat), Clone(given.container_service)
    sources = {
        "xnat": f"NrgXnat/xnat {xnat.commit()[:12]}, the development line that became 1.9 (its parts still say 1.8.11)",
        "container-service": f"NrgXnat/container-service {containers.commit()[:12]}, release 3.7.3, for XNAT 1.9.3",
        "ohif": "xnatworks/ohif-viewer-xnat-plugin, read by hand (its README speaks of 3.7.2)",
        "notes": "notes on observed behaviour; no source at hand",
        "sure": "read = by the script in the source; hand = by a person in the source; noted = from notes alone",
    }
    facts = [*restlet_routes(xnat, "xnat"), *xapi_routes(xnat, "xnat"), *xapi_routes(containers, "container-service")]
    write([*facts, *by_hand()], sources)


if __name__ == "__main__":
    main()
