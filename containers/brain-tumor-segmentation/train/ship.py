"""Put weights, their SHA-256 and what was measured into the model's folder: ``python ship.py --weights all``."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

_MODEL = Path(__file__).resolve().parent.parent / "model"


def main() -> None:
    """Copy the weights, pin them, and write the figures into the model card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder that train.py wrote")
    weights = parser.parse_args().weights / "weights.pt"
    card = _MODEL / "card.yaml"
    text = card.read_text("utf-8")
    shutil.copyfile(weights, _MODEL / yaml.safe_load(text)["weights"]["file"])
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    pinned, count = re.subn(r'(?m)^(\s+sha256:) "?[0-9a-f]*"?', rf"\1 {digest}", text)
    if count != 1:
        raise SystemExit(f"{card} has {count} lines with sha256: it must have one, under weights.")
    card.write_text(pinned, "utf-8")
    readme, report = _MODEL / "README.md", _MODEL / "evaluation.json"
    if report.exists():
        readme.write_text(_with_figures(readme.read_text("utf-8"), json.loads(report.read_text("utf-8"))), "utf-8")
    print(f"weights {digest} are shipped")


def _with_figures(text: str, report: dict[str, Any]) -> str:
    titles = (
        "",
        "trained on",
        "tested on",
        "lesions",
        "exams",
        "mean Dice",
        "lowest Dice",
        "mean volume error",
        "within 8 % or 0.5 mL",
        "largest volume in a healthy head",
    )
    rows = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    rows += [
        f"| {name} | {', '.join(dict.fromkeys(r['trained_on']['anatomies']))} "
        f"| {', '.join(r['tested_on'])} | {r['lesions_ml'][0]:g} to {r['lesions_ml'][1]:g} mL "
        f"| {r['exams_with_lesion']} with, {r['exams_without_lesion']} without lesion "
        f"| {r['dice_mean']:.3f} | {r['dice_min']:.3f} | {r['volume_error_pct_mean']:.1f} % "
        f"| {r['within_8pct_or_half_ml']} of {r['exams_with_lesion']} "
        f"| {_millilitres(r)} |"
        for name, r in report.items()
    ]
    begin, end = "<!-- figures: begin -->", "<!-- figures: end -->"
    before, after = text.partition(begin)[0], text.partition(end)[2]
    return f"{before}{begin}\n" + "\n".join(rows) + f"\n{end}{after}"


def _millilitres(result: dict[str, Any]) -> str:
    return f"{result['false_volume_ml_max']:.2f} mL" if result["exams_without_lesion"] else "not measured"


if __name__ == "__main__":
    main()
