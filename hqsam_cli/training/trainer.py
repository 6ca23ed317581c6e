"""The loop over steps; it can be killed and goes on where its last checkpoint was.

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
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ..configs import TrainConfig, changes
from ..errors import HqsamError, UsageError
from ..modeling.sam import HQSam
from ..progress import Progress
from .data import Steps, collate, to_device
from .distributed import World
from .saving import cannot_save, save_state, write_whole

STATE, METRICS = "train.pt", "metrics.jsonl"
WARMUP_STEPS = 50
LOG_STEPS = 20


class Trainer:
    """A run: its model, how far it is, and what it met.

    Args:
        model: whose learned parameters are those that require a gradient; trained in place.
        criterion: a module that holds the model and turns a batch into a loss and numbers to log.
        epoch_steps: steps of an epoch.
        identity: what results depend on, by option; the state of a run of another is refused.
        folder: gets `train.pt`, the state of the run, and a line of `metrics.jsonl` every `LOG_STEPS`.
        progress: where people see how it goes; of the main process alone.
        stop: whether somebody wants the run to end; it is saved and ends with KeyboardInterrupt.
        workers: processes that make samples.
        checkpoint_steps: steps between saves of the state.

    Attributes:
        step: number of steps done.
        notes: what the run wants to remember, plain values; saved with the state.
        skipped: problems with files, each once.
        images_per_second: of the last stretch of steps.
    """

    def __init__(
        self,
        model: HQSam,
        criterion: nn.Module,
        samples: Dataset[dict[str, Any]],
        config: TrainConfig,
        epoch_steps: int,
        *,
        identity: dict[str, str],
        folder: Path,
        world: World,
        progress: Progress,
        stop: Callable[[], bool] = lambda: False,
        workers: int = 0,
        checkpoint_steps: int = 200,
    ) -> None:
        self.model, self.criterion, self.samples, self.config = model, criterion, samples, config
        self.epoch_steps, self.steps = epoch_steps, config.epochs * epoch_steps
        self.identity, self.world, self.progress, self.stop = identity, world, progress, stop
        self.workers, self.checkpoint_steps = workers, checkpoint_steps
        self.checkpoint, self.metrics = folder / STATE, folder / METRICS
        self.learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.ema = {name: p.detach().clone() for name, p in self.learned.items()} if config.ema_decay else {}
        self.optimizer = torch.optim.Adam(self.learned.values(), lr=config.lr)
        self.step = 0
        self.notes: dict[str, Any] = {}
        self.skipped: set[str] = set()
        self.images_per_second = 0.0
        if self.checkpoint.exists():
            self._load()
        self._trim_metrics()

    def lr_lambda(self, step: int) -> float:
        """The share of the peak learning rate at a step."""
        if self.config.lr_schedule == "step":
            return 0.1 ** (step // self.epoch_steps // self.config.lr_step)
        left = (self.steps - step) / max(self.steps - WARMUP_STEPS, 1)
        return min((step + 1) / WARMUP_STEPS, left, 1.0)

    def run(self, last: int) -> None:
        """Train up to step `last`, and save."""
        if self.step >= last:
            return
        world = self.world
        batch_size = self.config.batch_size // world.size
        loader = DataLoader(
            self.samples,
            batch_sampler=Steps(self.step, last, batch_size, world.rank, world.size),
            collate_fn=collate,
            num_workers=self.workers,
            worker_init_fn=_begin_worker,
            pin_memory=world.device.type == "cuda",
        )
        images = self.config.batch_size
        stretch, figures = _Stretch(images), ""
        for batch in self._batches(loader):
            try:
                log = self._learn(batch)
            except torch.cuda.OutOfMemoryError:
                raise MemoryError("the device cannot hold a step") from None
            self.note_problems(batch["problems"])
            stretch.add(log)
            self.step += 1
            stopped = self.stop()
            due = stopped or self.step % self.checkpoint_steps == 0
            if due or self.step % LOG_STEPS == 0 or self.step == last:
                means = stretch.means()
                self.images_per_second = stretch.images_per_second
                self._write_means(means)
                figures = ", ".join(f"{key} {value:.3f}" for key, value in means.items())
                figures += f", {self.images_per_second:.1f} images/s"
                stretch = _Stretch(images)
            self.progress.advance(figures)
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
            "ema": self.ema,
            "step": self.step,
            "identity": self.identity,
            "notes": self.notes,
            "skipped": sorted(self.skipped),
        }
        save_state(self.checkpoint, state)

    def note_problems(self, problems: list[str]) -> None:
        """Count files that were of no use, and name each once."""
        for text in problems:
            if text not in self.skipped:
                self.skipped.add(text)
                self.progress.on_problem(f"skipped: {text}")

    @property
    def result(self) -> dict[str, Tensor]:
        """The learned tensors as they would be kept: averaged, where there is an average."""
        return self.ema or {name: parameter.detach() for name, parameter in self.learned.items()}

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
        config, device = self.config, self.world.device
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * self.lr_lambda(self.step)
        dtype = getattr(torch, config.dtype)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss, log = self.criterion(to_device(batch, device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if config.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(list(self.learned.values()), config.max_grad_norm)
        self.optimizer.step()
        if config.ema_decay:
            self._update_ema(min(config.ema_decay, (self.step + 1) / (self.step + 10)))
        return {"loss": loss.detach(), **log}

    @torch.no_grad()
    def _update_ema(self, decay: float) -> None:
        for name, parameter in self.learned.items():
            self.ema[name].lerp_(parameter, 1 - decay)

    def _batches(self, loader: DataLoader[dict[str, Any]]) -> Any:
        """Batches, and errors of the workers without the traceback that travels with them."""
        try:
            yield from loader
        except HqsamError as error:
            raise HqsamError(str(error).rsplit("HqsamError: ", 1)[-1].strip()) from None

    def _write_means(self, means: dict[str, float]) -> None:
        if not math.isfinite(means["loss"]):
            raise HqsamError(f"the loss is no number at step {self.step}", remedy="lower `lr`, or take `dtype` float32")
        line = {"images_per_second": round(self.images_per_second, 2), "lr": self.optimizer.param_groups[-1]["lr"]}
        self.write_metrics({**means, **line})

    def write_metrics(self, values: dict[str, Any]) -> None:
        """Append a line to the metrics."""
        if not self.world.is_main:
            return
        try:
            with self.metrics.open("a") as file:
                file.write(json.dumps({"step": self.step, **values}) + "\n")
        except OSError as error:
            raise cannot_save(self.metrics, error) from None

    def _load(self) -> None:
        """Continue from the checkpoint."""
        saved = read_run(self.checkpoint, self.identity, self.world.device)
        with torch.no_grad():
            for name, parameter in self.learned.items():
                parameter.copy_(saved["model"][name])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.ema = {name: saved["ema"][name] for name in self.ema}
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
        later: bool = values["step"] > self.step
        return later


def read_run(path: Path, identity: dict[str, str], device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state of a run.

    Raises:
        UsageError: it is of another identity.
        HqsamError: the file is none.
    """
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        known, command = saved.get("identity", {}), saved.get("notes", {}).get("command")
    except Exception as error:  # a damaged file makes it raise about anything
        raise HqsamError(f"not the state of a run ({type(error).__name__})", file=path, remedy="delete it") from None
    if changed := changes(known, identity):
        begun = f" by: {command}" if command else ""
        raise UsageError(
            f"begun with other options ({'; '.join(changed)}){begun}",
            file=path,
            remedy="run it as before, or choose another `output`, or start again with `overwrite`",
        )
    return saved


def _begin_worker(_number: int) -> None:
    """One thread each, and no part in how the main process handles signals, which may be sent to all of them."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


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
