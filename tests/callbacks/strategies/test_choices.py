"""Each strategy on a hand-made window in which the right choice is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from callbacks.strategies.balanced import BalancedTopK
from callbacks.strategies.base import QueryStrategy
from callbacks.strategies.change import Disagreement, Mir, Novelty
from callbacks.strategies.geometry import distances, pose_points, similarity
from callbacks.strategies.gradients import Badge, Vessal, own_peaks
from callbacks.strategies.k_centre import KCentre, KCentreUncertainty
from callbacks.strategies.learned_loss import LearnedLoss
from callbacks.strategies.mixture import Mixture
from callbacks.strategies.peaks import Margin, PeakEntropy, peak_heights
from callbacks.strategies.pose_likelihood import PoseLikelihood
from callbacks.strategies.sampling import Bins, Random
from callbacks.strategies.subsets import Dpp, FacilityLocation
from callbacks.strategies.temporal import Jump, TemporalChange
from callbacks.strategies.top_confidence import TopConfidence
from callbacks.strategies.typical import Coverage, Typicality
from pose_oad.cli.assembly import make_stage
from pose_oad.cli.command import CONF, compose_config
from pose_oad.online.history import LabelHistory
from pose_oad.online.label_service import LabelService
from pose_oad.online.view import Situation
from pose_oad.online.window import FrameWindow
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError
from tests.windows import BODY, make_loop, make_window, play, small_student

NAMES = sorted(path.stem for path in (CONF / "strategy").glob("*.yaml"))
REFERENCES = ("all", "none", "oracle", "mixture")


def bodies(*offsets: float, confidence: float = 0.9) -> Tensor:
    """Poses in px, one for each offset by which one wrist is off, shape (frames, 12, 3)."""
    generator = torch.Generator().manual_seed(0)
    body = torch.rand(12, 3, generator=generator) * 40 + 10
    body[BODY.index("left_shoulder"), :2] = torch.tensor([20.0, 15.0])
    body[BODY.index("right_hip"), :2] = torch.tensor([36.0, 45.0])
    poses = body.repeat(len(offsets), 1, 1)
    poses[:, BODY.index("left_wrist"), 0] += torch.tensor(offsets)
    poses[..., 2] = confidence
    return poses


class Painted(nn.Module):
    """A network whose maps are its pictures: three joints, red, green and blue."""

    def __init__(self) -> None:
        super().__init__()
        self.skeleton, self.config = BODY, SimpleNamespace(sigma=0.1)
        self.backbone, self.head = _Colours(), _Head()

    def normalise(self, frames: Tensor) -> Tensor:
        return frames.permute(0, 3, 1, 2).float() / 255

    def forward(self, images: Tensor) -> Any:
        return self.head(self.backbone(images))


class _Colours(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images * self.weight[:, None, None]]


class _Head(nn.Module):
    outputs = ("out",)

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Conv2d(3, 3, 1)
        self.out.weight.data[:] = torch.eye(3)[:, :, None, None]
        nn.init.zeros_(self.out.bias)

    def forward(self, features: list[Tensor]) -> Any:
        return self.out(features[-1]), None


def pick(
    strategy: QueryStrategy,
    frames: int | FrameWindow,
    k: int,
    predictions: Tensor | None = None,
    student: Any = None,
    history: LabelHistory | None = None,
) -> list[int]:
    window = make_window(frames) if isinstance(frames, int) else frames
    student = student or SimpleNamespace(skeleton=BODY)
    labels = LabelService(TruthTeacher(BODY))
    situation = Situation(window, student, labels, predictions, history=history or LabelHistory())
    return strategy.choose(situation, k).positions.tolist()


def labelled(poses: Tensor, first: int = 1000) -> LabelHistory:
    history = LabelHistory()
    history.add(np.arange(first, first + len(poses)), poses)
    return history


def peaks(*places: tuple[int, int], height: float = 1.0) -> Tensor:
    """A picture with a Gaussian at each place in every colour, uint8, shape (32, 32, 3)."""
    grid = torch.arange(32.0)
    picture = torch.zeros(32, 32)
    for row, column in places:
        one = torch.exp(-((grid[:, None] - row) ** 2 + (grid - column) ** 2) / 3.2**2)
        picture = torch.maximum(picture, one * height)
    return (picture * 255).round().to(torch.uint8).unsqueeze(-1).repeat(1, 1, 3)


def painted(*pictures: Tensor) -> FrameWindow:
    window = make_window(len(pictures))
    window.frames[:] = torch.stack(pictures)
    return window


def test_distances_of_poses_are_of_what_both_know_and_in_torsos() -> None:
    poses = bodies(0, 0, 10)
    poses[1, :, :2] = poses[1, :, :2] * 2 + 7  # nearer to the camera
    poses[0, BODY.index("right_ankle")] = 0  # not found
    apart = distances(*[pose_points(poses, BODY, 0.1)] * 2)
    assert apart[0, 2] > 5 * apart[0, 1]
    nobody = torch.zeros(1, 12, 3)
    assert distances(pose_points(nobody, BODY, 0.1), pose_points(poses, BODY, 0.1)).tolist() == [[0, 0, 0]]


def test_similarity_is_one_where_poses_agree_and_nan_without_a_label() -> None:
    poses, nobody = bodies(0, 200), torch.zeros(1, 12, 3)
    found = similarity(bodies(0, 0, 0), torch.cat([poses, nobody]), BODY)
    assert found[0] == 1
    assert 0 < found[1] < 1
    assert found[2].isnan()


def test_k_centre_covers_what_is_there_and_counts_what_has_been_labelled() -> None:
    predictions = bodies(0, 0, 0, 0, 50, 0, 0, -40, 0, 0)
    chosen = pick(KCentre(by="pose", scorer="live"), 10, 3, predictions)
    assert chosen[1:] == [4, 7] or set(chosen) >= {4, 7}
    assert pick(KCentre(by="pose", scorer="live"), 10, 1, predictions, history=labelled(bodies(0, 50))) == [7]


def test_k_centre_remembers_thumbnails_through_a_checkpoint() -> None:
    left, right, top = torch.zeros(3, 32, 32, 3, dtype=torch.uint8)
    left[:, :16], right[:, 16:], top[:16] = 200, 200, 200
    first = KCentre(by="thumbnail")
    assert 2 in pick(first, painted(left, left, right, left), 2)
    again = KCentre(by="thumbnail")
    again.load_state_dict(first.state_dict())
    assert pick(again, painted(right, left, left, top), 1) == [3]


def test_k_centre_uncertainty_turns_to_uncertainty_as_the_student_gets_better() -> None:
    predictions = bodies(0, 0, 60, 0)
    predictions[3, :, 2] = 0.2
    strategy = KCentreUncertainty(weight=10.0)
    assert pick(strategy, 4, 1, predictions, history=labelled(bodies(0))) == [2]
    skilled = LabelHistory()
    skilled.add(np.array([2]), predictions[2:3])  # it was right
    assert pick(strategy, 4, 1, predictions, history=skilled) == [3]


def test_temporal_change_and_jump_find_a_joint_that_moves_to_and_fro_within_its_clip() -> None:
    predictions = bodies(0, 0, 0, 0, 0, 0, 25, 0)
    predictions[4:, :, 1] += 100
    one, two = make_window(8), make_window(8, sizes=((64, 64),) * 2)
    assert pick(TemporalChange(), two, 1, predictions) == [6]
    assert pick(Jump(), two, 2, predictions) == [6, 7]
    assert pick(Jump(), one, 1, predictions) == [4]
    still = Situation(two, SimpleNamespace(skeleton=BODY), LabelService(TruthTeacher(BODY)), predictions)  # type: ignore[arg-type]
    assert Jump(distance=30).choose(still, 1).scores.tolist() == [0.0] * 8  # type: ignore[union-attr]


def test_change_of_maps_is_against_both_neighbours_across_batches() -> None:
    calm, other = peaks((8, 8)), peaks((20, 20))
    window = painted(*[calm] * 64, other, *[calm] * 3)
    assert pick(TemporalChange(of="maps"), window, 1, student=Painted()) == [64]


def test_peaks_of_one_height_are_doubt() -> None:
    clear, doubtful = peaks((16, 16)), peaks((8, 8), (24, 24))
    window = painted(clear, clear, doubtful, clear)
    assert pick(PeakEntropy(), window, 1, student=Painted()) == [2]
    assert pick(Margin(), window, 1, student=Painted()) == [2]
    heights = peak_heights(doubtful.permute(2, 0, 1)[None].float(), 5, 5)
    assert heights[0, 0].tolist() == [255, 255, -np.inf, -np.inf, -np.inf]


def test_pose_likelihood_finds_the_pose_that_no_body_takes() -> None:
    predictions = bodies(*np.linspace(0, 5, 40))
    predictions[17, :, :2] = predictions[17, torch.arange(11, -1, -1), :2]
    strategy = PoseLikelihood()
    assert pick(strategy, 40, 1, predictions) == [17]
    again = PoseLikelihood()
    again.load_state_dict(strategy.state_dict())
    assert pick(again, 40, 1, predictions, history=labelled(bodies(*np.linspace(0, 5, 64)))) == [17]


def test_top_confidence_takes_sure_frames_that_differ() -> None:
    predictions = bodies(0, 99, 0, 1, 0, 0, 0, 0, 60, 61, 0, 0, confidence=0.3)
    predictions[[2, 3, 8, 9], :, 2] = 0.9
    chosen = pick(TopConfidence(), 12, 2, predictions)
    assert chosen[0] in (2, 3)
    assert chosen[1] in (8, 9)


def test_typicality_takes_the_densest_frame_of_clusters_without_labels() -> None:
    predictions = bodies(-3, -2, -1, 0, 1, 2, 3, 70, 78, 79, 80, 81, 82, 90)
    strategy = Typicality(by="pose", scorer="live", neighbours=3)
    first, second = pick(strategy, 14, 2, predictions)
    assert first in (1, 2, 3, 4, 5)
    assert second in (9, 10, 11)
    [only] = pick(strategy, 14, 1, predictions, history=labelled(bodies(0)))
    assert only in (9, 10, 11)


def test_coverage_takes_what_covers_most_that_is_not_covered() -> None:
    predictions = bodies(-4, -2, 0, 2, 4, 80, 82, 84, 200)
    step = distances(*[pose_points(predictions, BODY, 0.1)] * 2)[1, 2]
    strategy = Coverage(radius=float(step) * 2.5)
    assert pick(strategy, 9, 1, predictions) == [2]
    assert pick(strategy, 9, 1, predictions, history=labelled(bodies(0)))[0] in (5, 6, 7)


def test_facility_location_leaves_outliers_that_k_centre_takes() -> None:
    predictions = bodies(-2, -1, 0, 1, 2, 38, 39, 40, 41, 42, 160)
    history = labelled(bodies(0))
    assert pick(FacilityLocation(), 11, 1, predictions, history=history)[0] in (7, 8)
    assert pick(KCentre(by="pose", scorer="live"), 11, 1, predictions, history=history) == [10]


def test_dpp_takes_unsure_frames_but_none_twice() -> None:
    predictions = bodies(0, 0, 0, 60, 60, 0)
    predictions[[1, 2], :, 2] = 0.1
    predictions[4, :, 2] = 0.5
    chosen = pick(Dpp(), 6, 2, predictions)
    assert chosen[0] in (1, 2)
    assert chosen[1] == 4


def test_badge_takes_large_gradients_that_differ() -> None:
    sure, noise = peaks((16, 16)), torch.randint(0, 200, (32, 32, 3), dtype=torch.uint8)
    doubt = peaks((4, 4), (28, 28), (4, 28))
    window = painted(sure, sure, noise, noise, sure, doubt, sure)
    chosen = pick(Badge(), window, 2, student=Painted())
    assert len({2, 3} & set(chosen)) == 1
    found = own_peaks(sure.permute(2, 0, 1)[None].float(), Painted())  # type: ignore[arg-type]
    assert (found * 255 - sure.permute(2, 0, 1)).abs().max() < 1


def test_vessal_decides_as_frames_come() -> None:
    window = painted(*torch.randint(0, 256, (60, 32, 32, 3), dtype=torch.uint8))
    chosen = pick(Vessal(), window, 6, student=Painted())
    assert 1 <= len(chosen) <= 6
    window.frames[30:] = peaks((3, 3))
    assert [at for at in pick(Vessal(), window, 6, student=Painted()) if at < 30] == [at for at in chosen if at < 30]


def test_novelty_is_where_features_have_turned() -> None:
    strategy, student, window = Novelty(), Painted(), painted(*[peaks((16, 16))] * 5)
    window.frames[..., 2] //= 8
    window.frames[3, ..., 2] = window.frames[3, ..., 0]
    strategy._frozen = Painted()  # type: ignore[assignment]
    student.backbone.weight.data[2] = -1
    assert pick(strategy, window, 1, student=student) == [3]


def test_mir_is_where_a_step_on_the_others_harms_and_leaves_the_student_alone() -> None:
    usual, other = peaks((16, 16), height=0.4), peaks((16, 16), height=1.0)
    window, student = painted(*[usual] * 9, other), Painted()
    before = [weight.clone() for weight in student.parameters()]
    strategy = Mir(batch=4, learning_rate=1.0)
    scores = strategy.choose(Situation(window, student, None), 1).scores  # type: ignore[arg-type]
    assert scores[9] > 0 > scores[0]
    assert all(torch.equal(*pair) for pair in zip(before, student.parameters(), strict=True))


def test_balanced_top_k_takes_the_surest_of_each_joint_and_of_each_kind() -> None:
    poses = bodies(0, 0, 0, 90, 90, 90, confidence=0.5)
    poses[4, 0, 2] = poses[1, 1, 2] = 0.9
    label = SimpleNamespace(person=lambda skeleton: poses)
    labels: Any = SimpleNamespace(label=lambda window, positions: label)
    situation = Situation(make_window(6), SimpleNamespace(skeleton=BODY), labels)  # type: ignore[arg-type]
    assert BalancedTopK().choose(situation, 2).positions.tolist() == [1, 4]
    assert BalancedTopK(of="clusters", clusters=2).choose(situation, 2).positions.tolist() == [1, 4]


def test_disagreement_is_with_the_weights_of_earlier_windows() -> None:
    student, strategy = small_student(), Disagreement(momentum=0.5)
    others = bodies(0, 0, 9, 0)
    view: Any = SimpleNamespace(network=student, predict=lambda network: others, predictions=bodies(0, 0, 0, 0))
    assert strategy.score(view).argmax() == 2
    start = {name: value.clone() for name, value in strategy._average.state_dict().items()}  # type: ignore[union-attr]
    with torch.no_grad():
        for weight in student.parameters():
            weight += 1
    again = Disagreement(momentum=0.5)
    again.load_state_dict(strategy.state_dict())
    again.score(view)
    moved = dict(again._average.named_parameters())  # type: ignore[union-attr]
    assert all(torch.allclose(value, start[name] + 0.5, atol=1e-5) for name, value in moved.items())


def test_learned_loss_knows_where_it_was_wrong() -> None:
    strategy, history = LearnedLoss(), LabelHistory()
    kinds = torch.eye(2)[[0, 1, 0, 1]]

    class View(SimpleNamespace):
        def __len__(self) -> int:
            return len(self.ids)

    view: Any = View(ids=np.arange(4), features=kinds, predictions=bodies(0, 0, 0, 0), skeleton=BODY, history=history)
    assert strategy.score(view).tolist() == [0] * 4
    strategy.remember(view, np.arange(4))
    history.add(np.arange(4), bodies(300, 0, 300, 0))
    again = LearnedLoss()
    again.load_state_dict(strategy.state_dict())
    scores = again.score(view)
    assert scores[0] > scores[1]


def test_a_mixture_lets_choose_what_has_gained() -> None:
    mixture = Mixture(strategies={"one": Random(), "two": Bins(), "three": Random(seed=1)}, explore=0.0)
    assert mixture._promising() == "one"
    mixture._gains = [("one", 0.1), ("two", 0.4), ("three", 0.2)]
    assert mixture._promising() == "two"
    mixture._gains += [("two", -0.5)]
    assert mixture._promising() == "three"
    with pytest.raises(UserError, match=r"strategy.strategies"):
        Mixture()


def test_a_mixture_observes_gains_on_a_stream_and_goes_on_from_a_checkpoint() -> None:
    mixture = make_stage(compose_config("online", ["strategy=mixture"]).strategy)
    loop = make_loop(strategy=mixture, rate=0.2, epochs=1)
    play(loop, *(make_window(10, index=index) for index in range(3)))
    assert [name for name, _ in mixture._gains] == list(mixture.strategies)[:2]
    again = Mixture(strategies=mixture.strategies)
    again.load_state_dict(mixture.state_dict())
    assert again._gains == mixture._gains


@pytest.mark.parametrize("strategy", [PoseLikelihood(labels=2), LearnedLoss(), KCentreUncertainty()])
def test_labels_of_earlier_windows_are_learnt_from_on_a_stream(strategy: QueryStrategy) -> None:
    loop = make_loop(strategy=strategy, rate=0.2, epochs=1)
    records = play(loop, *(make_window(10, index=index) for index in range(2)))
    assert [len(record.choice.positions) for record in records] == [2, 2]


def test_every_choice_is_in_the_table() -> None:
    page = (CONF.parent / "docs" / "strategies.md").read_text()
    assert [name for name in NAMES if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in REFERENCES])
def test_every_choice_plays_with_a_gap_and_bins_and_goes_on_from_a_checkpoint(name: str) -> None:
    values = OmegaConf.load(CONF / "strategy" / f"{name}.yaml")
    cfg = OmegaConf.create({"seed": {"selection": 0}, "metric": {"threshold": 0.1}, "strategy": values})
    spaced = name != "uniform"
    if spaced:
        cfg.strategy.min_gap, cfg.strategy.bins = 2, True
    strategy, again = (make_stage(cfg.strategy) for _ in range(2))
    student = small_student()
    for one in (strategy, again):
        one._frozen = student
    history, predictions = LabelHistory(), bodies(*range(12))
    predictions[5] = 0
    assert strategy.name == name
    for index in range(2):
        window = make_window(12, index=index)
        chosen = pick(strategy, window, 3, predictions, student, history)
        assert len(chosen) == 3 or name == "vessal"
        assert not spaced or all(np.diff(chosen) >= 2)
        assert not spaced or len({at // 4 for at in chosen}) == len(chosen)
        if index:
            assert pick(again, window, 3, predictions, student, history) == chosen
        again.load_state_dict(strategy.state_dict())
        history.add(window.ids[chosen], predictions[chosen])
