"""``bench/results.json`` and the page made from it: ``python -m bench.report`` (in tests/) writes the page anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = REPOSITORY / "bench" / "results.json"
PAGE: Final = REPOSITORY / "docs" / "reference" / "performance.md"

US, ORTHANC, STORESCP = "Overread", "Orthanc", "dcmtk storescp"
_SYNCED: Final = {
    US: "yes, the file and its name",
    ORTHANC: "yes, the file (its default)",
    STORESCP: "no",
}
_HEAD: Final = """# How fast it is

Measured by `make bench`, which writes `bench/results.json` and this page from it: change neither by hand.
"""
_INGEST: Final = """
## Receiving

Synthetic CT of 512x512, 16 bits, {image_kb} kB, explicit VR little endian, over loopback, sent by dcmtk's `storescu`:
{images} images over each association, a new exam each time. All receivers run at once, but one is sent to at a time,
one after the other, {rounds} rounds. `TCP_NODELAY=1` for sender and receivers (without it dcmtk and Orthanc answer
42 ms late), PDUs of 128 kB. Figures are medians of all rounds; a ratio is the median of the rounds' ratios, since noise
on the machine moves those less.
"""
_INGEST_END: Final = """
Aims: 0.8x Orthanc with one association, 1.2x with four. Overread's processor time includes filing the images (ledger
and prearchive), which goes on after the answer. Images filed per second, from the first byte till the last is filed:
{filed}. Memory is that of all processes at the end (PSS).
"""


def load() -> dict[str, Any]:
    """Return what was measured, {} if nothing was."""
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found


def save(results: Mapping[str, Any]) -> None:
    """Write results and page."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(results))


