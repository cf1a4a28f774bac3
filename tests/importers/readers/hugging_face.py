"""Hugging Face datasets on the Parquet file, and pyarrow's own count of its rows."""

import sys

import pyarrow.parquet as pq
from common import tell
from datasets import load_dataset
from pycocotools import mask as coco_mask

file = f"{sys.argv[1]}/part.parquet"
rows = load_dataset("parquet", data_files=file, split="train", cache_dir=sys.argv[3])
assert len(rows) == pq.read_metadata(file).num_rows
for row in rows:
    mask = coco_mask.decode({"size": [row["height"], row["width"]], "counts": row["rle"]})
    tell(row["image"], row["category"], row["predicted_iou"], mask)
