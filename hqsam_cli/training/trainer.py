"""The training loop, which resumes from its last checkpoint.

Samples depend only on their number, so the step is the whole random state.
"""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ..batch.interrupt import SIGNALS
from ..configs import TrainConfig, changes
from ..errors import HqsamError, UsageError
from ..modeling.sam import HQSam
from ..progress import Progress
from .data import Batch, collate, step_batches
from .distributed import World
from .history import History
from .saving import cannot_save, save_state, write_whole

STATE, METRICS = "train.pt", "metrics.jsonl"
WARMUP_STEPS = 50
LOG_STEPS = 20


class Trainer:
    """Trains a model in place, with its optimizer and history.

    Args:
        criterion: module that holds the model and computes the loss of a batch and values to log.
        identity: the options that weights depend on; the state of a different run is rejected.
        folder: for `train.pt`, the run state, and `metrics.jsonl`, with a line every `LOG_STEPS`.
        stop: whether to save and raise KeyboardInterrupt.
    """

    def __init__(
        self,
        model: HQSam,
        criterion: nn.Module,
        samples: Dataset[Batch],
        config: TrainConfig,
        epoch_steps: int,
        *,
        identity: dict[str, str],
        folder: Path,
        world: World,
        progress: Progress,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.model, self.criterion, self.samples, self.config = model, criterion, samples, config
        self.epoch_steps, self.steps = epoch_steps, config.total_steps(epoch_steps)
        self.identity, self.world, self.progress, self.stop = identity, world, progress, stop
        self.checkpoint, self.metrics = folder / STATE, folder / METRICS
        self.learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.ema = {name: p.detach().clone() for name, p in self.learned.items()} if config.ema_decay else {}
        self.optimizer = torch.optim.Adam(self.learned.values(), lr=config.lr)
        self.history = History()
        self.images_per_second = 0.0
        if self.checkpoint.exists():
            self._load()
        self._trim_metrics()

    def lr_lambda(self, step: int) -> float:
        """Learning rate factor at a step."""
        if self.config.lr_schedule == "step":
            return 0.1 ** (step // self.epoch_steps // self.config.lr_step)
        left = (self.steps - step) / max(self.steps - WARMUP_STEPS, 1)
        return min((step + 1) / WARMUP_STEPS, left, 1.0)

    def run(self, last: int) -> None:
        """Train up to step `last`, and save."""
        history, world = self.history, self.world
        if history.step >= last:
            return
        batch_size = self.config.batch_size // world.size
        loader = DataLoader(
            self.samples,
            batch_sampler=step_batches(history.step, last, batch_size, world.rank, world.size),
            collate_fn=collate,
            num_workers=min(self.config.workers, os.cpu_count() or 1),
            worker_init_fn=_init_worker,
            pin_memory=world.device.type == "cuda",
        )
        meter, figures = AverageMeter(self.config.batch_size), ""
        for batch in _without_traceback(loader):
            try:
                meter.update(self._step(batch))
            except torch.cuda.OutOfMemoryError:
                raise MemoryError("out of device memory in a step: lower `batch_size`") from None
            self.note_problems(batch.problems)
            history.step += 1
            stopped = self.stop()
            due = stopped or history.step % self.config.checkpoint_steps == 0
            if due or history.step % LOG_STEPS == 0 or history.step == last:
                figures = self._log(meter)
                meter = AverageMeter(self.config.batch_size)
            self.progress.advance(figures)
            if due:
                self.save()
            if stopped:
                raise KeyboardInterrupt
        self.note_problems(sorted(world.union(history.skipped)))
        self.save()

    def save(self) -> None:
        """Write the run state, with only the learned parameters of the model."""
        if self.world.is_main:
            state = {
                "model": {name: parameter.detach() for name, parameter in self.learned.items()},
                "optimizer": self.optimizer.state_dict(),
                "ema": self.ema,
                "identity": self.identity,
            }
            save_state(self.checkpoint, {**state, **self.history.to_dict()})

    def note_problems(self, problems: list[str]) -> None:
        """Report each skipped file once."""
        for text in problems:
            if text not in self.history.skipped:
                self.history.skipped.add(text)
                self.progress.on_problem(f"skipped: {text}")

    @property
    def result(self) -> dict[str, Tensor]:
        """Return the learned tensors, or their moving average."""
        return self.ema or {name: parameter.detach() for name, parameter in self.learned.items()}

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Context manager in which the model has the moving average of its weights, if any."""
        own = {name: p.detach().clone() for name, p in self.learned.items()}
        with torch.no_grad():
            for name, parameter in self.learned.items():
                parameter.copy_(self.result[name])
            try:
                yield
            finally:
                for name, parameter in self.learned.items():
                    parameter.copy_(own[name])

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        """Forward pass, backward pass and optimizer step; returns values to log."""
        config, device, step = self.config, self.world.device, self.history.step
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * self.lr_lambda(step)
        dtype = getattr(torch, config.dtype)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            moved: Any = (x.to(device, non_blocking=True) if isinstance(x, Tensor) else x for x in batch)
            loss, log = self.criterion(Batch(*moved))  # images are moved in `Criterion`
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if config.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(list(self.learned.values()), config.max_grad_norm)
        self.optimizer.step()
        if config.ema_decay:
            decay = min(config.ema_decay, (step + 1) / (step + 10))
            with torch.no_grad():
                for name, parameter in self.learned.items():
                    self.ema[name].lerp_(parameter, 1 - decay)
        return {"loss": loss.detach(), **log}

    def _log(self, meter: AverageMeter) -> str:
        """Write means over the last steps to the metrics; returns text for the progress bar."""
        means, self.images_per_second = meter.means(), meter.images_per_second
        if not math.isfinite(means["loss"]):
            reason = f"the loss is not finite at step {self.history.step}"
            raise HqsamError(reason, remedy="lower `lr`, or use `dtype` float32")
        rate = {"images_per_second": round(self.images_per_second, 2), "lr": self.optimizer.param_groups[-1]["lr"]}
        self.write_metrics({**means, **rate})
        return ", ".join([*(f"{k} {v:.3f}" for k, v in means.items()), f"{self.images_per_second:.1f} images/s"])

    def write_metrics(self, values: Mapping[str, object]) -> None:
        """Append a line to the metrics file."""
        if not self.world.is_main:
            return
        try:
            with self.metrics.open("a") as file:
                file.write(json.dumps({"step": self.history.step, **values}) + "\n")
        except OSError as error:
            raise cannot_save(self.metrics, error) from None

    def _load(self) -> None:
        """Resume from the checkpoint."""
        saved = read_run(self.checkpoint, self.identity, self.world.device)
        with torch.no_grad():
            for name, parameter in self.learned.items():
                parameter.copy_(saved["model"][name])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.ema = {name: saved["ema"][name] for name in self.ema}
        self.history = History.from_dict(saved)

    def _trim_metrics(self) -> None:
        """Drop truncated lines, and lines of steps after the checkpoint."""
        if self.world.is_main and self.metrics.exists():
            lines = self.metrics.read_bytes().splitlines(keepends=True)
            write_whole(self.metrics, lambda: b"".join(line for line in lines if _step_of(line) <= self.history.step))


def _step_of(line: bytes) -> float:
    """Step of a metrics line; infinity if the line is truncated."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf


def _without_traceback(loader: DataLoader[Batch]) -> Iterator[Any]:
    """Yield the batches of a loader, with worker errors stripped of their traceback text."""
    try:
        yield from loader
    except HqsamError as error:
        raise HqsamError(str(error).rsplit("HqsamError: ", 1)[-1].strip()) from None


def read_run(path: Path, identity: dict[str, str], device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read the run state. Raises a UsageError if its identity differs, an HqsamError if the file is damaged."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        known, command = saved.get("identity", {}), saved.get("notes", {}).get("command")
    except Exception as error:  # torch raises almost any exception for a damaged file
        raise HqsamError(f"not the state of a run ({type(error).__name__})", file=path, remedy="delete it") from None
    if changed := changes(known, identity):
        reason = f"started with other options ({'; '.join(changed)}){f' by: {command}' if command else ''}"
        remedy = "run it as before, or choose another `output`, or start again with `overwrite`"
        raise UsageError(reason, file=path, remedy=remedy)
    return saved


def _init_worker(_number: int) -> None:
    """Use one thread; signals, which may reach all processes, are handled by the main process."""
    cv2.setNumThreads(0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class AverageMeter:
    """Means over steps; each step has a fixed number of images over all processes."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.start = time.monotonic()
        self.steps = 0
        self.sums: dict[str, Tensor] = {}

    def update(self, values: dict[str, Tensor]) -> None:
        """Add a step, without synchronizing the device."""
        self.steps += 1
        self.sums = {key: value + self.sums[key] if self.sums else value for key, value in values.items()}

    def means(self) -> dict[str, float]:
        """The mean of each value."""
        return {key: value.item() / self.steps for key, value in self.sums.items()}

    @property
    def images_per_second(self) -> float:
        """Throughput over all processes."""
        return self.steps * self.images / max(time.monotonic() - self.start, 1e-9)
