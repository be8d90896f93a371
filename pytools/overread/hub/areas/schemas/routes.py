"""``/xapi/schemas`` and ``/xapi/plugins``."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from overread.hub.errors import not_found
from overread.hub.http import Call, Route
from overread.hub.schemas.jars import PluginJar


def list_schemas(call: Call) -> Response:
    """List the XSDs."""
    return JSONResponse(call.hub.schemas.entries())


def get_schema(call: Call) -> Response:
    """Give one XSD."""
    entry = call.params["entry"].removesuffix(".xsd")
    text = call.hub.schemas.xsd(entry)
    if text is None:
        raise not_found(f"schema {entry}")
    return Response(text, media_type="application/xml")


def list_plugins(call: Call) -> Response:
    """List the plugins by id, among them those whose REST the hub itself answers."""
    return JSONResponse(_plugins(call))


def get_plugin(call: Call) -> Response:
    """Tell one plugin."""
    found = _plugins(call).get(call.params["plugin"])
    if found is None:
        raise not_found(f"plugin {call.params['plugin']}")
    return JSONResponse(found)


def _plugins(call: Call) -> dict[str, dict[str, Any]]:
    return {**BUILT_IN, **{plugin.id: _bean(plugin) for plugin in call.hub.schemas.plugins()}}


def _built_in(identity: str, name: str, version: str, plugin_class: str, beans: list[str]) -> dict[str, Any]:
    return {
        "id": identity,
        "name": name,
        "version": version,
        "description": "Answered by the Overread hub itself.",
        "namespace": "",
        "pluginClass": plugin_class,
        "beanName": "",
        "dataModelBeans": beans,
    }


# Clients look here for what a server can do. Versions: those whose REST the hub's answers follow.
BUILT_IN = {
    "containers": _built_in(
        "containers", "XNAT Container Service Plugin", "3.7.3", "org.nrg.containers.config.ContainersConfig", []
    ),
    "ohifViewerPlugin": _built_in(
        "ohifViewerPlugin", "XNAT OHIF Viewer Plugin", "3.7.2", "org.nrg.xnatx.ohifviewer.plugin.OhifViewerPlugin",
        ["icr:roiCollectionData"],
    ),
}  # fmt: skip


def _bean(plugin: PluginJar) -> dict[str, Any]:
    return {
        "id": plugin.id,
        "name": plugin.properties["name"],
        "version": plugin.version,
        "description": plugin.properties.get("description", ""),
        "namespace": plugin.properties.get("namespace", ""),
        "pluginClass": plugin.properties["class"],
        "beanName": plugin.properties.get("beanName", ""),
        "dataModelBeans": [model.xsi_type for model in plugin.data_models],
    }


ROUTES = [
    Route("GET", "/xapi/schemas", list_schemas),
    Route("GET", "/xapi/schemas/{entry:path}", get_schema),
    Route("GET", "/xapi/plugins", list_plugins),
    Route("GET", "/xapi/plugins/", list_plugins),
    Route("GET", "/xapi/plugins/{plugin}", get_plugin),
]
