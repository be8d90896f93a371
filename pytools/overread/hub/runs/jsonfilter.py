"""The conditions of matchers and payload filters: the inside of a JSONPath filter.

Such as ``@.xsiType == 'xnat:mrSessionData' && 'DICOM' in @.scans[*].resources[*].label``.

Understood are paths (``@.a-b``, ``@['a']``, ``[0]``, ``[*]``), texts in either quotes, numbers, ``true``, ``false``,
``null``, lists, ``==  !=  <  <=  >  >=``, ``in``, ``nin``, ``contains``, ``anyof``, ``noneof``, ``subsetof``,
``empty``, ``size``, ``=~ /expression/i`` (the whole text must match), ``&&``, ``||``, ``!`` and parentheses. A path
alone asks whether there is such a key. As in the Java library that XNAT uses, a missing key equals nothing.

Nothing is evaluated as code; length, depth and regular expressions are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from overread.hub.runs.jsonvalues import MISSING, OPERATORS, Regex, follow
from overread.study import patterns

MAX_LENGTH = 4000
MAX_DEPTH = 40

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<path>[@$](?:\.(?:[A-Za-z_][\w-]*|\*)|\[\s*(?:\*|\d{1,6}|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")\s*\])*)
    | (?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")
    | (?P<number>-?\d{1,18}(?:\.\d{1,18})?)
    | (?P<regex>/(?:\\.|[^/\\])+/[a-z]*)
    | (?P<sign>=~|==|!=|<=|>=|<|>|&&|\|\||!|\(|\)|\[|\]|,)
    | (?P<word>[A-Za-z]+)
    )""",
    re.VERBOSE,
)
_STEP = re.compile(r"\.([A-Za-z_][\w-]*|\*)|\[\s*(\*|\d+|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")\s*\]")
_CONSTANTS = {"true": True, "false": False, "null": None}

_Value = Callable[[Any], Any]
_Test = Callable[[Any], bool]


class FilterError(ValueError):
    """A condition that can't be read; the message says why and where."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


class Filter:
    """A condition, ready to be asked.

    Parameters
    ----------
    text
        The condition.

    Raises
    ------
    FilterError
        It can't be read.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._test = _Parser(text).parse()

    def matches(self, payload: Mapping[str, Any]) -> bool:
        """Whether `payload` fulfils the condition."""
        return self._test(payload)


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise FilterError(f"The condition has {len(text)} characters, at most {MAX_LENGTH} are read.")
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def parse(self) -> _Test:
        test = self._either()
        if self._next < len(self._tokens):
            raise self._fault("expected the end, && or ||")
        return test

    def _either(self) -> _Test:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FilterError(f"The condition is nested more than {MAX_DEPTH} deep.")
        tests = [self._all()]
        while self._take("sign", "||"):
            tests.append(self._all())
        self._depth -= 1
        return tests[0] if len(tests) == 1 else lambda item: any(test(item) for test in tests)

    def _all(self) -> _Test:
        tests = [self._single()]
        while self._take("sign", "&&"):
            tests.append(self._single())
        return tests[0] if len(tests) == 1 else lambda item: all(test(item) for test in tests)

    def _single(self) -> _Test:
        negations = 0
        while self._take("sign", "!"):
            negations += 1
        if self._take("sign", "("):
            test = self._either()
            if not self._take("sign", ")"):
                raise self._fault("expected )")
        else:
            test = self._comparison()
        return (lambda item: not test(item)) if negations % 2 else test

    def _comparison(self) -> _Test:
        left, is_path = self._operand()
        token = self._peek()
        operator = token.text if token is not None else ""
        if token is None or token.kind not in {"sign", "word"} or operator not in OPERATORS:
            if not is_path:
                raise self._fault("expected a comparison")
            return lambda item: left(item) is not MISSING
        self._next += 1
        right, _ = self._operand()
        compare = OPERATORS[operator]
        return lambda item: compare(left(item), right(item))

    def _operand(self) -> tuple[_Value, bool]:
        token = self._peek()
        if token is None:
            raise self._fault("expected a path or a value")
        self._next += 1
        if token.kind == "path":
            steps = _steps(token.text)
            return (lambda item: follow(item, steps)), True
        if token.kind == "regex":
            regex = _regex(token.text)
            return (lambda _item: regex), False
        if token.text == "[":
            listed = self._list()
            return (lambda _item: listed), False
        self._next -= 1
        constant = self._constant()
        return (lambda _item: constant), False

    def _constant(self) -> Any:
        token = self._peek()
        if token is not None:
            self._next += 1
            if token.kind == "text":
                return _unquote(token.text)
            if token.kind == "number":
                return float(token.text) if "." in token.text else int(token.text)
            if token.kind == "word" and token.text in _CONSTANTS:
                return _CONSTANTS[token.text]
            self._next -= 1
        raise self._fault("expected a value")

    def _list(self) -> list[Any]:
        values: list[Any] = []
        if self._take("sign", "]"):
            return values
        while True:
            values.append(self._constant())
            if self._take("sign", "]"):
                return values
            if not self._take("sign", ","):
                raise self._fault("expected , or ]")

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self, kind: str, text: str) -> bool:
        token = self._peek()
        if token is None or (token.kind, token.text) != (kind, text):
            return False
        self._next += 1
        return True

    def _fault(self, what: str) -> FilterError:
        token = self._peek()
        where = f"at character {token.at + 1} ({token.text})" if token is not None else "at the end"
        return FilterError(f"The condition can't be read: {what} {where}.")


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise FilterError(f"The condition can't be read at character {at + 1}: {text[at : at + 20]!r}.")
        tokens.append(_Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
        at = found.end()
    return tokens


def _steps(path: str) -> list[str | int | None]:
    """Return a path's steps: a key, an index, or None for all members."""
    steps: list[str | int | None] = []
    for name, index in _STEP.findall(path[1:]):
        step = name or index
        if step == "*":
            steps.append(None)
        elif index and index[0] in "'\"":
            steps.append(_unquote(index))
        else:
            steps.append(int(index) if index else name)
    return steps


def _regex(text: str) -> Regex:
    body, _, flags = text[1:].rpartition("/")
    pattern = body.replace("\\/", "/")
    fault = patterns.fault_of(pattern)
    if fault:
        raise FilterError(f"The expression /{body}/ can't be used: {fault}.")
    known = {"i": re.IGNORECASE, "s": re.DOTALL, "m": re.MULTILINE, "u": re.UNICODE}
    if unknown := set(flags) - set(known):
        raise FilterError(f"The expression /{body}/ has unknown flags: {''.join(sorted(unknown))}.")
    total = re.RegexFlag(0)
    for flag in flags:
        total |= known[flag]
    return Regex(re.compile(pattern, total))


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
