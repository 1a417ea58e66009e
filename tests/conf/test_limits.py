"""What the classes that a configuration builds accept: the limits that their types declare, in one table."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from omegaconf import OmegaConf

from datamodules.coco import CocoDataModule
from datamodules.coco.augmentation import AugmentationConfig
from datamodules.human36m import Human36mSource
from datamodules.synthetic.generate import World
from datamodules.synthetic.plan import Recordings
from datamodules.video import LiveSource, VideoFileSource
from pose_oad.cli.command import CONF, compose_config, factory_of, plain
from pose_oad.online.averaging import Ema, SoftReset
from pose_oad.online.objectives import Consistency, InfluenceWeights, RegionWeights, SelfDistillation, SpatialKl
from pose_oad.online.regularisers import CoordinateDescent, Ewc, L2Sp, LastLayers, Mas
from pose_oad.students import StudentConfig
from pose_oad.teachers.coco_results import CocoResultsTeacher
from pose_oad.teachers.described import DescribedTeacher
from pose_oad.teachers.ensemble import EnsembleTeacher
from pose_oad.teachers.keypoint_rcnn import KeypointRcnnTeacher
from pose_oad.teachers.label_filter import FilteredTeacher
from pose_oad.teachers.onnx import OnnxTeacher
from pose_oad.teachers.openpose.teacher import OpenPoseTeacher
from pose_oad.teachers.openpose_json import OpenPoseJsonTeacher
from pose_oad.teachers.self_training import SelfTeacher
from pose_oad.teachers.smoothed import SmoothedTeacher
from pose_oad.teachers.student import CheckpointTeacher
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.teachers.vitpose import VitPoseTeacher
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.schema import check_values

REFUSED = [
    (CheckpointTeacher, {"path": None}, "text"),
    (CheckpointTeacher, {"path": ""}, "text, length at least 1"),
    (CheckpointTeacher, {"batch_size": 0}, "at least 1"),
    (CocoResultsTeacher, {"path": None}, "text"),
    (CocoResultsTeacher, {"missing_labels": "drop"}, "refuse or skip or nobody"),
    (CocoResultsTeacher, {"first": -1}, "at least 0"),
    (DescribedTeacher, {"path": None}, "text"),
    (DescribedTeacher, {"padding": "wide"}, "a number, above 0"),
    (DescribedTeacher, {"padding": 0}, "above 0"),
    (DescribedTeacher, {"min_confidence": 2}, "at least 0, at most 1"),
    (DescribedTeacher, {"threads": "all"}, "a whole number, at least 1, or null"),
    (DescribedTeacher, {"joints": 17}, "text, or a list of text"),
    (DescribedTeacher, {"input": "rgb"}, "keys and values"),
    (DescribedTeacher, {"input.size": 64}, "a list"),
    (DescribedTeacher, {"input.size": [64, 0]}, "at least 1"),
    (DescribedTeacher, {"input.std": [1, 1, 0]}, "above 0"),
    (DescribedTeacher, {"input.border": 300}, "at least 0, at most 255"),
    (DescribedTeacher, {"input.resize_mode": "crop"}, "letterbox or squash"),
    (DescribedTeacher, {"output.kind": "maps"}, "keypoints or simcc or heatmaps"),
    (EnsembleTeacher, {"min_oks": 2}, "at most 1"),
    (EnsembleTeacher, {"agree": 0}, "at least 1"),
    (FilteredTeacher, {"min_confidence": 2}, "at most 1"),
    (FilteredTeacher, {"inside": "yes"}, "true or false"),
    (FilteredTeacher, {"inside": 1}, "true or false"),
    (FilteredTeacher, {"limb_ratio": 1.0}, "above 1"),
    (FilteredTeacher, {"limb_asymmetry": "wide"}, "above 1"),
    (FilteredTeacher, {"min_joints": 0}, "at least 1"),
    (KeypointRcnnTeacher, {"weights": None}, "text"),
    (KeypointRcnnTeacher, {"size": 8}, "at least 32"),
    (KeypointRcnnTeacher, {"min_score": 2}, "at most 1"),
    (KeypointRcnnTeacher, {"min_joint_confidence": -1}, "at least 0"),
    (OnnxTeacher, {"path": None}, "text"),
    (OnnxTeacher, {"height": 100}, "a multiple of 8"),
    (OnnxTeacher, {"height": 368.0}, "a whole number"),
    (OnnxTeacher, {"height": 0}, "at least 8"),
    (OnnxTeacher, {"batch_size": True}, "a whole number"),
    (OnnxTeacher, {"channels": "gbr"}, "bgr or rgb"),
    (OnnxTeacher, {"scale": 0.0}, "above 0"),
    (OnnxTeacher, {"mean": "0"}, "a number"),
    (OnnxTeacher, {"enlarge": 1.5}, "a whole number, at least 1"),
    (OpenPoseJsonTeacher, {"folder": None}, "text"),
    (OpenPoseJsonTeacher, {"missing_labels": "ignore"}, "refuse or skip or nobody"),
    (OpenPoseJsonTeacher, {"keypoint_scale": 1}, "0 or 3 or 4"),
    (OpenPoseTeacher, {"network": "body25"}, "auto or coco-18 or body-25"),
    (OpenPoseTeacher, {"scales": []}, "length at least 1"),
    (OpenPoseTeacher, {"scales": [1.0, 0]}, "above 0, at most 4"),
    (OpenPoseTeacher, {"scales": "1.0"}, "a list"),
    (OpenPoseTeacher, {"precision": "16"}, "32-true or bf16-true"),
    (OpenPoseTeacher, {"device": None}, "text"),
    (TruthTeacher, {"noise": -1}, "at least 0"),
    (TruthTeacher, {"noise": math.inf}, "at least 0"),
    (TruthTeacher, {"misses": math.nan}, "at least 0, at most 1"),
    (TruthTeacher, {"seed": 2**64}, f"below {2**63}"),
    (VitPoseTeacher, {"detector": "yolo"}, "frame or keypoint_rcnn"),
    (VitPoseTeacher, {"size": 3}, "at least 32"),
    (Human36mSource, {"root": None}, "text"),
    (Human36mSource, {"subjects": "S1"}, "a list"),
    (Human36mSource, {"cameras": 55011271}, "a list"),
    (Human36mSource, {"cameras": []}, "length at least 1"),
    (Human36mSource, {"skip": None}, "a list"),
    (Human36mSource, {"shuffle": "maybe"}, "true or false"),
    (Human36mSource, {"order": "date"}, "action or file"),
    (Human36mSource, {"start": -1}, "at least 0, below 1"),
    (LiveSource, {"path": None}, "text, length at least 1, or a whole number"),
    (LiveSource, {"seconds": -1}, "above 0, or null"),
    (LiveSource, {"buffer_seconds": None}, "above 0"),
    (LiveSource, {"timeout": "long"}, "above 0"),
    (LiveSource, {"options": "640x480"}, "keys and values"),
    (LiveSource, {"reconnects": -1}, "at least 0"),
    (VideoFileSource, {"path": None}, "text, .* or a list"),
    (VideoFileSource, {"path": []}, "length at least 1"),
    (VideoFileSource, {"rate": None}, "above 0"),
    (VideoFileSource, {"end": 2}, "at most 1"),
    (VideoFileSource, {"metric_width": 0}, "above 0, or null"),
    (CocoDataModule, {"batch_size": 0}, "at least 1"),
    (CocoDataModule, {"workers": -1}, "at least 0"),
    (CocoDataModule, {"missing_images": "drop"}, "refuse or skip"),
    (AugmentationConfig, {"rotation": -1.0}, "at least 0"),
    (AugmentationConfig, {"scale": [0.0, 1.0]}, "above 0"),
    (AugmentationConfig, {"flip": 1.5}, "at most 1"),
    (AugmentationConfig, {"colour": "storng"}, "none or light or strong"),
    (World, {"seed": -1}, "at least 0"),
    (World, {"val_images": 1.5}, "a whole number"),
    (World, {"frame_size": 255}, "a multiple of 2"),
    (Recordings, {"takes": 31}, "at most 30"),
    (Ema, {"momentum": 1}, "at least 0, below 1"),
    (Ema, {"start": "source"}, "previous or pretrained"),
    (SoftReset, {"share": 2}, "at most 1"),
    (L2Sp, {"strength": -1}, "at least 0"),
    (Ewc, {"applies_to": "old"}, "new or replayed or labelled or unlabelled"),
    (Mas, {"frames": 0}, "at least 1"),
    (CoordinateDescent, {"share": 0}, "above 0, at most 1"),
    (CoordinateDescent, {"chosen_by": "gradient"}, "first_step or window_before"),
    (LastLayers, {"layers": "head"}, "a list of text"),
    (LastLayers, {"layers": []}, "length at least 1"),
    (RegionWeights, {"ring": -1}, "at least 0"),
    (SpatialKl, {"schedule": "gap"}, "constant or cosine"),
    (SpatialKl, {"tau": 0}, "above 0"),
    (SelfDistillation, {"own": "ema"}, "average or snapshot"),
    (Consistency, {"threshold": 2}, "at most 1"),
    (InfluenceWeights, {"trusted": "new"}, "replayed or source"),
    (SelfTeacher, {"threshold": -1}, "at least 0"),
    (SelfTeacher, {"weights": "serving"}, "pretrained or now"),
    (SmoothedTeacher, {"frames": 0}, "above 0"),
    (StudentConfig, {"name": ""}, "length at least 1"),
    (StudentConfig, {"skeleton": 17}, "text, .* or keys and values"),
    (StudentConfig, {"input_size": 128}, "a list"),
    (StudentConfig, {"input_size": [5000, 64]}, "at most 4096"),
    (StudentConfig, {"head_channels": 0}, "at least 1"),
    (StudentConfig, {"sigma": 1}, "above 0, below 1"),
    (StudentConfig, {"pretrained": "yes"}, "true or false"),
    (StudentConfig, {"resize_mode": "crop"}, "letterbox or squash"),
]


@pytest.mark.parametrize(("kind", "values", "accepted"), REFUSED, ids=lambda part: getattr(part, "__name__", str(part)))
def test_a_refused_value_is_named_with_what_is_accepted(kind: type, values: dict[str, Any], accepted: str) -> None:
    [(key, value)] = values.items()
    outer, _, inner = key.partition(".")
    with pytest.raises(UserError, match=rf"^node\.{key}={re.escape(str(value))}: expected .*{accepted}"):
        check_values(kind, {outer: {inner: value} if inner else value}, "node")


@pytest.mark.parametrize("group", ["teacher", "stream", "strategy", "objective", "regulariser", "average"])
def test_the_defaults_of_every_choice_are_accepted(group: str) -> None:
    needed = {
        "path",
        "url",
        "folder",
        "weights",
        "model",
        "of",
        "every",
        "corrections",
        "_target_",
    }  # the user's to say, or not the class's
    for choice in sorted(path.stem for path in (CONF / group).glob("*.yaml")):
        node = compose_config("online", [f"{group}={choice}"])[group]
        values = {key: value for key, value in plain(node).items() if value is not None or key not in needed}
        given = {*needed, "teacher", "skeleton", "members", "student"} - set(values)
        check_values(
            factory_of(node),
            {k: v for k, v in values.items() if k not in ("every", "corrections", "_target_")},
            "",
            given,
        )


def test_the_defaults_of_students_and_augmentation_are_accepted() -> None:
    for path in (CONF / "student").glob("*.yaml"):
        assert StudentConfig.from_dict(plain(OmegaConf.load(path)))  # type: ignore[arg-type]
    check_values(AugmentationConfig, plain(compose_config("pretrain").augmentation))
