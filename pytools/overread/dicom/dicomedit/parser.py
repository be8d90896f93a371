"""Reads scripts: text, words, statements. What can't be run is refused here, with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, cast

from overread.dicom.dicomedit.functions import FUNCTIONS, REFUSED, check_pattern
from overread.dicom.dicomedit.script import (
    Assign,
    Attribute,
    Call,
    Condition,
    Constant,
    Delete,
    HashUids,
    If,
    RemoveAllPrivateTags,
    Script,
    ScriptError,
    SetVariable,
    Statement,
    Value,
    Variable,
)
from overread.dicom.dicomedit.tagpath import Element, Levels, TagPath

SUPPORTED_VERSIONS: Final = ("6.0", "6.1", "6.2", "6.3", "6.4", "6.5", "6.6")

_MAX_SCRIPT: Final = 200_000
_DEEPEST: Final = 20
_HEX: Final = "[0-9A-Fa-fXx@#]"
_WORDS: Final = re.compile(
    rf"""(?P<blank>[ \t]+)
    | (?P<comment>//[^\n\r]*)
    | (?P<newline>\r?\n|\r)
    | (?P<string>"(?:[^"\\\n\r]|\\[^\n\r])*")
    | (?P<private>\({_HEX}{{3}}[13579BDFbdf\#]\s*,\s*\{{[^{{}}\n\r]*\}}\s*{_HEX}{{2}}\))
    | (?P<public>\({_HEX}{{4}}\s*,\s*{_HEX}{{4}}\))
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<operator>:=|\?=|!=|!~|[-?:=~,\[\]/%(){{}}*+.])
    | (?P<name>[A-Za-z_]\w*)""",
    re.VERBOSE | re.ASCII,
)
_STRING_ESCAPES: Final = re.compile(r"\\\\")
_UNRUN: Final = {
    "echo": "it would print values of the exam",
    "export": "it fills an uploader's fields, and there is no uploader",
}
_CONDITION_OPERATORS: Final = ("=", "!=", "~", "!~")


@dataclass(frozen=True)
class _Word:
    kind: str
    text: str
    line: int


def parse_script(text: str, *, given: Iterable[str] = ("project", "subject", "session")) -> Script:
    """Read a script.

    Parameters
    ----------
    text
        The script; its first statement is ``version "6.N"``.
    given
        Variables that it is given when it is run.

    Raises
    ------
    ScriptError
        With the line and the reason: it can't be read, or says something that can't be done here.
    """
    if len(text) > _MAX_SCRIPT:
        raise ScriptError(0, f"The script is longer than {_MAX_SCRIPT} characters.")
    return _Parser(_words(text), frozenset(given)).script()


def _words(text: str) -> list[_Word]:
    words: list[_Word] = []
    position, line = 0, 1
    while position < len(text):
        found = _WORDS.match(text, position)
        if found is None:
            raise ScriptError(line, f"{text[position : position + 20]!r} can't be read.")
        kind = found.lastgroup or ""
        if kind not in {"blank", "comment"}:
            words.append(_Word(kind, found[0], line))
        line += kind == "newline"
        position = found.end()
    words.append(_Word("end", "", line))
    return words


class _Parser:
    """Goes through the words of a script."""

    def __init__(self, words: list[_Word], given: frozenset[str]) -> None:
        self._words, self._at = words, 0
        self._given = given
        self._known: set[str] = set()
        self._wanted: dict[str, None] = {}

    def script(self) -> Script:
        """Read all of it."""
        self._newlines()
        version = self._version()
        statements = self._statements(until="end", depth=0)
        return Script(version, tuple(statements), self._wanted)

    # words

    @property
    def _now(self) -> _Word:
        return self._words[self._at]

    def _is(self, text: str) -> bool:
        return self._now.text == text and self._now.kind in {"operator", "name"}

    def _next(self) -> _Word:
        word = self._now
        self._at += word.kind != "end"
        return word

    def _take(self, text: str) -> _Word:
        if not self._is(text):
            raise self._unexpected(f"{text!r}")
        return self._next()

    def _newlines(self) -> None:
        while self._now.kind == "newline":
            self._next()

    def _unexpected(self, wanted: str) -> ScriptError:
        found = {"end": "the end of the script", "newline": "the end of the line"}.get(
            self._now.kind, repr(self._now.text)
        )
        return ScriptError(self._now.line, f"{wanted} was expected, but here is {found}.")

    # statements

    def _version(self) -> str:
        line = self._now.line
        if not self._is("version"):
            raise ScriptError(
                line,
                'A script begins with version "6.N". Scripts of DicomEdit 4, which say no version, are not run here.',
            )
        self._next()
        version = self._string()
        if version not in SUPPORTED_VERSIONS:
            raise ScriptError(line, f"Version {version} is not supported: use one of {', '.join(SUPPORTED_VERSIONS)}.")
        self._end_of_statement()
        return version

    def _statements(self, *, until: Literal["end", "}"], depth: int) -> list[Statement]:
        if depth > _DEEPEST:
            raise ScriptError(self._now.line, f"Statements are nested more than {_DEEPEST} deep.")
        found: list[Statement] = []
        self._newlines()
        while not (self._now.kind == "end" if until == "end" else self._is("}")):
            if self._now.kind == "end":
                raise self._unexpected("'}'")
            statement = self._statement(depth)
            if statement is not None:
                found.append(statement)
            if not (until == "}" and self._is("}")):
                self._end_of_statement()
            self._newlines()
        return found

    def _end_of_statement(self) -> None:
        if self._now.kind not in {"newline", "end"}:
            raise self._unexpected("The end of the line")
        self._newlines()

    def _statement(self, depth: int) -> Statement | None:
        word = self._now
        if word.kind == "name":
            if word.text in _UNRUN:
                raise ScriptError(word.line, f"{word.text!r} is not run here: {_UNRUN[word.text]}.")
            if word.text == "version":
                raise ScriptError(word.line, "The version is said once, at the beginning.")
            if word.text == "describe":
                self._description()
                return None
            if word.text == "if":
                return self._if(depth)
        mark = self._at
        if self._starts_action():
            return self._action()
        self._at = mark
        return self._conditional()

    def _description(self) -> None:
        """Read what a variable is called in a form: that changes nothing in an exam."""
        self._next()
        if self._next().kind != "name" or self._next().kind not in {"string", "name"}:
            raise ScriptError(self._now.line, 'After "describe" come a variable and its description.')

    def _starts_action(self) -> bool:
        """Look ahead: whether this is an action, not a condition."""
        if self._is("-") or self._is("removeAllPrivateTags"):
            return True
        if self._now.kind == "name":
            following = self._words[self._at + 1]
            if following.text == ":=":
                return True
            if following.text != "[":
                return False
        depth = 0
        for word in self._words[self._at :]:
            if word.kind in {"newline", "end"}:
                break
            depth += {"[": 1, "]": -1}.get(word.text, 0) if word.kind == "operator" else 0
            if depth == 0 and word.kind == "operator" and word.text in {"?", *_CONDITION_OPERATORS}:
                return False
            if depth == 0 and word.text in {":=", "?="}:
                return True
        return True

    def _action(self) -> Statement:
        word = self._now
        if self._is("-"):
            self._next()
            return Delete(word.line, self._path(writes=True))
        if self._is("removeAllPrivateTags"):
            self._next()
            return RemoveAllPrivateTags(word.line)
        if word.kind == "name" and self._words[self._at + 1].text == ":=":
            return self._variable()
        if word.kind == "name":
            return self._procedure()
        path = self._path(writes=True)
        if self._is("?="):
            self._next()
            return Assign(word.line, path, self._value(), only_existing=True)
        self._take(":=")
        if not path.is_one:
            raise ScriptError(
                word.line,
                f"{path.source} can be several places: name each item, as in (0008,1140)[0]/..., or write ?= instead.",
            )
        return Assign(word.line, path, self._value())

    def _variable(self) -> Statement:
        name = self._next()
        self._next()
        value = self._value()
        self._known.add(name.text)
        return SetVariable(name.line, name.text, value)

    def _procedure(self) -> Statement:
        name = self._next()
        if not self._is("["):
            raise ScriptError(name.line, f"{name.text!r} is no statement.")
        if name.text != "hashUIDList":
            raise self._no_function(name, statement=True)
        arguments = self._arguments()
        paths = tuple(one.path for one in arguments if isinstance(one, Attribute))
        if not paths or len(paths) < len(arguments):
            raise ScriptError(name.line, "hashUIDList wants attributes, such as hashUIDList[(0020,000D), (0020,000E)].")
        return HashUids(name.line, paths)

    def _conditional(self) -> Statement:
        line = self._now.line
        condition = self._condition()
        self._take("?")
        known = set(self._known)
        branches: list[tuple[Condition | None, tuple[Statement, ...]]] = [(condition, (self._action(),))]
        if self._is(":"):
            first, self._known = self._known, set(known)
            self._next()
            branches.append((None, (self._action(),)))
            known = first & self._known
        self._known = known
        return If(line, tuple(branches))

    def _if(self, depth: int) -> Statement:
        line = self._now.line
        branches: list[tuple[Condition | None, tuple[Statement, ...]]] = []
        known = set(self._known)
        everywhere: set[str] | None = None
        while True:
            self._next()  # if, elseif
            self._take("(")
            condition = self._condition()
            self._take(")")
            branches.append((condition, self._block(depth)))
            everywhere = self._known if everywhere is None else everywhere & self._known
            self._known = set(known)
            mark = self._at
            self._newlines()
            if not self._is("elseif"):
                break
        if self._is("else"):
            self._next()
            branches.append((None, self._block(depth)))
            known = everywhere & self._known
        else:
            self._at = mark
        self._known = known  # what only some branches set is not sure to be set afterwards
        return If(line, tuple(branches))

    def _block(self, depth: int) -> tuple[Statement, ...]:
        self._newlines()
        self._take("{")
        statements = self._statements(until="}", depth=depth + 1)
        self._take("}")
        return tuple(statements)

    # values

    def _condition(self) -> Condition:
        left = self._value()
        word = self._now
        if word.text not in _CONDITION_OPERATORS:
            if isinstance(left, Call) and FUNCTIONS[left.name].is_condition:
                return Condition(left)
            raise self._unexpected("A comparison (=, !=, ~, !~)")
        self._next()
        right = self._value()
        if word.text in {"~", "!~"}:
            if not isinstance(right, Constant):
                raise ScriptError(word.line, "A pattern stands in the script itself, as a text in quotes.")
            self._checked_pattern(right.text, word.line)
        return Condition(left, cast("Literal['=', '!=', '~', '!~']", word.text), right)

    def _checked_pattern(self, pattern: str, line: int) -> None:
        problem = check_pattern(pattern)
        if problem:
            raise ScriptError(line, f"Pattern {pattern!r} can't be used: {problem}.")

    def _value(self, depth: int = 0) -> Value:
        word = self._now
        if depth > _DEEPEST:
            raise ScriptError(word.line, f"Functions are nested more than {_DEEPEST} deep.")
        if word.kind == "string":
            return Constant(self._string())
        if word.kind == "number":
            self._next()
            return Constant(word.text)
        if word.kind == "name":
            if self._words[self._at + 1].text == "[":
                return self._call(depth)
            self._next()
            return self._read_variable(word)
        if word.kind in {"public", "private"} or word.text in {"*", "+", "."}:
            path = self._path(writes=False)
            return Attribute(path)
        if word.text == "{":
            raise ScriptError(word.line, "Lists are not run here.")
        raise self._unexpected("A value")

    def _read_variable(self, word: _Word) -> Variable:
        if word.text not in self._known:
            if word.text not in self._given:
                names = ", ".join(sorted(self._given))
                raise ScriptError(
                    word.line,
                    f"Variable {word.text!r} has no value here: a script is given {names}, and may set its own before.",
                )
            self._wanted[word.text] = None
        return Variable(word.text)

    def _call(self, depth: int) -> Call:
        name = self._next()
        function = FUNCTIONS.get(name.text)
        if function is None:
            raise self._no_function(name, statement=False)
        arguments = self._arguments(depth + 1)
        if not function.least <= len(arguments) <= function.most:
            raise ScriptError(name.line, f"{name.text} is called as {function.usage}.")
        for one in arguments:
            if isinstance(one, Attribute) and not one.path.is_one:
                raise ScriptError(name.line, f"{one.path.source} can be several attributes: name one.")
        if function.wants_attributes and not all(isinstance(one, Attribute) for one in arguments):
            raise ScriptError(name.line, f"{name.text} is called as {function.usage}.")
        if function.pattern_at is not None:
            pattern = arguments[function.pattern_at]
            if not isinstance(pattern, Constant):
                raise ScriptError(name.line, f"The pattern of {name.text} is a text in quotes.")
            self._checked_pattern(pattern.text, name.line)
        return Call(name.text, arguments, name.line)

    def _no_function(self, name: _Word, *, statement: bool) -> ScriptError:
        if name.text in REFUSED:
            return ScriptError(name.line, f"{name.text} is not run here: {REFUSED[name.text]}.")
        if name.text in FUNCTIONS and statement:
            return ScriptError(name.line, f"{name.text} makes a value: assign it to something.")
        return ScriptError(name.line, f"There is no function {name.text!r}; known are {', '.join(sorted(FUNCTIONS))}.")

    def _arguments(self, depth: int = 0) -> tuple[Value, ...]:
        self._take("[")
        found: list[Value] = []
        while not self._is("]"):
            if found:
                self._take(",")
            found.append(self._value(depth))
        self._next()
        return tuple(found)

    def _string(self) -> str:
        if self._now.kind != "string":
            raise self._unexpected("A text in quotes")
        return _STRING_ESCAPES.sub(lambda _: "\\", self._next().text[1:-1])

    def _path(self, *, writes: bool) -> TagPath:
        line, begin = self._now.line, self._at
        steps: list[Element | Levels] = [self._step()]
        while self._is("/"):
            self._next()
            steps.append(self._step())
        source = "".join(word.text for word in self._words[begin : self._at])
        last = steps[-1]
        if not isinstance(last, Element) or last.item is not None:
            raise ScriptError(line, f"{source} must end with an attribute: whole items are not changed here.")
        path = TagPath(tuple(steps), source)
        if not writes and begin and not path.is_one and self._words[begin - 1].text not in {"[", ","}:
            raise ScriptError(line, f"{source} can be several attributes: as a value, name one.")
        if writes and last.group == "0002":
            raise ScriptError(line, "File meta information (group 0002) follows from the object: it can't be changed.")
        return path

    def _step(self) -> Element | Levels:
        word = self._next()
        if word.text in {"*", "+", "."} and word.kind == "operator":
            return Levels(cast("Literal['*', '+', '.']", word.text))
        if word.kind == "private":
            group, rest = word.text[1:-1].split(",", 1)
            creator, element = rest.strip()[1:].split("}", 1)
            found = Element(group.upper(), element.strip().upper(), creator.strip())
            if not found.creator:
                raise ScriptError(word.line, "A private attribute names its creator between the braces.")
        elif word.kind == "public":
            group, element = (part.strip().upper() for part in word.text[1:-1].split(","))
            if group[-1] in "13579BDF":
                raise ScriptError(word.line, "A private attribute is named by its creator: (0019,{CREATOR}0F).")
            found = Element(group, element)
        else:
            self._at -= 1
            raise self._unexpected("An attribute, such as (0010,0010),")
        if not self._is("["):
            return found
        self._next()
        number = self._next()
        if not (number.kind == "number" and number.text.isdecimal()) and number.text != "%":
            raise ScriptError(number.line, "An item is named by its number, beginning at 0, or % for all.")
        self._take("]")
        item = None if number.text == "%" else int(number.text)
        return Element(found.group, found.element, found.creator, item)
