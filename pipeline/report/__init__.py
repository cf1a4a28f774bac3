"""What people read of a run: the gallery, its Markdown, the COCO data set, the metrics."""
