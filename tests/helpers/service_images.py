"""Stand-ins for the official images of PostgreSQL and NGINX, on an engine that can pull nothing.

Debian's packages on the tests' base image, under the official names, with as much of the official entry as our compose
files rely on: the data folder is made from the settings in the environment, and what is called is run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from helpers.base_image import BASE_IMAGE
from helpers.docker_engine import Engine, build

POSTGRES_IMAGE, NGINX_IMAGE = "postgres:15.14", "nginx:1.28"
_PROGRAMS = "/usr/lib/postgresql/15/bin:/usr/bin:/bin:/usr/sbin"

_POSTGRES_ENTRY = """#!/bin/sh
set -eu
export PATH="$(ls -d /usr/lib/postgresql/*/bin | tail -1):$PATH"
run() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  install -d -o postgres -m 0700 "$PGDATA"
  cp "$POSTGRES_PASSWORD_FILE" /tmp/password && chown postgres /tmp/password
  run initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=/tmp/password --encoding=UTF8 --locale=C.UTF-8 \\
    --auth-host=scram-sha-256 --auth-local=trust --no-sync >/dev/null
  rm /tmp/password
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  run pg_ctl --pgdata="$PGDATA" -o "-c listen_addresses=" -w start >/dev/null
  run createdb --username="$POSTGRES_USER" "$POSTGRES_DB" 2>/dev/null || true
  run pg_ctl --pgdata="$PGDATA" -m fast -w stop >/dev/null
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -D "$PGDATA" -c listen_addresses='*'
"""


def import_service_images(engine: Engine) -> None:
    """Make both images; the base image must be there."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        (context / "entry").write_text(_POSTGRES_ENTRY)
        (context / "entry").chmod(0o755)
        install = (
            f"FROM {BASE_IMAGE}\n"
            "RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "
        )
        (context / "postgres").write_text(
            f'{install}postgresql\nCOPY entry /entry\nENV PATH {_PROGRAMS}\nENTRYPOINT ["/entry"]\n'
        )
        (context / "nginx").write_text(f"{install}nginx-light\n")
        build(engine, context, dockerfile="postgres", tag=POSTGRES_IMAGE)
        build(engine, context, dockerfile="nginx", tag=NGINX_IMAGE)
