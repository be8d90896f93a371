"""The pages of a study's plugin, rendered by the engine that XNAT has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from overread.plugins.build import Built, build_plugin

ROOT = Path(__file__).parents[3]
JAVA = Path(__file__).parent / "java" / "RenderTemplate.java"
LIBRARIES = ":".join(
    f"/usr/share/java/{name}.jar"
    for name in ("velocity", "velocity-tools", "commons-collections3", "commons-lang", "commons-logging")
)
RESULT = {"ID": "XNAT_E2", "project": "BTS", "imageSession_ID": "XNAT_E1", "xsiType": "braintumor:resultData"}

pytestmark = [pytest.mark.needs("velocity"), pytest.mark.needs("java")]


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("renderer")
    subprocess.run(["javac", "-cp", LIBRARIES, "-d", str(folder), str(JAVA)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build_plugin(ROOT / "xnat-plugins" / "brain-tumor", tmp_path_factory.mktemp("plugins"))


def render(renderer: Path, built: Built, template: str, **item: str) -> str:
    screens = built.sources / "src/main/resources/META-INF/resources/templates/screens"
    assert (screens / template).is_file()
    pairs = [f"{key}={value}" for key, value in {**RESULT, **item}.items()]
    done = subprocess.run(
        ["java", "-cp", f"{renderer}:{LIBRARIES}", "RenderTemplate", str(screens), template, *pairs],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_report_page_hands_over_to_xnats_own_report(renderer: Path, built: Built, tmp_path: Path) -> None:
    screens = built.sources / "src/main/resources/META-INF/resources/templates/screens"
    (screens / "fragment_report.vm").write_text("the report of $om.getId()", "utf-8")
    try:
        page = render(renderer, built, "XDATScreen_report_braintumor_resultData.vm", message="<b>saved</b>")
    finally:
        (screens / "fragment_report.vm").unlink()
    assert "the report of XNAT_E2" in page
    assert "&lt;b&gt;saved&lt;/b&gt;" in page


def test_fields_are_shown_with_their_units_and_nothing_of_them_is_markup(renderer: Path, built: Built) -> None:
    page = render(
        renderer,
        built,
        "braintumor_resultData/braintumor_resultData_keyFields.vm",
        label="BT-1",
        **{
            "braintumor:resultData/lesion_volume_ml": "0.0",
            "braintumor:resultData/reason": "<script>alert(1)</script> & more",
        },
    )
    assert '<tr><th align="left">Lesion volume [mL]</th><td>0.0</td></tr>' in page
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt; &amp; more</td>" in page
    assert "Longest axial diameter" not in page  # it has no value
    assert 'href="/xnat/overread/review/index.html?project=BTS&amp;experiment=XNAT_E1"' in page


def test_actions_open_the_review_app(renderer: Path, built: Built) -> None:
    of_result = render(renderer, built, "braintumor_resultData/actionsBox/overreadBrainTumorReview.vm", project='B"T&S')
    assert 'href="/xnat/overread/review/index.html?project=B%22T%26S&amp;experiment=XNAT_E1"' in of_result


def test_sessions_without_a_result_get_no_link(renderer: Path, built: Built) -> None:
    template = "xnat_imageSessionData/actionsBox/overreadBrainTumorReview.vm"
    session = {"ID": "XNAT_E1", "xsiType": "xnat:mrSessionData"}
    with_result = render(renderer, built, template, **session, assessor="braintumor:resultData")
    assert "experiment=XNAT_E1" in with_result
    assert "<li" not in render(renderer, built, template, **session)
    assert "<li" not in render(renderer, built, template, **session, assessor="other:resultData")


def test_notes_to_xnat_stand_on_lines_of_their_own_at_the_top(built: Built) -> None:
    for path in (built.sources / "src/main/resources").rglob("actionsBox/*.vm"):
        title, sequence, *_ = path.read_text("utf-8").splitlines()
        assert title.startswith("<!-- title: ")
        assert sequence == "<!-- Sequence: 5 -->"
