"""Sample pictures and the confusion matrix, recorded at evaluations."""

from __future__ import annotations

import numpy as np

from rayseg.build import Experiment
from rayseg.collective import is_main
from rayseg.engine import Fit
from rayseg.inference import predict_images
from rayseg.tracking import NullTracker, Tracker, confusion_picture, default_palette, encode_png, panel

__all__ = ["Pictures"]


class Pictures:
    """A hook: image | truth | prediction | error of the first validation images, the same in every run.

    Args:
        experiment: whose validation images are shown.
        tracker: where they go.
    """

    def __init__(self, experiment: Experiment, tracker: Tracker) -> None:
        self._experiment = experiment
        self._tracker = tracker
        self._evaluated = -1

    def on_eval(self, run: Fit, metrics: dict[str, float]) -> None:  # noqa: ARG002
        """Remember of which step the confusion matrix is."""
        self._evaluated = run.state.step

    def before_checkpoint(self, run: Fit) -> None:
        """Record pictures with the last checkpoint, if it was evaluated; rank 0 only, no collective."""
        if not is_main() or isinstance(self._tracker, NullTracker) or not run.ended or self._evaluated != run.state.step:
            return
        self._panels(run)
        counts = self._experiment.evaluator.confusion
        if counts is not None:
            png = confusion_picture(counts.numpy().astype(np.int64), self._experiment.data.class_names)
            self._tracker.log_artifact("confusion.png", png)

    def _panels(self, run: Fit) -> None:
        data, config = self._experiment.data, self._experiment.config
        samples = [data.val[index] for index in range(min(config.tracking.pictures, len(data.val)))]
        palette = data.palette or default_palette(len(data.class_names))
        masks = predict_images(
            run.state.published,
            [sample.image for sample in samples],
            mean=config.data.mean,
            std=config.data.std,
            inference=self._experiment.evaluator.inference,
        )
        for number, (sample, mask) in enumerate(zip(samples, masks, strict=True)):
            picture = panel(sample.image, sample.mask, mask, palette, config.data.ignore_index)
            self._tracker.log_picture(f"val_{number}", run.state.step, encode_png(picture))
