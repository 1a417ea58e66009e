"""Fine-tuning on hand-made frame sets, with validation errors that follow a script."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from lightning import Callback, Trainer

from pose_oad.metrics.keypoints import MissingRule
from pose_oad.offline.frame_store import FrameSet
from pose_oad.offline.training import TEACHER_LOSS, VALIDATION_ERROR, EpochLogger, FinetuneModule, Plateau, fine_tune
from pose_oad.online.batch import LabelledBatch
from pose_oad.online.options import TrainingOptions
from pose_oad.students import StudentConfig, build_student, load_student
from pose_oad.tracking.errors import UserError
from tests.windows import BODY


class Scripted(FinetuneModule):
    """Validates to a given curve, whatever it has learnt."""

    curve: list[float]

    def on_validation_epoch_end(self) -> None:
        self.log(self.monitor, self.curve[self.current_epoch], logger=False)

    def validation_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        pass


class Weights(Callback):
    """Keeps the weights of every epoch."""

    def __init__(self) -> None:
        self.epochs: list[torch.Tensor] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: FinetuneModule) -> None:
        self.epochs.append(flat(pl_module.student))


class Calls:
    """Stands in for the tracking store."""

    def __init__(self) -> None:
        self.made: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.made.append((step, metrics))


def flat(student: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().flatten().float() for value in student.state_dict().values()])


def frame_set(count: int, seed: int = 0) -> FrameSet:
    generator = torch.Generator().manual_seed(seed)
    return FrameSet(
        LabelledBatch(
            torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=generator),
            torch.rand(count, 1, 12, 3, generator=generator) * 30 + 1,
            torch.ones(count, 12, dtype=torch.bool),
            torch.ones(count, len(BODY.limbs), dtype=torch.bool),
            torch.arange(count),
            metric_scale=torch.full((count, 2), 10.0),
        )
    )


def module_of(curve: list[float] | None = None, plateau: Plateau | None = None, **options) -> FinetuneModule:
    torch.manual_seed(0)
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32), head_channels=16))
    kind = FinetuneModule if curve is None else Scripted
    options = {"epochs": len(curve or [0]), "batch_size": 4, "batch_norm": "frozen"} | options
    module = kind(student.eval(), TrainingOptions(**options), plateau or Plateau(), MissingRule())
    if curve is not None:
        module.curve = curve
    return module


def trainer_for(epochs: int, *callbacks: Callback) -> Trainer:
    return Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, callbacks=list(callbacks), enable_checkpointing=False,
        enable_model_summary=False, enable_progress_bar=False, num_sanity_val_steps=0,
    )  # fmt: skip


def tune(trainer: Trainer, module: FinetuneModule, chosen: FrameSet, validation: FrameSet, folder: Path) -> float:
    return fine_tune(trainer, module, chosen, validation, folder / "student.ckpt", folder / "unfinished")


def test_the_weights_of_the_smallest_validation_error_are_kept(tmp_path: Path) -> None:
    weights, module = Weights(), module_of([5.0, 3.0, 4.0, 6.0])
    error = tune(trainer_for(4, weights), module, frame_set(6), frame_set(3, 1), tmp_path)
    assert error == 3.0
    kept = flat(load_student(tmp_path / "student.ckpt"))
    assert [torch.equal(kept, of_epoch) for of_epoch in weights.epochs] == [False, True, False, False]
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")} == {
        "student.ckpt",
        "unfinished/last.ckpt",
    }


def test_the_learning_rate_falls_on_a_plateau_and_epochs_are_logged_in_one_call(tmp_path: Path) -> None:
    store, curve = Calls(), [5.0, 4.0, 4.0, 4.0, 3.0, 3.5]
    module = module_of(curve, Plateau(factor=0.1, patience=1), learning_rate=1e-2)
    tune(trainer_for(6, EpochLogger(store)), module, frame_set(4), frame_set(2, 1), tmp_path)
    assert [step for step, _ in store.made] == [1, 2, 3, 4, 5, 6]
    assert [metrics[VALIDATION_ERROR] for _, metrics in store.made] == curve
    # the second epoch in a row without a smaller error is the fourth: from the fifth on the rate is a tenth
    assert [metrics["lr"] for _, metrics in store.made] == pytest.approx([1e-2] * 4 + [1e-3] * 2)
    assert all(metrics["train/loss"] > 0 for _, metrics in store.made)


def test_the_validation_error_is_the_mean_distance_in_px_of_the_metric(tmp_path: Path) -> None:
    module, validation = module_of(), frame_set(3, 1)
    error = tune(trainer_for(1), module, frame_set(0), validation, tmp_path)

    found = module.student.keypoints(validation.content.frames).single
    distance = (found - validation.content.keypoints[:, 0])[..., :2].norm(dim=-1)
    assert error == pytest.approx(float(distance.mean()) * 10.0, rel=1e-5)


def test_the_loss_on_a_teachers_labels_may_pick_the_checkpoint(tmp_path: Path) -> None:
    weights, store = Weights(), Calls()
    scripted = module_of([5.0, 3.0, 4.0, 4.0, 4.0, 4.0, 6.0], Plateau(patience=3), learning_rate=1e-2)
    scripted.monitor = TEACHER_LOSS
    callbacks = weights, EpochLogger(store)
    assert tune(trainer_for(7, *callbacks), scripted, frame_set(6), frame_set(3, 1), tmp_path) == 3.0
    assert torch.equal(flat(load_student(tmp_path / "student.ckpt")), weights.epochs[1])
    assert [metrics["lr"] for _, metrics in store.made] == pytest.approx([1e-2] * 6 + [1e-3])

    module, labelled = module_of(), frame_set(3, 1)
    module.monitor = TEACHER_LOSS
    loss = tune(trainer_for(1), module, frame_set(0), labelled, tmp_path)
    student = module.student.eval()
    with torch.no_grad():
        maps, fields = student(student.normalise(labelled.content.frames))
    target = student.targets(labelled.content.keypoints)
    expected = (maps - target.confidence_maps).square().mean() + (fields - target.part_affinity_fields).square().mean()
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_a_last_batch_may_be_dropped(tmp_path: Path) -> None:
    for chosen, steps in ((3, 1), (4, 1), (6, 1), (8, 2)):
        trainer = trainer_for(1)
        tune(trainer, module_of([1.0], last_batch="drop"), frame_set(chosen), frame_set(2, 1), tmp_path / str(chosen))
        assert trainer.global_step == steps


def test_without_frames_the_weights_stay(tmp_path: Path) -> None:
    module = module_of()
    before = flat(module.student)
    trainer = trainer_for(1)
    tune(trainer, module, frame_set(0), frame_set(2, 1), tmp_path)
    assert torch.equal(flat(load_student(tmp_path / "student.ckpt")), before)
    assert trainer.global_step == 0


def test_frames_in_which_nobody_was_found_do_not_train_alone(tmp_path: Path) -> None:
    module, empty = module_of(), frame_set(4)
    empty.content.keypoints.zero_()
    before, trainer = flat(module.student), trainer_for(1)
    tune(trainer, module, empty, frame_set(2, 1), tmp_path)
    assert torch.equal(flat(load_student(tmp_path / "student.ckpt")), before)
    assert trainer.global_step == 0


def test_the_checkpoint_says_what_it_was_trained_with(tmp_path: Path) -> None:
    for frames, foreground in ((0, 10.0), (4, 3.0)):
        module = module_of(foreground=3.0)
        module.student.trained_with(10.0)
        module.save_hyperparameters({"student": module.student.config.to_dict()})
        tune(trainer_for(1), module, frame_set(frames), frame_set(2, 1), tmp_path)
        assert load_student(tmp_path / "student.ckpt").config.foreground == foreground


class Stop(Callback):
    """Stops when so many epochs have been finished, and half of one more."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: FinetuneModule, outputs: object, batch: LabelledBatch, batch_idx: int
    ) -> None:
        if trainer.current_epoch == self.epochs:
            raise RuntimeError("power cut")


