"""From a name in ``columns``, a filter or ``sortBy`` to an expression in SQL.

A `Source` is one kind of list. It joins a table only when a column needs it, so that a list is one query whatever its
columns are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, SQLColumnExpression, func, literal, select
from sqlalchemy.orm import aliased

from overread.hub.items.fields import columns_of
from overread.hub.models import Experiment, Scan, Share, Subject
from overread.hub.rest.names import META, SESSION_ONLY, parse_xpath, short_name_of, short_names
from overread.hub.schemas import DataType, FieldType, SchemaRegistry
from overread.hub.schemas.model import Kind
from overread.hub.sql import json_number, stamp_text

Expression = SQLColumnExpression[Any]
_IDENTITY = {
    "ID": "id",
    "label": "label",
    "project": "project",
    "subject_ID": "subject_id",
    "imageSession_ID": "session_id",
    "image_session_ID": "session_id",
}
_STAMPS = ("insert_date", "insert_user", "last_modified")


@dataclass(frozen=True)
class Column:
    """One column of a list: its key in the answer, its expression, what its values are, and the tables it needs."""

    key: str
    expression: Expression
    kind: Kind = "string"
    needs: frozenset[str] = frozenset()
    compare: Expression | None = None

    @property
    def shown(self) -> Expression:
        """The expression to show: text where the database can write it as XNAT does."""
        return stamp_text(self.expression) if self.kind == "dateTime" else self.expression

    @property
    def comparable(self) -> Expression:
        """The expression to filter and sort by."""
        return self.expression if self.compare is None else self.compare


class Source:
    """A list's table, with what can be joined to it.

    Parameters
    ----------
    schemas
        The datatypes.
    root
        The type that the list's rows are of.
    model
        Their table.
    through
        The project that lists them, if things are shared into it: what is shows the label that it has there, and that
        project, as in XNAT.
    """

    def __init__(
        self, schemas: SchemaRegistry, root: str, model: type[Experiment | Scan | Subject], *, through: str = ""
    ) -> None:
        self.schemas, self.root, self.model, self.through = schemas, root, model, through
        self.session = aliased(Experiment, name="session")
        self.subject = aliased(Subject, name="subject_of")

    @property
    def kind(self) -> DataType:
        """The type of the rows."""
        return self.schemas.known(self.root)

    def column(self, name: str) -> Column | None:
        """Return the column that `name` means, None if it means none."""
        special = self._special(name)
        if special is not None:
            return special
        path = short_names(self.schemas, self.root).get(name)
        if path is not None:
            return self._field(self.model, self.kind, path, key=name)
        xpath = parse_xpath(self.schemas, name)
        if xpath is None or self.schemas.type(xpath.xsi_type) is None:
            return None
        if xpath.path in META:
            return self._special(META[xpath.path])
        return self._of_type(xpath.xsi_type, xpath.path)

    def _of_type(self, xsi_type: str, path: str) -> Column | None:
        is_a = self.schemas.is_a
        if is_a(self.root, xsi_type) or is_a(xsi_type, self.root):
            kind = self.kind if is_a(self.root, xsi_type) else self.schemas.known(xsi_type)
            return self._named(self.model, kind, path, xsi_type)
        if self.model is Experiment and xsi_type == "xnat:subjectData":
            return self._named(self.subject, self.schemas.known(xsi_type), path, xsi_type)
        if is_a(self.root, "xnat:imageAssessorData") and is_a(xsi_type, "xnat:imageSessionData"):
            return self._named(self.session, self.schemas.known(xsi_type), path, xsi_type)
        return None

    def _named(self, model: Any, kind: DataType, path: str, xsi_type: str) -> Column | None:
        spelled = next((known for known in kind.fields if known.lower() == path.lower()), None)
        if spelled is None:
            return None
        short = short_name_of(self.schemas, kind.name, spelled) if model is self.model else None
        # XNAT gives XML paths back in lower case, types included.
        return self._field(model, kind, spelled, key=short or f"{xsi_type}/{spelled}".lower())

    def _field(self, model: Any, kind: DataType, path: str, *, key: str) -> Column:
        needs = self._needs(model)
        plain = self._identity(model, path)
        if plain is not None:
            return Column(key, plain, needs=needs)
        base = model if model in {Experiment, Scan, Subject} else (Subject if model is self.subject else Experiment)
        field: FieldType = kind.fields[path]
        column = columns_of(base).get(path)
        if column is not None:
            return Column(key, getattr(model, column), field.kind, needs)
        value = model.fields[path]
        number = field.kind in {"integer", "long", "float", "boolean"}
        return Column(key, value, field.kind, needs, compare=json_number(value) if number else value.as_string())

    def _identity(self, model: Any, path: str) -> Any:
        name = _IDENTITY.get(path)
        found: Expression | None = getattr(model, name, None) if name is not None else None
        return self._shared(model, name) if self.through and name in {"label", "project"} else found

    def _shared(self, model: Any, name: str) -> Expression:
        """Return label or project of a row as the project sees it that lists it."""
        own: Expression = getattr(model, name)
        if model not in {Experiment, Subject, self.subject}:
            return own
        kind = "experiment" if model is Experiment else "subject"
        lent = (Share.kind == kind) & (Share.object_id == model.id) & (Share.project == self.through)
        told = literal(self.through) if name == "project" else func.nullif(Share.label, "")
        return func.coalesce(select(told).where(lent).correlate(model).scalar_subquery(), own)

    def _needs(self, model: Any) -> frozenset[str]:
        if model is self.session:
            return frozenset({"session"})
        if model is self.subject:
            return frozenset({"session", "subject"} if self._may_hang_on_session else {"subject"})
        return frozenset()

    @property
    def _may_hang_on_session(self) -> bool:
        """Whether rows may be assessors, which have their session's subject."""
        return not self.schemas.is_a(self.root, "xnat:subjectAssessorData")

    def _special(self, name: str) -> Column | None:
        model: Any = self.model
        if name in _STAMPS:
            return Column(name, getattr(model, name), "dateTime" if name != "insert_user" else "string")
        if name == "xsiType":
            text = literal("xnat:subjectData") if model is Subject else model.xsi_type
            return Column(name, text)
        if model is Scan and name == "xnat_imagescandata_id":
            return Column(name, Scan.pk, "long")
        if model is Experiment:
            return self._special_of_experiment(name)
        return None

    def _special_of_experiment(self, name: str) -> Column | None:
        session = frozenset({"session"})
        own = session if self._may_hang_on_session else frozenset()
        subject = own | {"subject"}
        known: dict[str, Callable[[], Column]] = {
            "subject_ID": lambda: Column(name, self.subject_id, needs=own),
            "subject_label": lambda: Column(name, self._identity(self.subject, "label"), needs=subject),
            "subject_project": lambda: Column(name, self._identity(self.subject, "project"), needs=subject),
            "session_ID": lambda: Column(name, Experiment.session_id),
            "session_label": lambda: Column(name, self.session.label, needs=session),
            "session_project": lambda: Column(name, self.session.project, needs=session),
        }
        return known[name]() if name in known else None

    @property
    def subject_id(self) -> Expression:
        """The subject of a row: its own, or that of its session."""
        if not self._may_hang_on_session:
            return Experiment.subject_id
        return func.coalesce(Experiment.subject_id, self.session.subject_id)

    def joined(self, query: Select[Any], needs: frozenset[str]) -> Select[Any]:
        """Add the tables of `needs` to `query`."""
        if "session" in needs:
            query = query.outerjoin(self.session, self.session.id == Experiment.session_id)
        if "subject" in needs:
            query = query.outerjoin(self.subject, self.subject.id == self.subject_id)
        return query

    def rows(self, columns: list[Column]) -> Select[Any]:
        """Return the query of `columns`, with no condition and no further table yet."""
        expressions: list[Any] = [column.shown.label(f"c{place}") for place, column in enumerate(columns)]
        return select(*expressions).select_from(self.model)


def root_type(schemas: SchemaRegistry, default: str, names: list[str], wanted: str) -> str:
    """Return the type that the rows of a list of experiments are of.

    Parameters
    ----------
    schemas
        The datatypes.
    default
        The route's own.
    names
        All columns and filters that were asked for: a path of a more special type, or a short name of sessions,
        makes the list one of that type.
    wanted
        The parameter ``xsiType``; "" for none.
    """
    root = (schemas.spelled(wanted) or wanted) if wanted else default
    if wanted and schemas.type(root) is None:
        return ""
    for name in names:
        xpath = parse_xpath(schemas, name)
        if xpath is not None and xpath.xsi_type != root and schemas.is_a(xpath.xsi_type, root):
            root = xpath.xsi_type
        elif name in SESSION_ONLY and schemas.is_a("xnat:imageSessionData", root):
            root = "xnat:imageSessionData"
    return root
