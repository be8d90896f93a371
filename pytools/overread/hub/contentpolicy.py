"""What browsers may do with what we send (Content-Security-Policy).

Answers run no script at all: whatever a file that somebody stored may hold. Pages of ours run the scripts that they
name; the viewer besides makes functions from text and starts workers from blobs.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

HEADER: Final = "content-security-policy"
_REST: Final = "frame-ancestors 'self'; base-uri 'self'; object-src 'self' blob:; form-action 'self'"
_INLINE: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def policy(*scripts: str, workers: str = "") -> str:
    """Return the policy under which scripts of these sources run, and workers of those; without any, none."""
    sources = " ".join(scripts) or "'none'"
    return f"script-src {sources}; {f'worker-src {workers}; ' if workers else ''}{_REST}"


def hashes(page: str) -> list[str]:
    """Return the sources that let the scripts run which stand in a page itself."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _INLINE.findall(page))
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


NO_SCRIPT: Final = policy()
OWN_SCRIPTS: Final = policy("'self'")
