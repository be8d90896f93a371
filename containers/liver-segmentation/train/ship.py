"""Put weights, their SHA-256 and what was measured into the model's folder: ``python ship.py --weights trained``."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch
import yaml
from evaluate import joined
from render import MODEL


def main() -> None:
    """Join the weights, pin them, and write the figures into the model card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder that train.py wrote")
    options = parser.parse_args()
    path = MODEL / "card.yaml"
    text = path.read_text("utf-8")
    card = yaml.safe_load(text)
    weights = MODEL / card["weights"]["file"]
    torch.save(joined(options.weights, list(card["stages"])), weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    pinned, count = re.subn(r"(?m)^(\s+sha256:) [0-9a-f]*", rf"\1 {digest}", text)
    if count != 1:
        raise SystemExit(f"{path} has {count} lines with sha256: it must have one, under weights.")
    path.write_text(pinned, "utf-8")
    readme, report = MODEL / "README.md", MODEL / "evaluation.json"
    readme.write_text(_with_figures(readme.read_text("utf-8"), json.loads(report.read_text("utf-8"))), "utf-8")
    print(f"weights {digest} are shipped")


def _with_figures(text: str, report: dict[str, Any]) -> str:
    rows = [
        "| part | mean Dice | lowest Dice | mean clDice | lowest clDice | mean volume error |",
        "|---|---|---|---|---|---|",
    ]
    for name, title in (("left_lobe", "left lobe"), ("right_lobe", "right lobe"), ("vessels", "vessels")):
        part = report[name]
        clear = [f"{part[key]:.3f}" if key in part else "" for key in ("cldice_mean", "cldice_min")]
        rows.append(
            f"| {title} | {part['dice_mean']:.3f} | {part['dice_min']:.3f} | {clear[0]} | {clear[1]} "
            f"| {part['volume_error_pct_mean']:.1f} % |"
        )
    rows += [
        "",
        (
            f"{report['exams']} exams, seeds from {report['first_seed']}. The remnant was off by "
            f"{report['remnant_points_off_mean']:.1f} percentage points on average, "
            f"{report['remnant_points_off_max']:.1f} at most."
        ),
    ]
    begin, end = "<!-- figures: begin -->", "<!-- figures: end -->"
    return f"{text.partition(begin)[0]}{begin}\n" + "\n".join(rows) + f"\n{end}{text.partition(end)[2]}"


if __name__ == "__main__":
    main()
