"""The loop over steps, the same for every recipe; it can be killed and goes on where its last checkpoint was.

Nothing random lives outside the samples, which are functions of their number, so the position in the run is
all that has to be remembered beside the weights and the optimizer.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ..errors import HqsamError
from ..modeling.sam import HQSam
from .data import Steps, collate, to_device
from .distributed import World
from .saving import cannot_save, save_state, write_whole

METRICS = "metrics.jsonl"
LOG_STEPS = 20
SECONDS_BETWEEN_LINES = 30.0  # of progress, where there is no terminal to draw a bar on


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a run goes.

    Attributes:
        name: of the run, in logs and of its checkpoint.
        steps, batch: number of steps, and samples a step of each process.
        rate: the share of its `peak` learning rate that each parameter group has at a step.
        dtype: precision of the forward pass.
        clip: largest norm of the gradient, or None.
        average: decay of an exponential moving average of the weights, or None for none.
        settings: what results depend on, by the flag that says it; a checkpoint of others is refused.
    """

    name: str
    steps: int
    batch: int
    rate: Callable[[int], float]
    dtype: torch.dtype = torch.float32
    clip: float | None = None
    average: float | None = None
    checkpoint_steps: int = 100
    workers: int = 0
    settings: dict[str, str] = field(default_factory=dict)


