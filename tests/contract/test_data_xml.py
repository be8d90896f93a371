"""Items as XML documents: put, read back, merged, replaced."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import httpx

XML = {"content-type": "text/xml"}
NAMESPACES = 'xmlns:xnat="http://nrg.wustl.edu/xnat" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
XNAT = "{http://nrg.wustl.edu/xnat}"

SUBJECT = f"""<xnat:Subject {NAMESPACES} label="X1" group="control">
  <xnat:investigator><xnat:lastname>Grey</xnat:lastname></xnat:investigator>
  <xnat:demographics xsi:type="xnat:demographicData"><xnat:yob>1970</xnat:yob></xnat:demographics>
  <xnat:fields><xnat:field name="site">A &amp; B</xnat:field></xnat:fields>
</xnat:Subject>"""

SESSION = f"""<xnat:MRSession {NAMESPACES} UID="1.2.9">
  <xnat:date>2026-05-01</xnat:date>
  <xnat:scanner manufacturer="M" model="X">S1</xnat:scanner>
  <xnat:scans>
    <xnat:scan ID="1" type="FLAIR" UID="1.2.9.1" xsi:type="xnat:mrScanData">
      <xnat:frames>3</xnat:frames>
      <xnat:parameters><xnat:voxelRes x="1.0" y="1.0" z="3.0" units="mm"/><xnat:te>12.5</xnat:te></xnat:parameters>
    </xnat:scan>
    <xnat:scan ID="2" type="T1" xsi:type="xnat:mrScanData"/>
  </xnat:scans>
</xnat:MRSession>"""

RESULT = """<braintumor:Result xmlns:braintumor="http://overread/xnat/braintumor"
    xmlns:xnat="http://nrg.wustl.edu/xnat">
  <xnat:date>2026-05-01</xnat:date>
  <xnat:time>10:11:12</xnat:time>
  <braintumor:status>ok</braintumor:status>
  <braintumor:lesion_volume_ml>3.25</braintumor:lesion_volume_ml>
</braintumor:Result>"""


def read(client: httpx.Client, url: str) -> ET.Element:
    answer = client.get(url, params={"format": "xml"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    return ET.fromstring(answer.content)


def test_a_subject(admin: httpx.Client) -> None:
    made = admin.put("/data/projects/P/subjects/X1", content=SUBJECT, headers=XML)
    assert made.status_code == 201, made.text
    document = read(admin, f"/data/subjects/{made.text}")
    assert document.tag == f"{XNAT}Subject"
    assert (document.get("ID"), document.get("project"), document.get("group")) == (made.text, "P", "control")
    assert document.findtext(f"{XNAT}investigator/{XNAT}lastname") == "Grey"
    assert document.findtext(f"{XNAT}demographics/{XNAT}yob") == "1970"
    assert document.findtext(f"{XNAT}fields/{XNAT}field") == "A & B"
    values = admin.get(f"/data/subjects/{made.text}?format=json").json()["items"][0]["data_fields"]
    assert values["investigator/lastname"] == "Grey"


def test_merging_and_replacing(admin: httpx.Client) -> None:
    url = "/data/projects/P/subjects/X2"
    admin.put(url, content=SUBJECT.replace("X1", "X2"), headers=XML)
    bare = f'<xnat:Subject {NAMESPACES} label="X2" src="letter"/>'
    admin.put(url, content=bare, headers=XML)
    merged = admin.get(url, params={"format": "json"}).json()["items"][0]
    assert {"group": "control", "src": "letter"}.items() <= merged["data_fields"].items()
    admin.put(url, params={"allowDataDeletion": "true"}, content=bare, headers=XML)
    replaced = admin.get(url, params={"format": "json"}).json()["items"][0]
    assert replaced["data_fields"].keys() == {"ID", "project", "label", "src"}


def test_a_session_with_scans(admin: httpx.Client) -> None:
    made = admin.put("/data/projects/P/subjects/X3/experiments/X3_MR", content=SESSION, headers=XML)
    assert made.status_code == 201, made.text
    scans = admin.get(f"/data/experiments/{made.text}/scans?format=json&columns=ID,type,UID").json()["ResultSet"]
    assert [(row["ID"], row["type"]) for row in scans["Result"]] == [("1", "FLAIR"), ("2", "T1")]
    document = read(admin, f"/data/experiments/{made.text}")
    scanner = document.find(f"{XNAT}scanner")
    assert scanner is not None
    assert (scanner.text, scanner.attrib) == ("S1", {"manufacturer": "M", "model": "X"})
    voxel = document.find(f"{XNAT}scans/{XNAT}scan/{XNAT}parameters/{XNAT}voxelRes")
    assert voxel is not None
    assert voxel.attrib == {"x": "1.0", "y": "1.0", "z": "3.0", "units": "mm"}


def test_a_result_below_its_session(admin: httpx.Client, session: str) -> None:
    subject = admin.get(f"/data/experiments/{session}?format=json").json()["items"][0]["data_fields"]["subject_ID"]
    base = f"/data/projects/P/subjects/{subject}/experiments/{session}/assessors"
    made = admin.put(f"{base}/R_{session}", content=RESULT, headers=XML)
    assert made.status_code == 201, made.text
    again = admin.put(f"{base}/R_{session}", content=RESULT.replace("3.25", "4.5"), headers=XML)
    assert (again.status_code, again.text) == (200, made.text)
    document = read(admin, f"/data/experiments/{made.text}")
    assert document.tag == "{http://overread/xnat/braintumor}Result"
    assert document.findtext("{http://overread/xnat/braintumor}lesion_volume_ml") == "4.5"
    assert document.findtext(f"{XNAT}imageSession_ID") == session
    order = [element.tag.partition("}")[2] for element in document]
    assert order == ["date", "time", "imageSession_ID", "status", "lesion_volume_ml"]


def test_a_document_of_another_kind_is_refused(admin: httpx.Client, session: str) -> None:
    assert admin.put("/data/projects/P/subjects/X4", content=SESSION, headers=XML).status_code == 422
    assert admin.put(f"/data/experiments/{session}", content=SESSION, headers=XML).status_code == 409
    scan = f'<xnat:MRScan {NAMESPACES} ID="1"/>'
    assert admin.put("/data/projects/P/subjects/X4/experiments/Y", content=scan, headers=XML).status_code == 400
    wrong = SESSION.replace("<xnat:frames>3<", "<xnat:frames>three<")
    answer = admin.put("/data/projects/P/subjects/X5/experiments/X5_MR", content=wrong, headers=XML)
    assert answer.status_code == 400
    assert "xnat:mrScanData/frames" in answer.text
    missing = admin.get("/data/projects/P/subjects/X5?format=json")
    assert missing.status_code == 404  # nothing of a refused document is kept
