"""Moments in lists: the database writes them itself, and as items have them."""

from __future__ import annotations

import re

from helpers.archive import add_project, add_session
from hub_fixture import RunningHub
from overread.hub.models import Experiment


def test_a_lists_moment_is_the_stored_one(hub: RunningHub) -> None:
    add_project(hub.hub)
    session = add_session(hub.hub, event="")
    with hub.hub.database.read() as db:
        stored = db.get_one(Experiment, session).insert_date
    with hub.client() as client:
        shown = client.get("/data/projects/P/experiments?format=json&columns=ID,insert_date,subject_label").json()
        as_csv = client.get("/data/projects/P/experiments?format=csv&columns=insert_date").text
    (row,) = shown["ResultSet"]["Result"]
    assert row["insert_date"] == stored.replace(tzinfo=None).isoformat(" ", "milliseconds")
    assert row["subject_label"] == "SUB"
    assert re.search(r'"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"', as_csv)
