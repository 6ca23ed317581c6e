"""What can be asked of a detector; light, so that the command line can know it."""

from __future__ import annotations

from dataclasses import dataclass

CONF, IOU, MAX_DET = 0.25, 0.7, 300  # as ultralytics has them, for detectors that ask for nothing else


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """What to ask of a detector.

    Attributes:
        conf: boxes that score less are dropped; None for what the detector asks for.
        iou: of two boxes of a class that overlap by more, the lesser is dropped; None for what the detector asks for.
        classes: names of those to keep; all of them where empty.
        max_det: most boxes an image.
        imgsz: longest side the detector sees, pixels; None for what it was trained at.
        half: compute in float16.
    """

    conf: float | None = None
    iou: float | None = None
    classes: tuple[str, ...] = ()
    max_det: int = MAX_DET
    imgsz: int | None = None
    half: bool = False

    @property
    def flags(self) -> dict[str, str]:
        """The settings by option, as text."""
        return {
            "--conf": str(self.conf),
            "--iou": str(self.iou),
            "--classes": ",".join(self.classes),
            "--max-det": str(self.max_det),
            "--imgsz": str(self.imgsz),
            "--half": str(self.half),
        }
