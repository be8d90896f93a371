"""The core plugin's Java, run: it judges signed addresses as Python does, and keeps secrets to XNAT's own account."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from overread.errors import SpecError
from overread.plugins.build import build_plugin
from overread.study.button import Address, check_secret, fingerprint, refusal, sign

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "xnat-plugins" / "core" / "java" / "org" / "overread" / "xnat" / "core"
SECRET = "a|secret-of-the-button"
GOOD = sign("brain-tumor", "uid", "1.2.840.1", 2_000_000_000, SECRET)

pytestmark = pytest.mark.needs("javac", "java")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("classes")
    files = [str(SOURCES / "ButtonSecrets.java"), str(Path(__file__).parent / "java" / "CheckButton.java")]
    subprocess.run(["javac", "--release", "8", "-Xlint:-options", "-d", str(out), *files], check=True)
    return out


def java(classes: Path, *lines: tuple[str, ...]) -> list[str]:
    """Ask all lines of one start of Java."""
    command = ["java", "-Xshare:auto", "-cp", str(classes), "org.overread.xnat.core.CheckButton"]
    text = "".join("\t".join(line) + "\n" for line in lines)
    return subprocess.run(command, check=True, capture_output=True, input=text.encode()).stdout.decode().splitlines()


ADDRESSES = [
    (GOOD, 1_999_999_999, ""),
    (GOOD, 2_000_000_001, "expired"),
    (sign("brain-tumor", "accession", "\u00c4 1|2", 2_000_000_000, SECRET), 1_000_000_000, ""),
    (Address("hip-fracture", "uid", GOOD.value, GOOD.expires, GOOD.signature), 1, "wrong"),
    (Address(GOOD.study, "accession", GOOD.value, GOOD.expires, GOOD.signature), 1, "wrong"),
    (Address(GOOD.study, "uid", "1.2.840.2", GOOD.expires, GOOD.signature), 1, "wrong"),
    (Address(GOOD.study, "uid", GOOD.value, "2999999999", GOOD.signature), 1, "wrong"),
    (Address(GOOD.study, "uid", GOOD.value, GOOD.expires, GOOD.signature.upper()), 1, ""),
    (Address(GOOD.study, "uid", GOOD.value), 1, "unsigned"),
    (Address(GOOD.study, "uid", GOOD.value, "", GOOD.signature), 1, "unsigned"),
]


def test_java_and_python_judge_an_address_alike(classes: Path) -> None:
    lines = []
    for address, now, _ in ADDRESSES:
        given = {"study": address.study, address.key: address.value}
        given |= {"expires": address.expires, "signature": address.signature}
        lines.append(("check", SECRET, str(now), *(f"{name}={value}" for name, value in given.items())))
    said = java(classes, *lines)
    assert said == [f"{why},{fingerprint(SECRET)},true" for _, _, why in ADDRESSES]
    assert [refusal(address, SECRET, now) for address, now, _ in ADDRESSES] == [why for _, _, why in ADDRESSES]


def test_secrets_are_kept_for_xnats_account_alone(classes: Path, tmp_path: Path) -> None:
    path = tmp_path / "config" / "overread" / "buttons.properties"
    file = str(path)
    said = java(
        classes,
        (file, "of", "BTS"),
        (file, "put", "BTS", SECRET),
        (file, "put", "LIVER", SECRET * 2),
        (file, "of", "BTS"),
    )
    assert said == ["null", SECRET, SECRET * 2, SECRET]
    assert path.stat().st_mode & 0o777 == 0o600
    assert java(classes, (file, "put", "BTS"), (file, "of", "LIVER")) == ["null", SECRET * 2]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("secret", ["short", "has a blank in it, and is long", "x" * 257, ""])
def test_a_secret_that_could_be_guessed_or_mangled_is_refused(secret: str) -> None:
    with pytest.raises(SpecError, match="20 to 256 letters"):
        check_secret(secret)


def test_the_classes_are_in_the_jar_that_is_built_against_a_war_alone(tmp_path: Path) -> None:
    folder = tmp_path / "core"
    (folder / "web").mkdir(parents=True)
    (folder / "web" / "a.js").write_text("1", "utf-8")
    (folder / "java" / "org").mkdir(parents=True)
    (folder / "java" / "org" / "Mine.java").write_text("package org; public class Mine {}", "utf-8")
    text = "id: overreadCore\nname: Core\nversion: 0.1.0\ndescription: App.\nresources: {web: overread}\njava: java\n"
    (folder / "plugin.yaml").write_text(text, "utf-8")
    with pytest.raises(SpecError, match="give both, or neither"):
        build_plugin(folder, tmp_path / "out")
    (folder / "plugin.yaml").write_text(f"{text}java_class: org.Mine\n", "utf-8")
    built = build_plugin(folder, tmp_path / "out", stubs=ROOT / "tests" / "plugin_stubs")
    assert (built.is_release, built.checked) == (False, "Java checked against stubs")