@pytest.mark.parametrize("finished", [0, 1, 2, 3])
def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path: Path, finished: int) -> None:
    curve = [5.0, 3.0, 3.5, 4.0, 6.0, 2.0 if finished == 3 else 7.0]

    def fresh() -> FinetuneModule:
        return module_of(curve, Plateau(factor=0.1, patience=1), learning_rate=1e-2, batch_norm="train")

    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    sets, whole, before, after = (frame_set(6), frame_set(2, 1)), Calls(), Calls(), Calls()
    module = fresh()
    error = tune(trainer_for(6, EpochLogger(whole)), module, *sets, tmp_path / "whole")

    with pytest.raises(RuntimeError, match="power cut"):
        tune(trainer_for(6, EpochLogger(before), Stop(finished)), fresh(), *sets, tmp_path / "parts")
    assert not (tmp_path / "parts" / "student.ckpt").exists()
    resumed, trainer = fresh(), trainer_for(6, EpochLogger(after))
    assert tune(trainer, resumed, *sets, tmp_path / "parts") == error == min(curve)
    assert trainer.global_step == 6 * 2
    assert before.made + after.made == whole.made  # losses and learning rates, each epoch once
    assert torch.equal(flat(resumed.student), flat(module.student))
    kept = [flat(load_student(tmp_path / part / "student.ckpt")) for part in ("whole", "parts")]
    assert torch.equal(*kept)


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    sets, store = (frame_set(6), frame_set(2, 1)), Calls()
    assert tune(trainer_for(2), module_of([4.0, 5.0]), *sets, tmp_path) == 4.0
    kept = (tmp_path / "student.ckpt").read_bytes()
    trainer = trainer_for(2, EpochLogger(store))
    assert tune(trainer, module_of([4.0, 5.0]), *sets, tmp_path) == 4.0
    assert not store.made
    assert trainer.global_step == 4
    assert (tmp_path / "student.ckpt").read_bytes() == kept