def page(results: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = [_HEAD]
    if taken := results.get("taken"):
        parts.append(
            f"\nTaken on {taken['date']}: {taken['cores']} processor cores, Python {taken['python']}, dcmtk "
            f"{taken.get('storescp', 'absent')}, Orthanc {taken.get('orthanc', 'absent')}. Others used the machine "
            f"meanwhile ({_loads(results)}): processor times and ratios say more than figures.\n"
        )
    if ingest := results.get("ingest"):
        parts.append(_ingest(ingest))
    rows = [*_rows(results), *_images(results), *_opening(results)]
    if rows:
        parts += ["\n## All else\n\n", _table(("what", "aim", "measured", ""), rows)]
    return "".join(parts)


def _loads(results: Mapping[str, Any]) -> str:
    """Return how busy the machine was: each part may be measured at a time of its own."""
    loads = results.get("loads", {}).values() or [0.0]
    return f"load {min(loads):g} to {max(loads):g}"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return how much faster ours is: the median over rounds that were measured side by side."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def _ingest(ingest: Mapping[str, Any]) -> str:
    rates = ingest["images_per_s"]
    rows: list[Sequence[str]] = []
    for name in (US, ORTHANC, STORESCP):
        if name not in rates["1"]:
            rows.append((name, "not installed", "", "", "", ""))
            continue
        row = [name, _SYNCED[name]]
        for associations in ("1", "4"):
            theirs = rates[associations].get(ORTHANC)
            rate = f"{median(rates[associations][name]):.0f}"
            against = f" ({ratios(rates[associations][name], theirs):.2f}x Orthanc)" if theirs and name == US else ""
            row.append(rate + against)
        row.append(f"{median(ingest['cpu_ms_per_image'][name]):.1f}")
        row.append(f"{ingest['memory_mb'][name]:.0f}")
        rows.append(row)
    filed = ", ".join(f"{median(ingest['filed_per_s'][n]):.0f} with {n}" for n in ("1", "4"))
    text = _INGEST.format(
        image_kb=round(ingest["image_bytes"] / 1024),
        images=ingest["images"],
        rounds=len(rates["1"][US]),
    )
    head = ("receiver", "synced before the answer", "1 association, images/s", "4", "CPU ms/image", "memory, MB")
    return f"{text}\n{_table(head, rows)}{_INGEST_END.format(filed=filed)}"


def _rows(results: Mapping[str, Any]) -> Iterable[tuple[str, str, str, str]]:
    if start := results.get("container_start"):
        late = [one - start["quiet_s"] for one in start["seconds"]]
        yield (
            "last image to start of the container",
            "quiet time + 1 s",
            f"quiet time + {median(late):.2f} s",
            f"quiet time {start['quiet_s']:g} s; slowest of {len(late)}: + {max(late):.2f} s",
        )
    if runs := results.get("runs"):
        yield ("launches per second (bulk)", "", f"{runs['launches_per_s']:.0f}", f"{runs['count']} at once")
        yield (
            "assessors per second, by runs",
            "100",
            f"{runs['runs_with_assessor_per_s']:.0f}",
            f"each with its whole run, launch to files stored; the container does nothing{_cpu(runs, 'run')}",
        )
    if written := results.get("assessors"):
        yield (
            "assessors per second, by REST",
            "100",
            f"{written['per_s_1']:.0f}",
            f"one client{_cpu(written, '1')}; {written['per_s_4']:.0f} with four clients{_cpu(written, '4')}",
        )
    if many := results.get("many"):
        size = f"{many['sessions']:,} sessions, {many['files']:,} files"
        yield (
            "list of all sessions, p95",
            "100 ms",
            f"{many['list_p95_ms']:.0f} ms",
            f"JSON, all rows; {size}{_cpu(many, 'list')}",
        )
        yield (
            "a page of 100 of them, p95",
            "",
            f"{many['page_p95_ms']:.0f} ms",
            f"sorted by label{_cpu(many, 'page')}",
        )
        yield ("search by pattern, p95", "", f"{many['search_p95_ms']:.0f} ms", "`label=*_0012*`")
        yield ("QIDO of one study's series, p95", "", f"{many['qido_p95_ms']:.0f} ms", "")
        yield ("lists per second", "", f"{many['lists_per_s']:.0f}", "scans of a session, four clients")
        yield ("files per second", "", f"{many['files_per_s']:.0f}", "small files, four clients")
        yield ("start with all that", "2 s", f"{many['start_s']:.2f} s", f"{size}")
    if start := results.get("start"):
        yield (
            "start, from the command till it answers (`/healthz`)",
            "0.5 s",
            f"{median(start['seconds']):.2f} s",
            f"home in use; first page after {median(start['page_s']):.2f} s ({median(start['cpu_s']):.2f} s of CPU)",
        )
    if ingest := results.get("ingest"):
        yield (
            "memory under load",
            "300 MB",
            f"{ingest['memory_mb'][US]:.0f} MB",
            f"hub and receiving processes, while receiving; the hub alone {ingest['resident_mb']:.0f} MB resident",
        )


def _cpu(found: Mapping[str, Any], name: str) -> str:
    """Return what the hub itself takes for one, which others on the machine change little."""
    taken = found.get(f"cpu_ms_{name}", found.get(f"{name}_cpu_ms"))
    return "" if taken is None else f" ({taken:.1f} ms of processor time each)"


_IMAGES: Final = (
    ("images_choose_s", "choosing the series among 2,000 instances (1 GB)", {"pydicom": 4.0}),
    ("images_read_s", "200 slices to a volume", {"SimpleITK": 2.0, "MONAI LoadImage": 4.0}),
    ("images_seg_write_s", "SEG written: 3 segments, 300 slices", {"highdicom": 1.5}),
    ("images_seg_volumes_s", "volumes from that SEG", {"highdicom": 5.0}),
)
_ALL_BUT_INFERENCE_S: Final = 5.0


def _images(results: Mapping[str, Any]) -> Iterable[tuple[str, str, str, str]]:
    """Yield rows of what images do, each beside its peers; a ratio is the median of the rounds' ratios."""
    for key, what, aims in _IMAGES:
        if found := results.get(key):
            yield (
                what,
                ", ".join(f"{aim:g}x {name}" for name, aim in aims.items()),
                f"{median(found[US]):.2f} s",
                ", ".join(
                    f"{ratios(found[name], found[US]):.1f}x as fast as {name} ({median(found[name]):.2f} s)"
                    for name in aims
                    if name in found
                ),
            )
    if found := results.get("images_all_s"):
        yield (
            "all but inference, for that exam",
            f"{_ALL_BUT_INFERENCE_S:g} s",
            f"{median(found[US]):.2f} s",
            "series chosen among 2,000 instances, 200 slices read, mask written and measured",
        )


_SAVED_S: Final = 3.0
_BUTTON_S: Final = 10.0


def _opening(results: Mapping[str, Any]) -> Iterable[tuple[str, str, str, str]]:
    """Yield rows of what a reader waits for; plain OHIF shows a mask only after it was asked to, by hand."""
    if found := results.get("opening"):
        ours, plain = found[US], found["plain OHIF"]

        def middle(of: Sequence[Mapping[str, Any]], key: str) -> float:
            return float(median(one[key] for one in of))

        yield (
            "PACS button to mask, an empty browser, a small exam",
            f"{_BUTTON_S:g} s",
            f"{middle(ours, 'mask_s'):.1f} s",
            (
                f"page usable after {middle(ours, 'usable_s'):.1f} s, image after {middle(ours, 'image_s'):.1f} s; "
                f"{middle(ours, 'requests'):.0f} requests, {middle(ours, 'transferred') / 1e6:.1f} MB, "
                f"{middle(ours, 'clicks'):.0f} clicks. Plain OHIF: image after {middle(plain, 'image_s'):.1f} s, "
                f"{middle(plain, 'requests'):.0f} requests, {middle(plain, 'transferred') / 1e6:.1f} MB, no mask"
            ),
        )
    if saved := results.get("saved_s"):
        yield (
            "save to recalculated volume on the page",
            f"{_SAVED_S:g} s",
            f"{median(saved):.1f} s",
            "without the start of a container, see above",
        )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(load()))
