"""What every training here shares: order of the frames, pace, log, curve, and checkpoints from which it goes on to the same weights."""

from __future__ import annotations

import argparse
import copy
import csv
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

# Columns of every log, before those that differ.
PACE = ["seconds", "step", "samples", "rate", "loss"]


class Average:
    """Exponential moving average of a network, buffers included."""

    def __init__(self, policy: nn.Module, decay: float) -> None:
        """Start at the network's own weights."""
        self.policy = copy.deepcopy(policy).eval()
        self.decay = decay
        self.pairs = [
            (mine, theirs)
            for (mine, theirs) in zip(self.policy.state_dict().values(), policy.state_dict().values(), strict=True)
            if mine.is_floating_point()
        ]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the network; faster in the first steps."""
        keep = min(self.decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_([mine for mine, _ in self.pairs], [theirs for _, theirs in self.pairs], 1.0 - keep)


def step_size(arguments: argparse.Namespace, step: int) -> float:
    """Learning rate of a step: a short rise, then a cosine that ends with the last step."""
    cosine = 0.5 * (1.0 + math.cos(math.pi * step / arguments.steps))
    return max(arguments.learning_rate * min(1.0, (step + 1) / 100.0) * cosine, 1e-6)


def plot(log: Path, picture: Path, panels: tuple[tuple[str, ...], ...]) -> None:
    """Draw the log: a panel for each group of columns, on logarithmic axes. What is no number in the end is left out."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with log.open() as stream:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    steps = [row["step"] for row in rows]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.4 * len(panels), 3.6))
    for axis, keys in zip(axes, panels, strict=True):
        for key in keys:
            if not math.isnan(rows[-1][key]):
                axis.plot(steps, [row[key] for row in rows], label=key.replace("_", " "))
        axis.set_yscale("log")
        axis.set_xlabel("steps")
        axis.grid(alpha=0.3, which="both")
        axis.legend()
    figure.tight_layout()
    figure.savefig(picture, dpi=100)
    pyplot.close(figure)


class Course:
    """A training run in a folder.

    It gives its frames in an order that comes from the seed, logs, draws and saves on its way, and goes on from what was saved.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        rows: Tensor,
        network: nn.Module,
        terms: dict,
        fields: list[str],
        panels: tuple[tuple[str, ...], ...],
        weight_decay: float,
        save_every: float,
    ) -> None:
        """Frames `rows` for a network; `terms` are what the weights depend on; `fields` are the log's columns after `PACE`.

        A run is saved every `save_every` seconds. With `--resume` it goes on where it was, if there is something and the terms are its own.
        """
        if arguments.batch > len(rows):
            raise SystemExit(f"only {len(rows)} frames to train on: fewer than a batch of {arguments.batch}")
        self.arguments, self.rows, self.network, self.terms = arguments, rows, network, terms
        self.fields, self.panels, self.save_every = [*PACE, *fields], panels, save_every
        self.trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=arguments.learning_rate, weight_decay=weight_decay, fused=True)
        self.average = Average(network, arguments.ema)
        self.generator = torch.Generator().manual_seed(arguments.seed)
        self.step, self.cursor, spent = 0, 0, 0.0
        self.order = torch.randperm(len(rows), generator=self.generator)
        self.checkpoint, self.log = arguments.run / "checkpoint.pt", arguments.run / "log.csv"
        self.resumed = arguments.resume and self.checkpoint.exists()
        if self.resumed:
            spent = self._load()
        now = time.monotonic()
        self.begun, self.saved_at, self.logged_at = now - spent, now, now

    def _load(self) -> float:
        """Take over what was saved; the seconds that it took."""
        saved = torch.load(self.checkpoint, weights_only=True)
        if saved["terms"] != self.terms:
            raise SystemExit(
                f"{self.checkpoint} is of another run: {saved['terms']}, not {self.terms}; use another --run, or leave --resume out"
            )
        self.network.load_state_dict(saved["network"])
        self.average.policy.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.generator.set_state(saved["generator"])
        self.step, self.cursor, self.order = saved["step"], saved["cursor"], saved["order"]
        print(f"resumed at {saved['spent'] / 60:.1f} min, step {self.step}", flush=True)
        return saved["spent"]

    def _save(self) -> None:
        state = {
            "terms": self.terms, "network": self.network.state_dict(), "average": self.average.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state(),
            "spent": time.monotonic() - self.begun, "step": self.step, "cursor": self.cursor, "order": self.order,
        }  # fmt: skip
        torch.save(state, self.arguments.run / "checkpoint.tmp")
        os.replace(self.arguments.run / "checkpoint.tmp", self.checkpoint)

    def _begin_log(self) -> None:
        kept = self.log.read_text().splitlines()[1:] if self.resumed and self.log.exists() else []
        # Rows beyond the checkpoint will come again.
        kept = [row for row in kept if float(row.split(",")[self.fields.index("step")]) <= self.step]
        self.log.write_text("\n".join([",".join(self.fields), *kept]) + "\n")

    def _batch(self) -> Tensor:
        """The next frames."""
        size = self.arguments.batch
        if self.cursor + size > len(self.order):
            self.order, self.cursor = torch.randperm(len(self.rows), generator=self.generator), 0
        rows = self.rows[self.order[self.cursor : self.cursor + size]]
        self.cursor += size
        return rows

    def go(
        self, losses: Callable[[Tensor], Tensor], judge: Callable[[list[float]], dict[str, float]], say: Callable[[dict[str, float]], str]
    ) -> bool:
        """Run until the steps are done (true) or the time is spent (false).

        `losses` gives those of some frames, the first of which is made smaller; `judge` gets their means since the last line of the log and gives
        its fields; `say` puts a line in words.
        """
        self._begin_log()
        arguments, sums, since = self.arguments, None, 0
        while True:
            spent = time.monotonic() - self.begun
            finished = self.step >= arguments.steps
            done = finished or spent > arguments.minutes * 60.0 or self.step == arguments.pause_at
            if since and (done or self.step % arguments.every == 0):
                means = (sums / since).tolist()
                row = {
                    "seconds": spent, "step": self.step, "samples": self.step * arguments.batch,
                    "rate": since * arguments.batch / (time.monotonic() - self.logged_at), "loss": means[0], **judge(means),
                }  # fmt: skip
                with self.log.open("a") as stream:
                    csv.DictWriter(stream, self.fields).writerow({key: f"{value:.6g}" for key, value in row.items()})
                print(f"{spent / 60:6.1f} min  step {self.step}/{arguments.steps}  {row['rate']:.0f}/s  {say(row)}", flush=True)
                plot(self.log, arguments.run / "curve.png", self.panels)
                sums, since, self.logged_at = None, 0, time.monotonic()
            if done or time.monotonic() - self.saved_at > self.save_every:
                self._save()
                self.saved_at = time.monotonic()
            if done:
                return finished
            for group in self.optimizer.param_groups:
                group["lr"] = step_size(arguments, self.step)
            rows = self._batch()
            self.network.train()
            found = losses(rows)
            self.optimizer.zero_grad(set_to_none=True)
            found[0].backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimizer.step()
            self.step += 1
            self.average.update(self.step)
            found = found.detach()
            sums = found if sums is None else sums + found
            since += 1

    @property
    def learning_rate(self) -> float:
        """Of the last step."""
        return self.optimizer.param_groups[0]["lr"]
