"""``make demo``: the main job on photographs of scikit-image, with the embedded checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

FOLDER = Path("demo")
# XY pixels of each photograph; the three forms of the prompts file.
PROMPTS = {
    "chelsea.jpg": {"1": [[169, 116]]},
    "coffee.jpg": [
        {"box": [172, 16, 414, 316]},
        {"box": [74, 20, 480, 392]},
        {"points": [[290, 160]], "labels": [1]},
    ],
    "rocket.jpg": [[320, 270], [1]],
}
# Those that a very small network is good at: plain grounds, or a prompt.
PHOTOGRAPHS = ("cell", "chelsea", "clock", "coffee", "coins", "rocket")


def write_images(folder: Path) -> None:
    """Save the demo's photographs as JPEG files."""
    from skimage import data

    folder.mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.jpg", quality=92)


def main() -> int:
    """Write the inputs, then run ``sam-vertex run`` over them; return its exit code."""
    images, prompts, output = FOLDER / "images", FOLDER / "prompts.json", FOLDER / "output"
    write_images(images)
    prompts.write_text(json.dumps(PROMPTS, indent=2) + "\n", "utf-8")
    command = ["run", str(images), "--prompts", str(prompts), "--output", str(output)]
    command += ["--checkpoint", "vit_tiny"]
    print(
        "A demonstration with vit_tiny, the small network of this repository, on\n"
        "photographs that suit it. What Meta's networks find, it does not."
    )
    print("sam-vertex " + " ".join(command), flush=True)
    done = subprocess.run([sys.executable, "-m", "scripts.cli", *command], check=False)  # noqa: S603
    if done.returncode:
        return done.returncode
    print(f"\nOpen {output / 'report.html'} in a browser, or read {output / 'report.md'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
