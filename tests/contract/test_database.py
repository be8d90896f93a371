"""The database: SQLite and Postgres give the same answers, and tables of before are brought up to date."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    Table,
    func,
    insert,
    select,
    text,
)

from helpers import postgres
from overread.errors import OverreadError
from overread.hub import migrations
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.database import Database, after_commit, next_number, open_engine, undo, url_of
from overread.hub.models import Base, Experiment, Project, ReceivedObject, ResourceFile, User
from overread.hub.sql import json_number, matches

DUMP = Path(__file__).parent / "homes" / "0.1.0.sql"
BOTH = ("sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres")))


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database."""
    return postgres.shared().new_database() if request.param == "postgres" else url_of(tmp_path / "hub.sqlite")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database with all tables."""
    opened = Database(url)
    yield opened
    opened.close()


def old_rows() -> dict[str, list[dict[str, Any]]]:
    """Read the frozen database of 0.1.0, which has rows in every table."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.executescript(DUMP.read_text())
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')] for name in names}
    connection.close()
    return rows


def make_old(url: str) -> None:
    """Put the frozen database of 0.1.0 at an URL, as that version left it: without a version."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        file.executescript(DUMP.read_text())
        file.close()
        return
    engine = open_engine(url)
    migrations.upgrade(engine, to="0001")
    rows = old_rows()
    with engine.begin() as connection:
        tables = MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            for row in rows.get(table.name, []):
                connection.execute(insert(table).values({name: typed(table, name, row[name]) for name in row}))
            key = table.primary_key.columns[0]
            if key.autoincrement is True or isinstance(key.type, BigInteger):
                last = select(func.max(key)).scalar_subquery()
                connection.execute(select(func.setval(f'"{table.name}_{key.name}_seq"', last)))
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()


def typed(table: Table, name: str, value: Any) -> Any:
    """Give a value of SQLite's the type that a column has."""
    match table.c[name].type:
        case _ if value is None:
            return None
        case JSON():
            return json.loads(value)
        case Boolean():
            return bool(value)
        case DateTime():
            return datetime.fromisoformat(value)
        case _:
            return value


def differences(connection: Connection) -> list[Any]:
    """List where a database's tables are not the models'."""
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata))


def test_migrated_tables_are_those_of_the_models(url: str) -> None:
    engine = open_engine(url)
    migrations.upgrade(engine)
    with engine.connect() as connection:
        assert differences(connection) == [], "write what the models have got into the newest module of migrations"
        assert migrations.state_of(connection) is migrations.State.CURRENT
    engine.dispose()


def test_a_column_that_no_migration_makes_is_found(url: str) -> None:
    engine = open_engine(url)
    migrations.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE project DROP COLUMN description"))
        found = differences(connection)
        assert [(what, column.name) for what, _, _, column in found] == [("add_column", "description")]
    engine.dispose()


def test_a_database_of_the_first_release_is_brought_up_to_date_with_all_its_rows(url: str) -> None:
    make_old(url)
    with pytest.raises(migrations.OutdatedError, match="overread hub upgrade"):
        Database(url)
    columns = {name: list(rows[0]) for name, rows in old_rows().items()}
    engine = open_engine(url)
    with engine.connect() as connection:
        before = rows_of(connection, columns)
    assert len(before) == 26, "the frozen database has every table of 0.1.0"
    assert all(before.values()), "and rows in each"
    migrations.upgrade(engine)
    with engine.connect() as connection:
        assert rows_of(connection, columns) == before
    engine.dispose()
    upgraded = Database(url)
    with upgraded.write() as db:  # keys are counted on, not again
        assert db.get_one(Project, "BTS").aliases == ["brain", "tumour"]
        assert db.get_one(Project, "BTS").description == "Größe"
        assert db.get_one(Project, "BTS").insert_date == datetime(2026, 5, 1, 9, 30, 0, 123456, tzinfo=UTC)
        assert db.get_one(ReceivedObject, 1).header == {"Modality": "MR", "InstanceNumber": 1}
        db.add(User(login="new", password_hash=""))
        db.flush()
        assert next_number(db, "XNAT_E") == 3
    upgraded.close()


def rows_of(connection: Connection, columns: dict[str, list[str]]) -> dict[str, Sequence[Any]]:
    """Read some columns of each table, in the order of its key."""
    tables = Base.metadata.tables
    return {
        name: connection.execute(
            select(*(tables[name].c[one] for one in names)).order_by(*tables[name].primary_key)
        ).all()
        for name, names in columns.items()
    }


def test_a_newer_database_is_refused_in_one_line(url: str) -> None:
    Database(url).close()
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(OverreadError, match="newer Overread") as refused:
        Database(url)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("mysql://localhost/x", "neither"),
        ("no url", "neither"),
        ("postgresql://nobody@127.0.0.1:1/none", "can't be used"),
        ("sqlite:////nowhere/at/all/hub.sqlite", "can't be used"),
    ],
)
def test_a_database_that_can_not_be_reached_is_told_in_one_line(address: str, why: str) -> None:
    with pytest.raises(OverreadError, match=why) as refused:
        Database(address)
    assert "\n" not in str(refused.value)


