"""A stand-in for Triton: a server of the KServe v2 HTTP protocol with one model, which marks what is bright.

As the protocol's "predict" extension for binary tensor data has it (a JSON header whose length a request header tells,
then the tensors). A genuine server is to be had from NVIDIA's registry alone.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_LENGTH = "Inference-Header-Content-Length"


@dataclass
class Server:
    """What the stand-in serves, and what it was asked."""

    threshold: float = 3.0
    steepness: float = 40.0
    ready: bool = True
    address: str = ""
    asked: list[str] = field(default_factory=list)
    shapes: list[list[int]] = field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass

    def do_GET(self) -> None:
        self.served.asked.append(self.path)
        if self.path == "/v2/models/bright/versions/3/ready":
            self._answer(200 if self.served.ready else 400, b"")
        elif self.path == "/v2/models/bright/versions/3":
            tensor = {"datatype": "FP32", "shape": [-1, 1, -1, -1, -1]}
            told = {
                "name": "bright", "versions": ["3"], "platform": "onnxruntime_onnx",
                "inputs": [{"name": "image", **tensor}], "outputs": [{"name": "logits", **tensor}],
            }  # fmt: skip
            self._answer(200, json.dumps(told).encode())
        else:
            self._answer(400, b'{"error":"Request for unknown model"}')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        size = int(self.headers[_LENGTH])
        asked, tensors = json.loads(body[:size]), body[size:]
        self.served.asked.append(self.path)
        (given,) = asked["inputs"]
        self.served.shapes.append(given["shape"])
        if self.path != "/v2/models/bright/versions/3/infer" or given["name"] != "image":
            self._answer(400, b'{"error":"unexpected inference input"}')
            return
        assert given["datatype"] == "FP32"
        assert given["parameters"]["binary_data_size"] == len(tensors)
        values = np.frombuffer(tensors, dtype="<f4")
        made = ((values - self.served.threshold) * self.served.steepness).astype("<f4").tobytes()
        output = {
            "name": asked["outputs"][0]["name"], "datatype": "FP32", "shape": given["shape"],
            "parameters": {"binary_data_size": len(made)},
        }  # fmt: skip
        head = json.dumps({"model_name": "bright", "model_version": "3", "outputs": [output]}).encode()
        self._answer(200, head + made, {_LENGTH: str(len(head))})

    def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def kserve() -> Iterator[Server]:
    """Serve on a free port of the loopback."""
    served = Server()
    handler = type("Handler", (_Handler,), {"served": served})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        served.address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
