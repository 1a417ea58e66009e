"""The method: what happens to a window of the stream, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from pose_oad.online.batch import labelled_batch
from pose_oad.online.clocks import Clock, InstantClock, Work
from pose_oad.online.history import LabelHistory
from pose_oad.online.label_service import LabelService
from pose_oad.online.learner import Learner
from pose_oad.online.learning import Optimiser, Training, train
from pose_oad.online.measurement import Measurement
from pose_oad.online.record import Choice, WindowRecord
from pose_oad.online.stage import Stage
from pose_oad.online.stopwatch import Stopwatch
from pose_oad.online.triggers import Outcome, Plan, Trigger, WindowStats
from pose_oad.online.view import Situation
from pose_oad.online.weights import Weights
from pose_oad.online.window import FrameWindow


class Strategy(Protocol):
    """What the loop asks of a query strategy; :class:`callbacks.strategies.QueryStrategy` says it in full."""

    reference: bool

    @property
    def name(self) -> str:
        """Name of the strategy in reports."""
        ...

    def choose(self, situation: Situation, label_budget: int) -> Choice:
        """Choose frames of a window, up to a budget."""
        ...


@dataclass
class Loop:
    """The stages of a run, and the order in which a window goes through them: tested first, then trained on.

    Attributes:
        measurement: predicts every frame, and takes the errors
        trigger: how many labels and steps a window gets
        strategy: which frames are labelled
        labels: asks the teacher, and counts
        learner: memory, objective, regulariser, average; it trains the student
        clock: when new weights are ready
        weights: which weights predict when
        watch: where the time goes
        record: is told what happened to every window
        history: what has been labelled so far
        steps: optimiser steps so far
    """

    measurement: Measurement
    trigger: Trigger
    strategy: Strategy
    labels: LabelService
    learner: Learner
    clock: Clock = field(default_factory=InstantClock)
    weights: Weights = field(default_factory=Weights)
    watch: Stopwatch = field(default_factory=Stopwatch)
    record: Callable[[WindowRecord], None] = lambda record: None
    history: LabelHistory = field(default_factory=LabelHistory)
    steps: int = 0

    def play(self, window: FrameWindow, optimise: Optimiser) -> WindowRecord:
        """Take a window through all stages.

        Args:
            window: what has arrived
            optimise: makes an optimiser step of a loss
        """
        # Evaluate: every frame by the weights that serve when it arrives.
        measured = self.measurement.measure(window, self.weights.at(window.arrivals))
        # Trigger: how much is this window worth, if there is time for it?
        predicted, skeleton = measured.predictions, self.learner.student.skeleton
        stats = WindowStats(window.index, len(window), len(window.candidates), window.closed_s, predicted)
        admitted = self.clock.admits(window.opened_s, window.closed_s)
        plan = self.trigger.plan(stats) if admitted else Plan(0, 0, fired=False)
        # Choose: which frames?
        with self.watch("query"):
            memory, history = self.learner.memory, self.history
            situation = Situation(window, self.weights.student, self.labels, predicted, memory, history, self.watch)
            choice = self.strategy.choose(situation, plan.label_budget) if admitted else Choice(np.empty(0, np.int64))
        # Label: only those that were chosen, each counted and timed.
        labels, training, rows = None, Training(), torch.from_numpy(choice.positions)
        if len(choice.positions):
            labels = self.labels.label(window, choice.positions)
            person = labels.person(skeleton)
        # Remember and learn; what background alone would teach is that nobody is ever there.
        with self.watch("train"):
            if labels is not None:
                batch = labelled_batch(window, choice.positions, labels, skeleton, self.labels.supplied(skeleton))
                satisfied = plan.steps == 0 or self.trigger.satisfied(person, predicted[rows], skeleton)
                if satisfied or labels.nobody.all():
                    self.learner.keep(batch)
                else:
                    training = train(self.learner, batch, window.index, optimise, window.frames, plan.steps)
        # Publish: the weights serve when the clock says that they are ready, unless a gate refuses them.
        counts, before = self.labels.take_counts(), self.steps
        asked = counts.get("teacher_calls", 0)
        work = Work(window.opened_s, window.closed_s, len(window), asked, training.steps, self.watch.seconds)
        charge, judge = self.clock.charge(work) if admitted else None, self.learner.judge
        ready_s: float | None = None
        if charge and training.made:
            accepted = self.weights.publish(self.learner.serving, charge.ready_s, judge, window.closed_s)
            ready_s = charge.ready_s if accepted else None
        self.steps += training.steps
        # Record: for the trigger, for strategies to come, for whoever watches.
        record = WindowRecord(window, measured, plan, choice, labels, training, ready_s, before, counts, charge)
        if labels is not None:
            self.history.add(window.ids[choice.positions], person)
            made, slack = (training.steps, training.loss), record.slack_s
            self.trigger.observe(Outcome(asked, person, predicted[rows], *made, skeleton, slack))
        self.record(record)
        return record

    def stages(self) -> dict[str, Stage]:
        """Return the stages that may remember something, by name, for the checkpoint."""
        return {
            "measurement": self.measurement, "trigger": self.trigger, "labels": self.labels, "learner": self.learner,
            "clock": self.clock, "weights": self.weights, "history": self.history,
        }  # fmt: skip
