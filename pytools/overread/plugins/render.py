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
    """

    id: str
    name: str
    version: str
    description: str


@dataclass(frozen=True)
class JavaNames:
    """Names of a study plugin's classes.

    Parameters
    ----------
    om
        Of the datatype, in ``org.nrg.xdat.om``: XNAT makes the name from the type's and looks for it.
    screen
        Of the report page, in ``org.nrg.xdat.turbine.modules.screens``; also the name of its template.
    package, plugin
        Of the class that the plugin's properties name.
    """

    om: str
    screen: str
    package: str
    plugin: str


def java_names(plugin_id: str, datatype: DataType) -> JavaNames:
    """Name the classes of a study's plugin.

    Notes
    -----
    XNAT takes the SQL name in words, of which only the first letter is a capital: ``braintumor_resultData`` becomes
    ``BraintumorResultdata``.
    """
    om = "".join(part.capitalize() for part in datatype.sql_name.split("_"))
    plugin = f"{plugin_id[0].upper()}{plugin_id[1:]}Plugin"
    return JavaNames(om, f"XDATScreen_report_{datatype.sql_name}", f"org.overread.xnat.{datatype.spec.prefix}", plugin)


def render(template: str, **values: object) -> str:
    """Fill in a template of this package; one that asks for a value that is not given is a fault."""
    return _environment().get_template(template).render(**values) + "\n"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("overread.plugins"),
        autoescape=jinja2.select_autoescape(("xsd.j2", "xml.j2"), default=False),
        undefined=jinja2.StrictUndefined,
    )
