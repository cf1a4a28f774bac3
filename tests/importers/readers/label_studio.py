"""Label Studio: its own check of each prediction against the labelling interface, then its
converter, to which the predictions go as if a person had accepted them."""

import json
import sys
from pathlib import Path

from common import tell
from label_studio_sdk.converter import Converter
from label_studio_sdk.label_interface import LabelInterface
from pycocotools import mask as coco_mask

folder, images, work = map(Path, sys.argv[1:4])
config = (folder / "label_config.xml").read_text("utf-8")
interface = LabelInterface(config)
tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
scores = {}
for number, task in enumerate(tasks, 1):
    (prediction,) = task.pop("predictions")
    errors = interface.validate_prediction(prediction, return_errors=True)
    assert not errors, errors
    scores[number] = [region["score"] for region in prediction["result"]]
    task |= {"id": number, "annotations": [{"id": number, "result": prediction["result"]}]}
accepted = work / "accepted.json"
accepted.write_text(json.dumps(tasks), "utf-8")
converter = Converter(config, str(work), download_resources=False)
converter.convert_to_coco(str(accepted), str(work / "coco"), is_dir=False)
data = json.loads((work / "coco" / "result.json").read_text("utf-8"))
names = {item["id"]: item["name"] for item in data["categories"]}
sizes = {item["id"]: (item["height"], item["width"]) for item in data["images"]}
seen = {}
for annotation in data["annotations"]:
    number = annotation["image_id"] + 1
    score = scores[number][seen.setdefault(number, 0)]
    seen[number] += 1
    polygon = coco_mask.frPyObjects(annotation["segmentation"], *sizes[annotation["image_id"]])
    mask = coco_mask.decode(coco_mask.merge(polygon))
    name = tasks[number - 1]["data"]["file_name"]
    tell(name, names[annotation["category_id"]], score, mask)
