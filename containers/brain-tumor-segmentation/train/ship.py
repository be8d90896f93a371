"""Put weights into the model's folder and their SHA-256 into its card: ``python ship.py --weights all.pt``."""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
from pathlib import Path

import yaml

_MODEL = Path(__file__).resolve().parent.parent / "model"


def main() -> None:
    """Copy the weights and pin them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args()
    card = _MODEL / "card.yaml"
    text = card.read_text("utf-8")
    shutil.copyfile(options.weights, _MODEL / yaml.safe_load(text)["weights"]["file"])
    digest = hashlib.sha256(options.weights.read_bytes()).hexdigest()
    pinned, count = re.subn(r'(?m)^(\s+sha256:) "?[0-9a-f]*"?', rf"\1 {digest}", text)
    if count != 1:
        raise SystemExit(f"{card} has {count} lines with sha256: it must have one, under weights.")
    card.write_text(pinned, "utf-8")
    print(f"weights {digest} are shipped")


if __name__ == "__main__":
    main()
