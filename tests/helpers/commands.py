"""A small command that is right, for tests to break."""

from __future__ import annotations

from typing import Any

COMMAND: dict[str, Any] = {
    "name": "knee-volume",
    "version": "1.0.0",
    "type": "docker",
    "image": "overread/knee-volume:1.0.0",
    "command-line": "python main.py --input /input --output /output --mode #mode#",
    "environment-variables": {"OVERREAD_PROJECT": "#project#"},
    "mounts": [
        {"name": "in", "writable": False, "path": "/input"},
        {"name": "out", "writable": True, "path": "/output"},
    ],
    "inputs": [
        {"name": "mode", "type": "select-one", "select-values": ["fast", "full"], "default-value": "full"},
        {"name": "project", "type": "string"},
        {"name": "series-rules", "type": "string", "default-value": ""},
        {"name": "image-digest", "type": "string", "default-value": ""},
    ],
    "outputs": [
        {"name": "result", "required": True, "mount": "out", "path": "assessor.xml"},
        {"name": "seg", "required": False, "mount": "out", "path": "seg.dcm"},
    ],
    "xnat": [
        {
            "name": "knee-session",
            "contexts": ["xnat:mrSessionData"],
            "external-inputs": [
                {"name": "session", "type": "Session", "required": True, "provides-files-for-command-mount": "in"}
            ],
            "derived-inputs": [
                {
                    "name": "project-id",
                    "type": "string",
                    "derived-from-wrapper-input": "session",
                    "derived-from-xnat-object-property": "project-id",
                    "provides-value-for-command-input": "project",
                }
            ],
            "output-handlers": [
                {
                    "name": "result",
                    "accepts-command-output": "result",
                    "type": "Assessor",
                    "xsi-type": "knee:resultData",
                    "as-a-child-of": "session",
                },
                {
                    "name": "seg",
                    "accepts-command-output": "seg",
                    "type": "Resource",
                    "label": "SEG",
                    "as-a-child-of": "result",
                },
            ],
        }
    ],
}
