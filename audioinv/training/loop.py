"""Contrastive learning under a descriptor: the pre-training loop, top to bottom.

Each step draws one corner from the allowed list, makes two views of a batch under it, and pulls the
projections of the two views together; the encoder is conditioned on that corner. What is contrasted
with what (SimCLR, MoCo-v2, MoCo-v3) is in `core.contrast`; what a step does around it, in `run`.
Every random draw is keyed by (seed, purpose, step), so a run that was killed and resumed ends with
the weights of one that never stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lightning.fabric import Fabric

from audioinv.core.bank import AugmentationBank, ClipSource
from audioinv.core.bases import release
from audioinv.core.encoder import AmortisedEncoder
from audioinv.training.average import Average
from audioinv.training.config import LogConfig, PretrainConfig, check
from audioinv.training.monitor import Monitor
from audioinv.training.objective import Make, make_objective
from audioinv.training.optimiser import of_this_batch
from audioinv.training.run import Run, Watch, unwatched


def pretrain(
    encoder: AmortisedEncoder,
    bank: AugmentationBank,
    clips: ClipSource,
    config: PretrainConfig,
    run: Path,
    fabric: Fabric,
    seed: int = 0,
    progress: Callable[[int, float, float], None] = lambda step, loss, lr: None,
    stop: Callable[[], bool] = lambda: False,
    objective: Make | None = None,
    watch: Watch = unwatched,
    monitor: Monitor | None = None,
    log: LogConfig | None = None,
) -> AmortisedEncoder:
    """Trains `encoder` in place and returns it; resumes from `run`/checkpoints if there are any.

    Args:
        run: gets metrics.jsonl, monitor.jsonl and checkpoints/, and tensorboard/ unless `log` says
            otherwise.
        progress: called after every step with (steps done, loss, learning rate).
        stop: asked after every step; true on any process writes a checkpoint and ends the run.
        objective: makes a loss of the user's own of encoder and bank (`core.objective`); then
            `config.objective` and what belongs to it is not looked at.
        watch: phase -> a context that it runs in, such as a timer.
        monitor: looks at the encoder now and then, and changes nothing.

    Raises:
        UserError: a setting out of range, too few clips, or a loss that is not finite.
        Stopped: `stop` said so.
    """
    check(config, len(clips), fabric.world_size)
    method = make_objective(encoder, bank.with_twins(config.twins), config, seed, objective)
    config = of_this_batch(config, fabric.world_size)
    average = Average(encoder, config.ema) if config.ema else None
    with Run(run, method, config, fabric, seed, watch, average, monitor, log) as training:
        for step in training.steps(clips):
            for _ in step.parts():
                shown = step.views(step.batch())
                step.backward(step.losses(shown))
            step.descend()
            step.end(progress, stop())
    if average:
        average.give()
    release(encoder)
    return encoder.eval()