class Training:
    """A run: its model, how far it is, and what it met.

    Args:
        model: whose learned parameters are those that require a gradient; trained in place.
        objective: a module that holds the model and turns a batch into a loss and numbers to log.
        optimizer: its groups have a `peak` learning rate each.
        folder: gets `<name>.pt`, the state of the run, and a line of `metrics.jsonl` every `LOG_STEPS`.
        say: tells people something, in one line.
        stop: whether somebody wants the run to end; it is saved and ends with KeyboardInterrupt.

    Attributes:
        step: number of steps done.
        notes: what the recipe wants to remember, plain values; saved with the state.
        skipped: problems with files, each once.
        images_per_second: of the last stretch of steps.
    """

    def __init__(
        self,
        model: HQSam,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        samples: Dataset[dict[str, Any]],
        course: Course,
        folder: Path,
        world: World,
        say: Callable[[str], None],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.model, self.objective, self.optimizer, self.samples = model, objective, optimizer, samples
        self.course, self.world = course, world
        self.say, self.stop = say, stop
        self.checkpoint, self.metrics = folder / f"{course.name}.pt", folder / METRICS
        self.learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self.learned.items()} if course.average else {}
        self.step = 0
        self.notes: dict[str, Any] = {}
        self.skipped: set[str] = set()
        self.images_per_second = 0.0
        if self.checkpoint.exists():
            self._load()
        self._trim_metrics()

    def run(self, last: int) -> None:
        """Train up to step `last`, and save."""
        if self.step >= last:
            return
        course, world = self.course, self.world
        loader = DataLoader(
            self.samples,
            batch_sampler=Steps(self.step, last, course.batch, world.rank, world.size),
            collate_fn=collate,
            num_workers=course.workers,
            worker_init_fn=_begin_worker,
            pin_memory=world.device.type == "cuda",
        )
        images = course.batch * world.size
        hidden = None if world.is_main else True  # None: shown on a terminal alone
        bar = tqdm(total=course.steps, initial=self.step, desc=course.name, unit="step", disable=hidden, mininterval=1)
        stretch = _Stretch(images)
        spoke = time.monotonic()
        with bar:
            for batch in self._batches(loader):
                try:
                    log = self._learn(batch)
                except torch.cuda.OutOfMemoryError:
                    raise MemoryError("the device cannot hold a step") from None
                self.note_problems(batch["problems"])
                stretch.add(log)
                self.step += 1
                bar.update()
                stopped = self.stop()
                due = stopped or self.step % course.checkpoint_steps == 0
                if due or self.step % LOG_STEPS == 0 or self.step == last:
                    means = stretch.means()
                    self.images_per_second = stretch.images_per_second
                    self._write_means(means)
                    text = ", ".join(f"{key} {value:.3f}" for key, value in means.items())
                    text += f", {self.images_per_second:.1f} images/s"
                    bar.set_postfix_str(text, refresh=False)
                    if bar.disable and time.monotonic() - spoke > SECONDS_BETWEEN_LINES:
                        spoke = time.monotonic()
                        left = timedelta(seconds=round((course.steps - self.step) * images / self.images_per_second))
                        self._tell(f"{course.name}: step {self.step} of {course.steps}, {text}, {left} left")
                    stretch = _Stretch(images)
                if due:
                    self.save()
                if stopped:
                    raise KeyboardInterrupt
        self.note_problems(sorted(world.union(self.skipped)))
        self.save()

    def save(self) -> None:
        """Write the state of the run; only what is learned of the model."""
        if not self.world.is_main:
            return
        state = {
            "model": {name: parameter.detach() for name, parameter in self.learned.items()},
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "settings": self.course.settings,
            "notes": self.notes,
            "skipped": sorted(self.skipped),
        }
        save_state(self.checkpoint, state)

    def note_problems(self, problems: list[str]) -> None:
        """Count files that were of no use, and name each once."""
        for text in problems:
            if text not in self.skipped:
                self.skipped.add(text)
                self._tell(f"skipped: {text}")

    @property
    def result(self) -> dict[str, Tensor]:
        """The learned tensors as they would be kept: averaged, where there is an average."""
        return self.average or {name: parameter.detach() for name, parameter in self.learned.items()}

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While it lasts the model has its averaged weights, where there are some."""
        own = {name: p.detach().clone() for name, p in self.learned.items()}
        with torch.no_grad():
            for name, parameter in self.learned.items():
                parameter.copy_(self.result[name])
            yield
            for name, parameter in self.learned.items():
                parameter.copy_(own[name])

    def _learn(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """One step."""
        course = self.course
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * course.rate(self.step)
        device = self.world.device
        with torch.autocast(device.type, course.dtype, enabled=course.dtype != torch.float32):
            loss, log = self.objective(to_device(batch, device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if course.clip is not None:
            nn.utils.clip_grad_norm_(list(self.learned.values()), course.clip)
        self.optimizer.step()
        if course.average is not None:
            self._update_average(min(course.average, (self.step + 1) / (self.step + 10)))
        return {"loss": loss.detach(), **log}

    @torch.no_grad()
    def _update_average(self, decay: float) -> None:
        for name, parameter in self.learned.items():
            self.average[name].lerp_(parameter, 1 - decay)

    def _batches(self, loader: DataLoader) -> Any:
        """Batches, and errors of the workers without the traceback that travels with them."""
        try:
            yield from loader
        except HqsamError as error:
            raise HqsamError(str(error).rsplit("HqsamError: ", 1)[-1].strip()) from None

    def _tell(self, text: str) -> None:
        """Say something without breaking the bar."""
        with tqdm.external_write_mode():
            self.say(text)

    def _write_means(self, means: dict[str, float]) -> None:
        if not math.isfinite(means["loss"]):
            raise HqsamError(f"the loss is no number at step {self.step}: lower --lr, or take --dtype float32")
        line = {"images_per_second": round(self.images_per_second, 2), "lr": self.optimizer.param_groups[-1]["lr"]}
        self.write_metrics({**means, **line})

    def write_metrics(self, values: dict[str, Any]) -> None:
        """Append a line to the metrics."""
        if not self.world.is_main:
            return
        try:
            with self.metrics.open("a") as file:
                file.write(json.dumps({"stage": self.course.name, "step": self.step, **values}) + "\n")
        except OSError as error:
            raise cannot_save(self.metrics, error) from None

    def _load(self) -> None:
        """Continue from the checkpoint."""
        try:
            saved = torch.load(self.checkpoint, map_location=self.world.device, weights_only=True)
        except Exception as error:  # a damaged file makes it raise about anything
            raise HqsamError(f"{self.checkpoint}: not the state of a run ({type(error).__name__}); delete it") from None
        changed = [key for key, value in saved.get("settings", {}).items() if self.course.settings.get(key) != value]
        if changed:
            raise HqsamError(
                f"{self.checkpoint}: begun with another {', '.join(changed)}; run it as before, or choose another "
                "--output, or start again with --overwrite"
            )
        with torch.no_grad():
            for name, parameter in self.learned.items():
                parameter.copy_(saved["model"][name])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average = {name: saved["average"][name] for name in self.average}
        self.step = saved["step"]
        self.notes = saved.get("notes", {})
        self.skipped = set(saved.get("skipped", ()))

    def _trim_metrics(self) -> None:
        """Drop torn lines, and those of steps that are to come again."""
        if self.world.is_main and self.metrics.exists():
            lines = self.metrics.read_bytes().splitlines(keepends=True)
            write_whole(self.metrics, lambda: b"".join(line for line in lines if not self._is_ahead(line)))

    def _is_ahead(self, line: bytes) -> bool:
        """Whether a line of the metrics is torn, or of steps of this run that are to come again."""
        try:
            values = json.loads(line)
        except ValueError:
            return True
        return values["stage"] == self.course.name and values["step"] > self.step


def _begin_worker(_number: int) -> None:
    """One thread each, and no part in how the main process handles signals."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class _Stretch:
    """Means over the steps since the last line of the log."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.began = time.monotonic()
        self.steps = 0
        self.sums: dict[str, Tensor] = {}

    def add(self, log: dict[str, Tensor]) -> None:
        """Count a step; nothing is fetched from the device."""
        self.steps += 1
        self.sums = {key: value + self.sums[key] if self.sums else value for key, value in log.items()}

    def means(self) -> dict[str, float]:
        """Mean of each number."""
        return {key: value.item() / self.steps for key, value in self.sums.items()}

    @property
    def images_per_second(self) -> float:
        """Throughput of all processes."""
        return self.steps * self.images / max(time.monotonic() - self.began, 1e-9)
