"""A plugin jar made by hand, so that the hub's tests need no generator."""

from __future__ import annotations

import zipfile
from pathlib import Path

PROPERTIES = """id=handMade
class=java.lang.Object
name=Hand-made plugin
beanName=handMade
version=1.0.0
dataModel.braintumor.resultData.secured=true
dataModel.braintumor.resultData.singular=Brain tumour result
dataModel.braintumor.resultData.plural=Brain tumour results
dataModel.braintumor.resultData.code=BT
"""

XSD = """<?xml version="1.0" encoding="UTF-8"?>
<xs:schema targetNamespace="http://overread/xnat/braintumor" xmlns:braintumor="http://overread/xnat/braintumor" \
xmlns:xnat="http://nrg.wustl.edu/xnat" xmlns:xs="http://www.w3.org/2001/XMLSchema" \
elementFormDefault="qualified" attributeFormDefault="unqualified">
  <xs:import namespace="http://nrg.wustl.edu/xnat" schemaLocation="../xnat/xnat.xsd"/>
  <xs:element name="Result" type="braintumor:resultData"/>
  <xs:complexType name="resultData">
    <xs:complexContent>
      <xs:extension base="xnat:imageAssessorData">
        <xs:sequence>
          <xs:element name="status" minOccurs="0">
            <xs:simpleType>
              <xs:restriction base="xs:string">
                <xs:enumeration value="ok"/>
                <xs:enumeration value="not-applicable"/>
              </xs:restriction>
            </xs:simpleType>
          </xs:element>
          <xs:element name="reason" minOccurs="0">
            <xs:simpleType>
              <xs:restriction base="xs:string"><xs:maxLength value="1000"/></xs:restriction>
            </xs:simpleType>
          </xs:element>
          <xs:element name="model_name" type="xs:string" minOccurs="0"/>
          <xs:element name="lesion_volume_ml" type="xs:float" minOccurs="0"/>
          <xs:element name="lesion_count" type="xs:integer" minOccurs="0"/>
        </xs:sequence>
      </xs:extension>
    </xs:complexContent>
  </xs:complexType>
</xs:schema>
"""


def make_plugin_jar(
    folder: Path, *, version: str = "1.0.0", properties: str = PROPERTIES, files: dict[str, str] | None = None
) -> Path:
    """Write ``hand-made-<version>.jar`` into `folder`; `files` are further members by name."""
    folder.mkdir(parents=True, exist_ok=True)
    jar = folder / f"hand-made-{version}.jar"
    members = {
        "META-INF/xnat/hand-made-plugin.properties": properties.replace("version=1.0.0", f"version={version}"),
        "schemas/braintumor/braintumor.xsd": XSD,
        "META-INF/resources/overread/review/index.html": "<!doctype html><title>Review</title>",
        **(files or {}),
    }
    with zipfile.ZipFile(jar, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return jar
