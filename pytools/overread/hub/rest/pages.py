"""The frame of the hub's own pages."""

from __future__ import annotations

import html
import json

from starlette.responses import HTMLResponse, Response

from overread.hub import contentpolicy
from overread.hub.http import Call

_STYLE = """
:root { color-scheme: dark; --back: #14181f; --raised: #1e2530; --text: #e6eaf0; --dim: #9aa7b8; --accent: #6fb3ff; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
header { display: flex; gap: 1rem; align-items: baseline; padding: .8rem 1.5rem; background: var(--raised); }
header b { font-size: 1.1rem; letter-spacing: .03em; }
header span { margin-left: auto; color: var(--dim); }
main { max-width: 70rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
a { color: var(--accent); } p { color: var(--dim); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #2b3442; vertical-align: top; }
th { color: var(--dim); font-weight: 500; } td { overflow-wrap: anywhere; }
table.fields th { width: 16rem; }
form.login { max-width: 22rem; margin: 12vh auto 0; padding: 2rem; background: var(--raised); border-radius: .6rem; }
form.login label { display: block; margin-top: 1rem; color: var(--dim); }
input { width: 100%; padding: .55rem .7rem; border: 1px solid #3a4658; border-radius: .35rem; background: var(--back);
  color: var(--text); font: inherit; }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
button { width: 100%; margin-top: 1.5rem; padding: .6rem; border: 0; border-radius: .35rem; background: var(--accent);
  color: #08121f; font: inherit; font-weight: 600; cursor: pointer; }
.problem { margin: 1rem 0 0; padding: .5rem .7rem; border-left: 3px solid #ff8f7a; background: #3a2422;
  color: #ffd9d1; }
"""


def page(call: Call, title: str, body: str) -> str:
    """Return a whole page. `body` is HTML; `title` is text.

    Like every page of XNAT's it defines the global ``csrfToken``, which scripts of plugins read.
    """
    token = call.hub.sessions.csrf(call.session_id or "")
    if call.caller.is_guest:
        # xnatpy recognises a guest by exactly this text.
        who = 'Logged in as: <span style="color:red;">Guest</span>'
    else:
        who = f"Logged in as: {html.escape(call.caller.login)}"
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<script>var csrfToken = '{_for_script(token)}';</script></head>\n"
        f'<body><header><b>Overread</b><a href="/">Home</a><span id="user_info">{who}</span></header>\n'
        f"<main><h1>{html.escape(title)}</h1>{body}</main></body></html>\n"
    )


def answer(call: Call, title: str, body: str, *, status: int = 200) -> Response:
    """Answer a whole page, which runs no script but its own."""
    content = page(call, title, body)
    headers = {contentpolicy.HEADER: contentpolicy.policy(*contentpolicy.hashes(content))}
    return HTMLResponse(content, status_code=status, headers=headers)


def link(text: str, target: str) -> str:
    """Return an escaped link."""
    return f'<a href="{html.escape(target)}">{html.escape(text)}</a>'


def _for_script(token: str) -> str:
    return json.dumps(token)[1:-1].replace("<", "\\u003c")
