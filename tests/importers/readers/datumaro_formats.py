"""datumaro, the library of CVAT: the format that the third argument names."""

import shutil
import sys
from pathlib import Path

from common import tell
from datumaro.components.annotation import AnnotationType
from datumaro.components.dataset import Dataset

folder, images, work, form = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
# datumaro wants the images beside the annotations, and COCO's own layout of files.
shutil.copytree(images, work / "images")
if form == "coco_instances":
    (work / "annotations").mkdir()
    shutil.copy(folder / "annotations.json", work / "annotations" / "instances_default.json")
else:
    shutil.copy(folder / "annotations.xml", work)
data = Dataset.import_from(str(work), form)
labels = data.categories()[AnnotationType.label]
for item in data:
    for annotation in item.annotations:
        if annotation.type == AnnotationType.mask:
            score = annotation.attributes.get("predicted_iou", annotation.attributes.get("score"))
            name = labels[annotation.label].name
            tell(item.id, name, None if score is None else float(score), annotation.image)
