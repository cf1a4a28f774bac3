"""Prompts of many images, in the forms that people have: our file, COCO, YOLO, CSV."""
