"""supervision: ``DetectionDataset.from_coco``, which keeps no scores."""

import sys
from pathlib import Path

import supervision
from common import tell

data = supervision.DetectionDataset.from_coco(
    sys.argv[2], f"{sys.argv[1]}/annotations.json", force_masks=True
)
for path, detections in data.annotations.items():
    image = str(Path(path).relative_to(sys.argv[2]))
    for number, mask in enumerate(detections.mask if len(detections) else ()):
        tell(image, data.classes[detections.class_id[number]], None, mask)
