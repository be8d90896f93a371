"""Makes the documents of a plugin jar from its templates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import jinja2

from overread.plugins.datatype import DataType


@dataclass(frozen=True)
class PluginInfo:
    """What XNAT is told of a plugin.

    Parameters
    ----------
    id
        Unique over all plugins of a site.
    name, version, description
        For the administrator's list of plugins.
    java_class
        A class that XNAT registers as a Spring configuration. A plugin of resources alone names one that is there
        anyway.
    """

    id: str
    name: str
    version: str
    description: str
    java_class: str = "java.lang.Object"


def render_xsd(datatype: DataType) -> str:
    """Make the XML Schema.

    Notes
    -----
    XNAT sorts schemas by ``xs:import`` and xnatpy finds namespaces by ``xs:schema``: both look for the literal prefix.
    """
    return _render("datatype.xsd.j2", datatype=datatype, spec=datatype.spec)


def render_display(datatype: DataType) -> str:
    """Make the display document: which columns XNAT's lists and searches have."""
    return _render("display.xml.j2", datatype=datatype, spec=datatype.spec)


def render_properties(plugin: PluginInfo, datatype: DataType | None) -> str:
    """Make the file by which XNAT finds the plugin."""
    return _render("plugin.properties.j2", plugin=plugin, datatype=datatype)


def render_bean_definition(datatype: DataType) -> str:
    """Make the file by which the Event Service knows results of this type as image assessors."""
    return _render(
        "bean-definition.properties.j2", datatype=datatype, bean=f"org.nrg.xdat.bean.{_java_name(datatype)}Bean"
    )


def _java_name(datatype: DataType) -> str:
    """XNAT's name of the type's class: the SQL name in words of which only the first letter is a capital."""
    return "".join(part.capitalize() for part in datatype.sql_name.split("_"))


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values) + "\n"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("overread.plugins"),
        autoescape=jinja2.select_autoescape(("xsd.j2", "xml.j2"), default=False),
        undefined=jinja2.StrictUndefined,
    )
