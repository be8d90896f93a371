"""The files of compose/: read by docker-compose, held to Kubernetes' schemas, and to what its README promises."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
COMPOSE_SCHEMA = Path("/usr/lib/python3/dist-packages/compose/config/compose_spec.json")
BACKEND = list(yaml.safe_load_all((COMPOSE / "kubernetes" / "backend.yaml").read_text("utf-8")))


def run(program: str, *arguments: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMPOSE / "bin" / program), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settings(tmp_path: Path, **changes: str) -> Path:
    """`.env` as the example has it, with changes."""
    text = (COMPOSE / ".env.example").read_text("utf-8")
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^{key}=.*$", f"{key}={value}", text)
        text += "" if count else f"{key}={value}\n"
    path = tmp_path / "env"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.needs("docker-compose")
@pytest.mark.parametrize(
    "changes", [{"STACK": "hub"}, {"STACK": "xnat"}, {"EXTRA": "triton gpu", "TRITON_MODELS": "/m"}]
)
def test_docker_compose_reads_the_stack_and_little_is_published(tmp_path: Path, changes: dict[str, str]) -> None:
    done = run("stack", "config", ENV_FILE=str(settings(tmp_path, **changes)))
    assert done.returncode == 0, done.stderr
    config: dict[str, Any] = yaml.safe_load(done.stdout)
    ports = {name: service["ports"] for name, service in config["services"].items() if "ports" in service}
    assert {name: [str(port) for port in given] for name, given in ports.items()} == {
        "proxy": ["0.0.0.0:443:8443/tcp"],
        "web": ["0.0.0.0:8104:8104/tcp"],
    }
    assert config["networks"]["inside"]["internal"]
    for name, service in config["services"].items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "mem_limit" in service, name
        assert "healthcheck" in service or name == "proxy", name
        assert not service.get("privileged"), name
        assert "PASSWORD" not in " ".join(k for k in service.get("environment", {}) if not k.endswith("_FILE")), name


def test_the_compose_files_keep_the_specification() -> None:
    """By the specification's JSON Schema, which Debian's docker-compose carries."""
    if not COMPOSE_SCHEMA.is_file():
        pytest.skip("docker-compose is not installed")
    schema = json.loads(COMPOSE_SCHEMA.read_text("utf-8"))
    validator = jsonschema.Draft201909Validator(schema)
    files = sorted(COMPOSE.glob("*.yaml"))
    assert len(files) == 5
    for path in files:
        document = yaml.safe_load(path.read_text("utf-8"))
        assert [error.message for error in validator.iter_errors(document)] == [], path.name
        document["services"]["web"] = {"image": "x", "ports": "443"}
        assert list(validator.iter_errors(document)), "a list of ports is no text: the schema must say so"


def test_dockerfiles_are_linted() -> None:
    """hadolint, with .hadolint.yaml; whoever lets a rule go says why there."""
    program = Path(sys.executable).with_name("hadolint")
    files = sorted([*COMPOSE.glob("*/Dockerfile"), *ROOT.glob("containers/*/Dockerfile")])
    assert len(files) > 5
    command = [str(program), "--config", str(ROOT / ".hadolint.yaml"), "--no-color", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_an_image_carries_is_listed(tmp_path: Path) -> None:
    """With this machine in the image's place: what is asked runs in a shell either way."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$8" = -c ] && [ "$7" = overread/hub:0.1.0 ] || exit 1\nexec sh -c "$9"\n')
    docker.chmod(0o755)
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = run("sbom", "overread/hub:0.1.0", PATH=path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["bomFormat"], document["metadata"]["component"]["version"]) == ("CycloneDX", "0.1.0")
    places = [part["purl"] for part in document["components"]]
    assert f"pkg:pypi/pyyaml@{yaml.__version__}" in places
    assert len(set(places)) == len(places) == len({part["bom-ref"] for part in document["components"]})
    other = run("sbom", "no/such:1", PATH=path)
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr.startswith("sbom: no/such:1 can't be asked")
    assert run("sbom", PATH=path).returncode == 2


def artifacts(folder: Path, digest: str) -> subprocess.CompletedProcess[str]:
    (folder / "artifacts.tsv").write_text(f"# file\nx.war\t1.9.3\t{digest}\thttps://example.org/x.war\n")
    command = [str(COMPOSE / "xnat" / "check-artifacts"), *(["yes"] if folder.name == "told" else [])]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_build_refuses_what_is_not_pinned_unless_told(tmp_path: Path) -> None:
    missing = artifacts(tmp_path, "-")
    assert (missing.returncode, missing.stderr) == (1, "x.war 1.9.3 is not there: run compose/bin/pin\n")
    (tmp_path / "x.war").write_bytes(b"war")
    unpinned = artifacts(tmp_path, "-")
    assert unpinned.returncode == 1
    assert "x.war 1.9.3 has no digest in artifacts.tsv" in unpinned.stderr
    other = artifacts(tmp_path, "0" * 64)
    assert other.returncode == 1
    assert "is not the file that was pinned" in other.stderr
    assert artifacts(tmp_path, hashlib.sha256(b"war").hexdigest()).returncode == 0
    told = tmp_path / "told"
    told.mkdir()
    (told / "x.war").write_bytes(b"war")
    taken = artifacts(told, "-")
    assert taken.returncode == 0
    assert hashlib.sha256(b"war").hexdigest() in taken.stderr


