"""GeoJSON, one file per raster, as prompts: features in the coordinates of a map."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from ...formats.values import UNNAMED, Identifier, JsonObject, dict_or_empty, first_of, list_or_empty, read_numbers
from ...io.find import SourceImage
from ...io.georeference import WGS84, Georeference
from ...io.images import read_header
from ..boxes import Size
from ..prompt_file import PromptFile
from ..shapes import Shape, add_shape, polygon

ToPixels: TypeAlias = Callable[[np.ndarray], np.ndarray]
CLASS, SCORE = ("category", "class", "label", "name", "class_name"), ("score", "confidence")  # names of properties
OTHERS = "features that are not points or polygons"


def read_geojson(document: Any, file: PromptFile) -> bool:
    """Keep the features of a raster, which `add_features` adds when the raster is known."""
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        return False
    if find_spec("rasterio") is None:
        raise ValueError("GeoJSON, which needs rasterio; pip install 'hqsam-cli[geo]'")
    file.numbered = False
    file.features[file.add_label_image()] = document
    return True


def add_features(file: PromptFile, images: Mapping[Identifier, SourceImage]) -> None:
    """Add the points and polygons of a file, in pixels of their rasters.

    Args:
        images: images of the run by their key in the file.

    Raises:
        HqsamError: the coordinate reference system of the file is unknown.
    """
    for key, document in file.features.items():
        image, label = images.get(key), file.images[key].label
        if image is None or image.location is not None or not os.path.isfile(image.path):
            file.skip("features of rasters that are no local inputs, skipped", label, key)
            continue
        header = read_header(image.path) if file.use == "mask" else None
        size = None if header is None else header.size("ignore")
        crs = dict_or_empty(dict_or_empty(document.get("crs")).get("properties")).get("name", WGS84)
        to_pixels = partial(Georeference.read(image.path).to_pixels, crs=crs)
        for number, feature in enumerate(map(dict_or_empty, list_or_empty(document.get("features"))), 1):
            properties = dict_or_empty(feature.get("properties"))
            shape = _shape(dict_or_empty(feature.get("geometry")), to_pixels, size)
            own_id = str(first_of({**feature, **properties}, ("id",)) or f"feature {number}")
            name, score = str(first_of(properties, CLASS) or UNNAMED), first_of(properties, SCORE)
            add_shape(file, key, own_id, name, shape, OTHERS, where=f"feature {number} of {label}", score=score)


def _shape(geometry: JsonObject, to_pixels: ToPixels, size: Size | None) -> Shape | None:
    """The shape of a geometry in pixels; None if it is of another kind or damaged."""
    coordinates = geometry.get("coordinates")
    match geometry.get("type"):
        case "Point" | "MultiPoint" as kind:
            points = _positions([coordinates] if kind == "Point" else coordinates)
            return None if points is None else Shape(points=[[x, y, 1] for x, y in to_pixels(points).tolist()])
        case "Polygon" | "MultiPolygon" as kind:
            polygons = [coordinates] if kind == "Polygon" else list_or_empty(coordinates)
            rings = [_positions(ring) for own in polygons for ring in list_or_empty(own)]
            sound = [to_pixels(ring).ravel().tolist() for ring in rings if ring is not None and len(ring) > 2]
            return polygon(sound, size) if rings and len(sound) == len(rings) else None
    return None


def _positions(values: Any) -> np.ndarray | None:
    """The first two coordinates of each position (n, 2), n > 0; None if one is invalid."""
    pairs = [read_numbers(list_or_empty(own)[:2], 2) for own in list_or_empty(values)]
    known = [pair for pair in pairs if pair is not None]
    return np.array(known) if known and len(known) == len(pairs) else None