def test_one_writes_at_a_time_and_none_fails_for_it(url: str) -> None:
    """Two databases on one URL are two processes: they do not share a lock of threads."""
    both = [Database(url), Database(url)]
    seen: list[int] = []

    def count(database: Database) -> None:
        for _ in range(15):
            with database.write() as db:
                seen.append(next_number(db, "counter"))

    threads = [threading.Thread(target=count, args=(both[number % 2],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 61))
    for database in both:
        database.close()


def test_who_reads_sees_one_state_and_waits_for_nobody(database: Database) -> None:
    with database.write() as db:
        db.add(Project(id="A"))
    with database.read() as reading:
        assert reading.scalars(select(Project.id)).all() == ["A"]
        with database.write() as writing:
            writing.add(Project(id="B"))
            writing.flush()
            with database.read() as other:
                assert other.scalars(select(Project.id)).all() == ["A"]
        assert reading.scalars(select(Project.id)).all() == ["A"]
    with database.read() as reading:
        assert set(reading.scalars(select(Project.id))) == {"A", "B"}


def test_what_raises_is_not_kept(database: Database) -> None:
    def add_and_fail() -> None:
        with database.write() as db:
            db.add(Project(id="A"))
            db.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add_and_fail()
    with database.read() as db:
        assert db.get(Project, "A") is None


@pytest.mark.parametrize("kept", [True, False])
def test_files_are_put_in_order_before_the_next_one_writes(database: Database, tmp_path: Path, kept: bool) -> None:
    """Who writes next may put a file under the same name: it must not be taken for the one that is to go."""
    file, steps = tmp_path / "object.dcm", []

    def write_next() -> None:
        with database.write():
            steps.append("next")
            file.write_text("of the next one, acknowledged")

    waiting = threading.Thread(target=write_next)

    def tidy() -> None:
        waiting.join(0.3)  # as if the processor went to the other thread here
        steps.append("tidied")
        file.unlink()

    with suppress(ZeroDivisionError), database.write() as db:
        file.write_text("of the first one")
        (after_commit if kept else undo)(db, tidy)
        waiting.start()
        if not kept:
            raise ZeroDivisionError
    waiting.join()
    assert steps == ["tidied", "next"]
    assert file.exists()


def test_what_follows_a_kept_change_does_not_make_it_look_lost(database: Database) -> None:
    done: list[str] = []
    with database.write() as db:
        db.add(Project(id="A"))
        after_commit(db, lambda: Path("/nowhere/at/all").unlink())
        after_commit(db, lambda: done.append("the rest"))
    assert done == ["the rest"]
    with database.read() as db:
        assert db.get(Project, "A") is not None


def test_text_sorts_by_code_point_and_patterns_know_no_case(database: Database) -> None:
    with database.write() as db:
        db.add_all([Project(id=name) for name in ("b_1", "B_2", "a-3", "A_4", "bx5")])
    with database.read() as db:
        assert db.scalars(select(Project.id).order_by(Project.id)).all() == ["A_4", "B_2", "a-3", "b_1", "bx5"]
        assert db.scalars(select(Project.id).where(Project.id > "a").order_by(Project.id)).all() == [
            "a-3",
            "b_1",
            "bx5",
        ]
        found = select(Project.id).where(matches(Project.id, "B\\_%")).order_by(Project.id)
        assert db.scalars(found).all() == ["B_2", "b_1"]


def test_what_is_no_number_spoils_no_query(database: Database) -> None:
    values: dict[str, Any] = {"A": 5, "B": 2.5, "C": True, "D": False, "E": "text", "F": None}
    with database.write() as db:
        db.add_all([Project(id=name, fields={"of/it": value}) for name, value in values.items()])
        db.add(Project(id="G"))
    number = json_number(Project.fields["of/it"])
    with database.read() as db:
        assert db.scalars(select(Project.id).where(number == 5)).all() == ["A"]
        assert set(db.scalars(select(Project.id).where(number.between(0.5, 3)))) == {"B", "C"}
        assert set(db.scalars(select(Project.id).where(number == 0))) >= {"D"}


def test_hostile_text_and_large_numbers_can_be_kept(database: Database) -> None:
    with database.write() as db:
        db.add(Project(id="A", description="x\0y", fields={"note": "1\0 and \\u0000"}))
        db.flush()
        db.add(Experiment(id="E", project="A", label="'; DROP TABLE project; --", xsi_type="xnat:mrSessionData"))
        db.add(ReceivedObject(state="refused", size=2**40))
    with database.read() as db:
        kept = db.get_one(Project, "A")
        assert kept.description == "xy"
        assert kept.fields["note"].replace("\0", "") == "1 and \\u0000"
        assert db.scalars(select(Experiment.label)).all() == ["'; DROP TABLE project; --"]
        assert db.scalars(select(ReceivedObject.size)).all() == [2**40]


def test_sums_are_whole_numbers(database: Database) -> None:
    with database.read() as db:
        total = db.scalar(select(func.coalesce(func.sum(ResourceFile.size), 0)))
    assert (total, type(total)) == (0, int)


def test_a_table_of_somebody_else_is_no_reason_to_think_it_ours(url: str) -> None:
    engine = open_engine(url)
    metadata = MetaData()
    Table("somebody_else", metadata, Column("x", Integer))
    with engine.begin() as connection:
        metadata.create_all(connection)
        assert migrations.state_of(connection) is migrations.State.EMPTY
    engine.dispose()
    Database(url).close()


def test_two_hubs_share_no_data(tmp_path: Path) -> None:
    hubs = [Hub(HubConfig(home=tmp_path / name, dicom_port=0)) for name in ("one", "two")]
    with hubs[0].database.write() as db:
        db.add(Project(id="A"))
    with hubs[1].database.read() as db:
        assert db.get(Project, "A") is None
    for hub in hubs:
        hub.database.close()
