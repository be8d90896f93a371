"""pynetdicom's own programs: echo, send a folder, and ask for what the hub does not offer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.arrivals import ledger, receiving_hub, wait_until
from helpers.exam_files import write_series
from hub_fixture import RunningHub
from overread.synthetic.phantoms import make_mr_series

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHub, int]]:
    running, port = receiving_hub(tmp_path_factory.mktemp("apps"), quiet_default_s=600.0)
    yield running, port
    running.stop()


def app(program: str, port: int, *arguments: str | Path, called: str = "BTS") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pynetdicom", program, "127.0.0.1", str(port), *map(str, arguments)]
    return subprocess.run(
        [*command, "-aec", called, "-aet", "APPS", "-v"], capture_output=True, text=True, timeout=120, check=False
    )


def test_echo(served: tuple[RunningHub, int]) -> None:
    done = app("echoscu", served[1])
    assert done.returncode == 0, done.stderr
    assert "0x0000 - Success" in done.stderr + done.stdout
    refused = app("echoscu", served[1], called="NOBODY")
    assert refused.returncode != 0
    assert "Called AE title not recognised" in refused.stderr + refused.stdout


def test_a_folder_is_sent(served: tuple[RunningHub, int], tmp_path: Path) -> None:
    images = make_mr_series((5, 16, 20), seed=5)
    done = app("storescu", served[1], write_series(tmp_path, images), "-cx")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: len(ledger(served[0], "received")) == len(images))
    assert {line.sop_instance_uid for line in ledger(served[0])} == {str(image.SOPInstanceUID) for image in images}


def test_a_query_is_refused_clearly_and_the_hub_goes_on(served: tuple[RunningHub, int]) -> None:
    done = app("findscu", served[1], "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=*", "-tn", "2")
    assert done.returncode != 0
    assert "No presentation context" in done.stderr + done.stdout
    assert app("echoscu", served[1]).returncode == 0
