"""Ultralytics' reading of segments, written anew after its documentation: the package is AGPL-3.

https://docs.ultralytics.com/datasets/segment/: shares of the image, whole pixels, ``fillPoly``.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import yaml
from common import tell

folder, images = Path(sys.argv[1]), Path(sys.argv[2])
names = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))["names"]
for path in sorted(images.rglob("*.*")):
    image = path.relative_to(images)
    shape = cv2.imread(str(path)).shape[:2]
    for line in (folder / "labels" / image.with_suffix(".txt")).read_text().splitlines():
        number, *shares = line.split()
        assert len(shares) >= 6 and len(shares) % 2 == 0
        points = np.array(shares, np.float32).reshape(-1, 2)
        assert ((points >= 0) & (points <= 1)).all()
        mask = np.zeros(shape, np.uint8)
        cv2.fillPoly(mask, [(points * shape[::-1]).astype(np.int32)], 1)
        tell(str(image), names[int(number)], None, mask)