def test_an_epoch_that_has_been_logged_is_not_logged_again(tmp_path: Path) -> None:
    store = Calls()
    tune(trainer_for(3, EpochLogger(store, 2)), module_of([1.0] * 3), frame_set(4), frame_set(2, 1), tmp_path)
    assert [step for step, _ in store.made] == [3]


@pytest.mark.parametrize("mode", ["frozen", "train"])
def test_batch_norm_statistics_are_kept_or_updated(tmp_path: Path, mode: str) -> None:
    module = module_of([1.0, 1.0], batch_norm=mode)
    before = {key: value.clone() for key, value in module.student.state_dict().items() if "running_" in key}
    tune(trainer_for(2), module, frame_set(8), frame_set(2, 1), tmp_path)
    after = module.student.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items()) == (mode == "frozen")


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    store = Calls()
    module = module_of([1.0] * 6, Plateau(patience=10), learning_rate=3e-3)
    tune(trainer_for(6, EpochLogger(store)), module, frame_set(8), frame_set(2, 1), tmp_path)
    losses = [metrics["train/loss"] for _, metrics in store.made]
    assert losses[-1] < losses[0]


def test_an_undefined_validation_error_is_not_logged(tmp_path: Path) -> None:
    store = Calls()
    tune(trainer_for(1, EpochLogger(store)), module_of([math.nan]), frame_set(4), frame_set(2, 1), tmp_path)
    assert VALIDATION_ERROR not in store.made[0][1]
    assert (tmp_path / "student.ckpt").is_file()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"factor": 0}, "training.plateau.factor=0"),
        ({"factor": 1.0}, "training.plateau.factor=1.0"),
        ({"factor": "half"}, "training.plateau.factor=half"),
        ({"patience": -1}, "training.plateau.patience=-1"),
        ({"patience": 1.5}, "training.plateau.patience=1.5"),
    ],
)
def test_unusable_plateaus_are_refused(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Plateau(**values)


def test_a_teachers_maps_are_refused() -> None:
    with pytest.raises(UserError, match=r"training\.labels=maps"):
        module_of(labels="maps")


def test_a_training_that_diverges_keeps_nothing_broken(tmp_path: Path) -> None:
    student = build_student(StudentConfig("tiny", "mobilenetv4_conv_small_050", input_size=(32, 32)))
    options = TrainingOptions(learning_rate=1e10, batch_norm="frozen")
    module = FinetuneModule(student, options, Plateau(), MissingRule())
    with pytest.raises(UserError, match=r"training\.learning_rate=1e\+10: training diverged in epoch 1 .*smaller"):
        tune(trainer_for(2), module, frame_set(4), frame_set(2, 1), tmp_path)
    assert not list(tmp_path.rglob("*.ckpt"))
