"""How a student trains on a window."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from pose_oad.tracking.schema import Count, NotNegative, Positive, Share


@dataclass(frozen=True)
class TrainingOptions:
    """How the student trains on the frames chosen from one window.

    Attributes:
        unit: what is the same in every window with a choice: ``epochs`` over the chosen frames (the paper's; the
            steps then grow with the label budget), optimiser ``steps`` (equal compute whatever the label budget) or
            ``seconds`` (training stops behind the step at which they are over)
        epochs: passes over the chosen frames, under ``unit=epochs``, and at most under ``unit=seconds``
        seconds: time on the clock of the machine, under ``unit=seconds``
        steps: optimiser steps per window, under ``unit=steps``
        batch_size: frames per optimiser step
        source_share: share of each batch that comes from the annotated source set, in [0, 1)
        new_share: share of the others that is new, in (0, 1]; the memory, as far as it holds anything, fills the rest
        people_share: least share of a batch that shows somebody, as far as any new frame does, in [0, 1]; new frames
            with people come again in the place of empty ones
        hold_out: share of the labels that is held back to judge by, in [0, 0.5]; 0 trains on all, for all steps
        check_every: steps between two looks at the labels held back
        patience: looks without a smaller loss after which training stops and goes back to the best weights
        last_batch: what becomes of an epoch's last batch where it is not full: ``keep`` it, or ``drop`` it where there
            is a full one (the paper's)
        learning_rate: the optimiser's
        optimizer_state: ``fresh`` in every window (the paper's) or ``kept``
        batch_norm: ``train`` uses and updates batch statistics (the paper's), ``frozen`` keeps the stored ones
        foreground: additional weight of map cells where something is (see :func:`map_loss`); 0 is the paper's
        labels: ``keypoints`` renders the teacher's people to maps, ``maps`` uses the teacher's own maps
        undetected_joints: a joint that the teacher misses in a person is left out of the loss (``mask``), or taught to
            be nowhere (``background``, the paper's)
        seed: ``seed.model``, order of the frames and their views
    """

    unit: Literal["epochs", "steps", "seconds"] = "epochs"
    epochs: Count = 10
    seconds: Positive = 10.0
    steps: Count = 10
    batch_size: Count = 32
    source_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    new_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    people_share: Share = 0.0
    hold_out: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    check_every: Count = 5
    patience: Count = 3
    last_batch: Literal["keep", "drop"] = "keep"
    learning_rate: Positive = 1e-3
    optimizer_state: Literal["fresh", "kept"] = "fresh"
    batch_norm: Literal["train", "frozen"] = "train"
    foreground: NotNegative = 0.0
    labels: Literal["keypoints", "maps"] = "keypoints"
    undetected_joints: Literal["mask", "background"] = "mask"
    seed: int = 0

    def trained(self, frames: int) -> int:
        """Return how many of some frames an epoch trains on."""
        full = frames - frames % self.batch_size
        return full if full and self.last_batch == "drop" else frames

    def planned(self, frames: int, size: int) -> int:
        """Return how many steps a window has of which some frames are new, so many of them in a batch."""
        return self.steps if self.unit == "steps" else self.epochs * -(-self.trained(frames) // size)
