"""The identity of a run: the options and files that its results depend on."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timezone
from typing import Any

from .. import __version__
from ..errors import redacted
from .option import OPTION

# Raised by hand when equal inputs and options give other masks or files; checked by `tests/test_golden.py`.
RESULTS_REVISION = 4
REVISION, VERSION = "results_revision", "version"
DETECTOR, NO_DETECTOR, SALIENT = "detector", "none", "salient"
FORM = ("format", "segmentation", "tolerance")  # of the files, which is one for all images of an output
FIXED = (REVISION, *FORM, "shard", "output")  # what even a run that redoes images shares with the earlier ones
HASH = re.compile(rf"([0-9a-f]{{16}}|{SALIENT})(\+[0-9a-f]+)?")


def identity(*configs: Any, **files: str) -> dict[str, str]:
    """The identity of a run, which later runs compare: values of its configs, and digests of its files.

    Args:
        configs: their own fields, not those of their parts, except options that are not `compared`; None and empty
            values are omitted.
        files: digests of input files, by option.
    """
    values: dict[str, Any] = {}
    for config in configs:
        for own in fields(config):
            value = getattr(config, own.name)
            if not is_dataclass(value) and (OPTION not in own.metadata or own.metadata[OPTION].compared):
                values[own.name] = value
    given = {name: value for name, value in values.items() if value is not None and value != ()}
    texts = {name: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for name, v in given.items()}
    return {VERSION: __version__, REVISION: str(RESULTS_REVISION), **texts, **files}


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The options by which two identities differ, with their values; the package version is not compared."""
    before, now = _renamed(before), _renamed(now)
    different = [name for name in sorted({*before, *now} - {VERSION}) if before.get(name) != now.get(name)]
    if {DETECTOR, "score_threshold"} <= {*different} and _of_detector(before) == _of_detector(now):
        different.remove(DETECTOR)  # its digest includes the threshold
    was, now_is = _origin(before), _origin(now)
    if was != now_is and different:  # their options differ too, and are not named
        fixed_too = [name for name in different if name in FIXED]
        return [f"prompts were {was}, are {now_is}", *(_change(name, before, now) for name in fixed_too)]
    return [_change(name, before, now) for name in different]


def fixed(identity: Mapping[str, str]) -> dict[str, str]:
    """The part of an identity that all images of an output share."""
    return {name: identity[name] for name in FIXED if name in identity}


def _change(name: str, before: Mapping[str, str], now: Mapping[str, str]) -> str:
    was, now_is = before.get(name, "not given"), now.get(name, "not given")
    named = name if name == REVISION else f"`{name}`"
    if HASH.fullmatch(was) and HASH.fullmatch(now_is):
        return f"{named} is another"
    return f"{named} was {was}, is {now_is}"


def _origin(identity: Mapping[str, str]) -> str:
    """Where the prompts of a run come from."""
    found_by = identity.get(DETECTOR, NO_DETECTOR)
    if "points_per_side" in identity:
        return "a grid of points"
    if found_by == NO_DETECTOR:
        return "given"
    if found_by.startswith(SALIENT):
        return "those of the most salient object"
    return "found in the images" if "+" in found_by else "boxes of a detector"


def _of_detector(identity: Mapping[str, str]) -> str:
    """The hash of the detector, without that of the options of found objects."""
    return identity.get(DETECTOR, "").partition("+")[0]


def _renamed(identity: Mapping[str, str]) -> dict[str, str]:
    """An identity of version 0.1.0 with the current names."""
    known = {REVISION: "1", **identity}
    if "conf" in known:
        known["score_threshold"] = str(max(float(known.pop("conf")), float(known.get("score_threshold", 0))))
        known["max_det"] = str(min(int(known["max_det"]), int(known.pop("max_boxes", known["max_det"]))))
    return known


def digest(*values: object) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:16]


def made_by() -> dict[str, str]:
    """The command and the time, for those who find its results."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"command": redacted(shlex.join(["hqsam", *sys.argv[1:]])), "date_created": now}
