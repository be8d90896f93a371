"""How a project lists what is shared into it (xnat-rest 2.6)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from helpers.server import Server, fresh_project, item, rows


@pytest.fixture(scope="module")
def other(server: Server) -> Iterator[str]:
    """A second project."""
    with fresh_project(server) as made:
        yield made


def test_what_is_shared_has_the_label_and_project_of_the_list(
    root: httpx.Client, project: str, other: str, exam: str
) -> None:
    own = item(root.get(f"/data/experiments/{exam}?format=json"))
    subject = own["subject_ID"]
    for url, label in ((f"/data/subjects/{subject}", f"T_{exam}"), (f"/data/experiments/{exam}", f"F_{exam}")):
        at = f"/data/projects/{project}/subjects/{subject}"
        place = at if "subjects" in url else f"{at}/experiments/{exam}"
        assert root.put(f"{place}/projects/{other}", params={"label": label}).status_code == 200
    asked = {"columns": "ID,label,project,subject_label", "format": "json"}
    (row,) = (one for one in rows(root.get(f"/data/projects/{other}/experiments", params=asked)) if one["ID"] == exam)
    assert (row["label"], row["project"], row["subject_label"]) == (f"F_{exam}", other, f"T_{exam}")
    (row,) = (one for one in rows(root.get(f"/data/projects/{project}/experiments", params=asked)) if one["ID"] == exam)
    assert (row["label"], row["project"]) == (own["label"], project)
    assert row["subject_label"] == f"S_{own['label']}"
    listed = rows(root.get(f"/data/projects/{other}/subjects?format=json"))
    assert [(one["label"], one["project"]) for one in listed if one["ID"] == subject] == [(f"T_{exam}", other)]
    by_label = root.get(f"/data/projects/{other}/experiments", params={"label": f"F_{exam}", "format": "json"})
    assert [one["ID"] for one in rows(by_label)] == [exam]
    assert item(root.get(f"/data/projects/{other}/experiments/F_{exam}?format=json"))["ID"] == exam
    assert root.delete(f"/data/projects/{other}/experiments/{exam}").status_code == 200
    assert [one for one in rows(root.get(f"/data/projects/{other}/experiments?format=json")) if one["ID"] == exam] == []


def test_what_keeps_its_label_is_listed_by_it(root: httpx.Client, project: str, other: str, exam: str) -> None:
    own = item(root.get(f"/data/experiments/{exam}?format=json"))
    at = f"/data/projects/{project}/subjects/{own['subject_ID']}"
    for place in (at, f"{at}/experiments/{exam}"):
        assert root.put(f"{place}/projects/{other}").status_code == 200
        assert root.put(f"{place}/projects/{other}").status_code == 409
    asked = {"columns": "ID,label,subject_label,subject_project", "format": "json", "sortBy": "label"}
    found = {one["ID"]: one for one in rows(root.get(f"/data/projects/{other}/experiments", params=asked))}
    assert (found[exam]["label"], found[exam]["subject_label"]) == (own["label"], f"S_{own['label']}")
