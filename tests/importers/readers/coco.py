"""pycocotools: loads the data set and makes masks of its annotations."""

import sys

from common import tell
from pycocotools.coco import COCO

data = COCO(f"{sys.argv[1]}/annotations.json")
for annotation in data.anns.values():
    image = data.imgs[annotation["image_id"]]["file_name"]
    category = data.cats[annotation["category_id"]]["name"]
    tell(image, category, annotation["score"], data.annToMask(annotation))
