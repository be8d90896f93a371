"""A resource's catalog, in XNAT's XML."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.answers import cell
from overread.hub.models import Instance, Resource, ResourceFile

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'


def catalog_xml(db: Session, resource: Resource) -> bytes:
    """Return the catalog of `resource`: a ``cat:DCMCatalog`` when all its files are DICOM of one series."""
    rows = db.execute(
        select(ResourceFile, Instance)
        .outerjoin(Instance, Instance.file_pk == ResourceFile.pk)
        .where(ResourceFile.resource_pk == resource.pk)
        .order_by(ResourceFile.path)
    ).all()
    series = {instance.series_instance_uid if instance is not None else None for _file, instance in rows}
    of_series = series.pop() if len(series) == 1 else None
    root = Element("cat:DCMCatalog" if of_series else "cat:Catalog", {"ID": resource.label})
    if of_series:
        root.set("UID", of_series)
    root.set("xmlns:cat", "http://nrg.wustl.edu/catalog")
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    entries = SubElement(root, "cat:entries")
    for file, instance in rows:
        entries.append(_entry(file, instance))
    indent(root)
    return _DECLARATION + bytes(tostring(root, encoding="utf-8")) + b"\n"


def _entry(file: ResourceFile, instance: Instance | None) -> Element:
    values = {
        "ID": file.path,
        "URI": file.path,
        "name": file.path.rpartition("/")[2],
        "format": file.format,
        "content": file.content,
        "createdBy": file.insert_user,
        "createdTime": cell(file.insert_date),
        "digest": file.digest,
    }
    entry = Element("cat:entry", {name: value for name, value in values.items() if value})
    fields = SubElement(entry, "cat:metaFields")
    SubElement(fields, "cat:metaField", {"name": "SIZE"}).text = str(file.size)
    if instance is not None:
        entry.set("xsi:type", "cat:dcmEntry")
        entry.set("UID", instance.sop_instance_uid)
        if instance.instance_number is not None:
            entry.set("instanceNumber", str(instance.instance_number))
    if file.tags:
        tags = SubElement(entry, "cat:tags")
        for tag in file.tags.split(","):
            SubElement(tags, "cat:tag").text = tag
    return entry
