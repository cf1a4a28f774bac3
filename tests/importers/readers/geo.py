"""geopandas (GDAL reads the file): whether each pixel's centre lies in the geometry."""

import sys
from pathlib import Path

import geopandas
import numpy as np
import shapely
from common import tell
from PIL import Image

frame = geopandas.read_file(f"{sys.argv[1]}/masks.geojson")
assert frame.geometry.is_valid.all()
for row in frame.itertuples():
    with Image.open(Path(sys.argv[2], row.image)) as image:
        width, height = image.size
    y, x = np.mgrid[:height, :width] + 0.5
    mask = shapely.contains_xy(row.geometry, x, y)
    assert row.geometry.area == row.area
    tell(row.image, row.category, row.predicted_iou, mask)
