"""A peer that answers `study apply` as XNAT's REST contract says, from memory, without a network.

It keeps what it is sent, gives ids, and fills in the defaults that XNAT fills in. It is there to try decisions; whether
the requests are right is judged by the hub and by a real XNAT.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from overread.errors import Denied, NotFound
from overread.xnat.connection import Answer, Request

Handler = Callable[[re.Match[str], Request], Answer]


class Peer:
    """A server in memory; ``sent`` holds every request that changed something."""

    def __init__(self, *, schemas: Mapping[str, str], images: Mapping[str, str] | None = None) -> None:
        self.schemas, self.images = dict(schemas), dict(images or {})
        self.projects: dict[str, dict[str, str]] = {}
        self.commands: dict[int, dict[str, Any]] = {}
        self.enabled: set[str] = set()
        self.configs: dict[str, dict[str, Any]] = {}
        self.receivers: dict[int, dict[str, Any]] = {}
        self.subscriptions: dict[int, dict[str, Any]] = {}
        self.forms: dict[str, dict[str, Any]] = {}
        self.texts: dict[str, str] = {}
        self.events_on = False
        self.version, self.plugins = "1.9.3", {"containers": "3.7.3", "ohifViewerPlugin": "3.7.2"}
        self.scripts: dict[str, str] = {}
        self.forgetful = False
        self.sent: list[Request] = []
        self._last_id = 0

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer | None:
        value = self._read(path)
        if value is None:
            return None
        return Answer(200, value if isinstance(value, str) else json.dumps(value))

    def send(self, request: Request) -> Answer:
        self.sent.append(request)
        for pattern, handler in self._routes().items():
            match = re.fullmatch(pattern, f"{request.method} {request.path}")
            if match:
                return handler(match, request)
        raise NotFound(f"{request.method} {request.path}")

    def deny(self, method_and_path: str) -> None:
        """Refuse one request from now on."""
        allowed = self.send

        def send(request: Request) -> Answer:
            if f"{request.method} {request.path}" == method_and_path:
                raise Denied(f"{method_and_path}: 403; alice may not do this")
            return allowed(request)

        self.send = send  # type: ignore[method-assign]

    def _read(self, path: str) -> Any:
        lists: dict[str, Any] = {
            "/xapi/siteConfig/buildInfo": {"version": self.version},
            "/xapi/plugins": {key: {"id": key, "version": version} for key, version in self.plugins.items()},
            "/xapi/schemas": list(self.schemas),
            "/xapi/commands": list(self.commands.values()),
            "/xapi/docker/images": [{"image-id": i, "tags": [t], "labels": {}} for t, i in self.images.items()],
            "/xapi/dicomscp": list(self.receivers.values()),
            "/xapi/events/prefs": {"enabled": self.events_on},
            "/xapi/events/subscriptions": list(self.subscriptions.values()),
            "/xapi/customforms": list(self.forms.values()),
            **self.texts,
            **self.scripts,
        }
        return lists[path] if path in lists else self._read_one(path)

    def _read_one(self, path: str) -> Any:
        if match := re.fullmatch(r"/data/projects/([^/]+)", path):
            return {"items": []} if match[1] in self.projects else None
        if match := re.fullmatch(r"/data/projects/([^/]+)/(accessibility|prearchive_code)", path):
            return self.projects[match[1]][match[2]]
        if match := re.fullmatch(r"/xapi/schemas/(.+)", path):
            return self.schemas.get(match[1])
        if match := re.fullmatch(r"/xapi/wrappers/(\d+)/enabled", path):
            return path in self.enabled
        if match := re.fullmatch(r"/xapi/projects/([^/]+)/wrappers/(\d+)/enabled", path):
            return {"enabled-for-site": True, "enabled-for-project": path in self.enabled, "project": match[1]}
        return self.configs.get(path, {"inputs": {}, "outputs": {}}) if path.endswith("/config") else None

    def _routes(self) -> dict[str, Handler]:
        return {
            r"PUT /data/projects/([^/]+)": self._project,
            r"PUT /data/projects/([^/]+)/(accessibility|prearchive_code)/(\w+)": self._setting,
            r"POST /xapi/commands": self._new_command,
            r"POST /xapi/commands/(\d+)": self._command,
            r"PUT (/xapi/(?:projects/[^/]+/)?wrappers/\d+/enabled)": self._enable,
            r"POST (/xapi/projects/[^/]+/wrappers/\d+/config)": self._config,
            r"POST /xapi/dicomscp": lambda _, r: self._new(self.receivers, {"whitelist": [], **r.json}),
            r"PUT /xapi/dicomscp/(\d+)": lambda m, r: self._replace(self.receivers, int(m[1]), r.json),
            r"PUT /xapi/events/prefs": self._prefs,
            r"POST /xapi/events/subscription": lambda _, r: self._new(self.subscriptions, {"valid": True, **r.json}),
            r"PUT /xapi/events/subscription/(\d+)": lambda m, r: self._replace(self.subscriptions, int(m[1]), r.json),
            r"DELETE /xapi/dicomscp/(\d+)": lambda m, _: self._delete(self.receivers, int(m[1])),
            r"DELETE /xapi/events/subscription/(\d+)": lambda m, _: self._delete(self.subscriptions, int(m[1])),
            r"DELETE /xapi/commands/(\d+)": self._delete_command,
            r"PUT (/xapi/projects/[^/]+/wrappers/\d+)/disabled": self._disable,
            r"PUT (/xapi/anonymize/projects/[^/]+(?:/enabled)?)": self._script,
            r"PUT /xapi/customforms/save": self._form,
            r"PUT (/data/(?:projects/[^/]+/)?config/.+)": self._text,
        }

    def _id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _project(self, match: re.Match[str], _: Request) -> Answer:
        self.projects[match[1]] = {"accessibility": "protected", "prearchive_code": "0"}
        return Answer(200, match[1])

    def _setting(self, match: re.Match[str], _: Request) -> Answer:
        self.projects[match[1]][match[2]] = match[3]
        return Answer(200, "")

    def _new_command(self, _: re.Match[str], request: Request) -> Answer:
        number = self._id()
        self.commands[number] = self._filled(request.json, number)
        return Answer(201, str(number))

    def _command(self, match: re.Match[str], request: Request) -> Answer:
        self.commands[int(match[1])] = self._filled(request.json, int(match[1]))
        return Answer(200, "")

    def _filled(self, document: dict[str, Any], number: int) -> dict[str, Any]:
        """Add what the Container Service adds: ids, nulls, defaults. A wrapper keeps its id as long as its name."""
        known = {w["name"]: w["id"] for w in self.commands.get(number, {}).get("xnat", [])}
        wrappers = [
            {
                "id": known.get(wrapper["name"]) or self._id(),
                "description": None,
                **wrapper,
                "contexts": sorted(wrapper["contexts"], reverse=True),
            }
            for wrapper in document.get("xnat", [])
        ]
        return {
            "id": number, "hash": None, "ports": {}, "secrets": [], "visibility": "public",
            "override-entrypoint": False, **document, "xnat": wrappers,
        }  # fmt: skip

    def _enable(self, match: re.Match[str], _: Request) -> Answer:
        self.enabled.add(match[1])
        return Answer(200, "")

    def _disable(self, match: re.Match[str], _: Request) -> Answer:
        self.enabled.discard(f"{match[1]}/enabled")
        return Answer(200, "")

    def _delete(self, table: dict[int, dict[str, Any]], number: int) -> Answer:
        del table[number]
        return Answer(204, "")

    def _delete_command(self, match: re.Match[str], _: Request) -> Answer:
        for wrapper in self.commands.pop(int(match[1]))["xnat"]:
            of_it = re.compile(rf".*/wrappers/{wrapper['id']}/.*")
            self.enabled = {path for path in self.enabled if not of_it.fullmatch(path)}
            self.configs = {path: value for path, value in self.configs.items() if not of_it.fullmatch(path)}
        return Answer(204, "")

    def _script(self, match: re.Match[str], request: Request) -> Answer:
        self.scripts[match[1]] = request.text if request.text is not None else json.dumps(request.json)
        return Answer(200, "")

    def _config(self, match: re.Match[str], request: Request) -> Answer:
        self.configs[match[1]] = request.json
        return Answer(200, "")

    def _new(self, table: dict[int, dict[str, Any]], row: dict[str, Any]) -> Answer:
        number = self._id()
        if not self.forgetful:
            table[number] = {"id": number, **row}
        return Answer(201, f"{row.get('name', '')}:{number}")

    def _replace(self, table: dict[int, dict[str, Any]], number: int, row: dict[str, Any]) -> Answer:
        table[number] = {**table[number], **row}
        return Answer(200, "")

    def _prefs(self, _: re.Match[str], request: Request) -> Answer:
        self.events_on = bool(request.json["enabled"])
        return Answer(200, "")

    def _form(self, _: re.Match[str], request: Request) -> Answer:
        data = request.json["submission"]["data"]
        row_id = data["idCustomVariableFormAppliesTo"]
        if row_id == "-1_-1":
            row_id = f"{self._id()}_1"
        known = self.forms.get(row_id, {"formUUID": str(uuid.uuid4())})
        project = data["xnatProject"][0]["value"]
        applies = {"entityId": project, "idCustomVariableFormAppliesTo": row_id, "status": "enabled"}
        self.forms[row_id] = {
            "appliesToList": [applies],
            "contents": json.dumps(request.json["builder"]),
            "formUUID": known["formUUID"],
            "path": f"datatype/{data['xnatDatatype']['value']}/",
            "scope": "Project",
        }
        return Answer(201, known["formUUID"])

    def _text(self, match: re.Match[str], request: Request) -> Answer:
        self.texts[match[1]] = request.text or ""
        return Answer(201, "")