def test_a_stack_that_is_not_set_up_says_what_to_do(tmp_path: Path) -> None:
    missing = run("stack", "config", ENV_FILE=str(tmp_path / "none"))
    assert missing.returncode == 1
    assert missing.stderr == f"stack: {tmp_path}/none is missing; copy .env.example and change it\n"
    wrong = run("stack", "config", ENV_FILE=str(settings(tmp_path, STACK="other")))
    assert wrong.stderr == f"stack: STACK in {tmp_path}/env must be hub or xnat\n"
    extra = run("stack", "config", ENV_FILE=str(settings(tmp_path, EXTRA="moon")))
    assert "names moon, and there is no moon.yaml" in extra.stderr


@pytest.mark.needs("openssl")
def test_secrets_are_made_once_in_a_folder_that_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert run("new-secrets", folder, "overread.example.org").returncode == 0
    assert folder.stat().st_mode & 0o777 == 0o700
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(first) == {"admin_password", "database_password", "ldap_password", "tls_certificate.pem", "tls_key.pem"}
    assert len(first["admin_password"]) >= 30
    assert len(set(first.values())) == len(first)
    assert run("new-secrets", folder, "other.example.org").returncode == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


@pytest.mark.parametrize("name", ["../escape", ".hidden", "a b", "a;reboot"])
def test_names_of_backups_are_plain(name: str) -> None:
    for program in ("backup", "restore"):
        done = run(program, name, ENV_FILE="/nonexistent")
        assert done.returncode == 1
        assert "is no plain name" in done.stderr


def test_pin_writes_a_digest_once_and_refuses_another(tmp_path: Path) -> None:
    """With addresses of files, since what they name is only to be had from XNAT's own servers."""
    source = tmp_path / "xnat.war"
    source.write_bytes(b"one")
    place = tmp_path / "compose" / "xnat"
    place.mkdir(parents=True)
    (tmp_path / "compose" / "bin").mkdir()
    pin = tmp_path / "compose" / "bin" / "pin"
    pin.write_bytes((COMPOSE / "bin" / "pin").read_bytes())
    pin.chmod(0o755)
    table = place / "artifacts.tsv"
    table.write_text(f"# note\nxnat-web.war\t1.9.3\t-\t{source.as_uri()}\n", "utf-8")

    def call() -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(pin)], capture_output=True, text=True, timeout=60, check=False)

    assert call().returncode == 0
    digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"  # of "one"
    assert table.read_text("utf-8") == f"# note\nxnat-web.war\t1.9.3\t{digest}\t{source.as_uri()}\n"
    (place / "artifacts" / "xnat-web.war").write_bytes(b"two")
    refused = call()
    assert refused.returncode == 1
    assert f"and artifacts.tsv wants {digest}; delete the file" in refused.stderr
    assert digest in table.read_text("utf-8")
    table.write_text(f"xnat-web.war\t1.9.3\t-\t{(tmp_path / 'gone').as_uri()}\n", "utf-8")
    (place / "artifacts" / "xnat-web.war").unlink()
    assert "can't be downloaded from" in call().stderr


def test_artifacts_table_has_its_four_columns() -> None:
    rows = [line.split("\t") for line in (COMPOSE / "xnat" / "artifacts.tsv").read_text("utf-8").splitlines()]
    assert [row[0] for row in rows if not row[0].startswith("#")] == [
        "xnat-web.war", "container-service.jar", "ohif-viewer.jar", "ldap-auth.jar",
    ]  # fmt: skip
    for _, _, digest, address in rows[1:]:
        assert digest == "-" or re.fullmatch(r"[0-9a-f]{64}", digest)
        assert address.startswith("https://")


@pytest.mark.parametrize("document", BACKEND, ids=lambda document: f"{document['kind']}-{document['metadata']['name']}")
@pytest.mark.parametrize("version", ["1.29", "1.33"])
def test_kubernetes_takes_the_backend(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_runs_in_the_cluster_have_no_network_and_limits() -> None:
    kinds = {document["kind"]: document for document in BACKEND}
    assert kinds["NetworkPolicy"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert {document["metadata"].get("namespace", "overread-runs") for document in BACKEND} == {"overread-runs"}
    assert not [rule for rule in kinds["Role"]["rules"] if "*" in str(rule) or "secrets" in rule["resources"]]
