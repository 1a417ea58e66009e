"""The doctor: look at every file of a tree before anything is made of it."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

import av
from pydantic import AfterValidator, BeforeValidator, Field

from datamodules.human36m.fetch import FetchTree
from datamodules.human36m.findings import Examination, Finding, FindingKind, Report
from datamodules.human36m.names import ACTIONS, FRAME_RATE, TAKES, Action, Camera, RecordingName, Subject
from datamodules.human36m.processes import Progress, in_processes
from datamodules.human36m.recordings import POSE_KINDS, Original, PoseKind
from datamodules.human36m.tree import POSE_FOLDERS, RawTree
from datamodules.video.clips import Clip
from datamodules.video.decoding import open_video, reason
from datamodules.video.images import decode_image
from datamodules.video.reading import LENGTH_TOLERANCE
from pose_oad.tracking.errors import UserError

_Name = TypeVar("_Name")
# At least one, each once.
_Some = Annotated[tuple[_Name, ...], Field(min_length=1), AfterValidator(lambda names: tuple(dict.fromkeys(names)))]


@dataclass(frozen=True)
class Selection:
    """What to look at."""

    subjects: _Some[Subject]  #: ``S1``, …
    #: camera numbers
    cameras: _Some[Annotated[Camera, BeforeValidator(str)]]  # bare numbers do
    actions: _Some[Action] | None = None  #: canonical names; None for all
    #: patterns of recordings to leave out, as ``S11/Directions.54138969`` (shell wild cards)
    skip: tuple[str, ...] = ()

    def covers(self, name: RecordingName) -> bool:
        """Return True for a recording of a camera and an action that are wanted."""
        return name.camera in self.cameras and (self.actions is None or name.action in self.actions)

    def leaves_out(self, name: RecordingName) -> bool:
        """Return True for a recording on the list of those to leave out."""
        return any(fnmatch.fnmatchcase(name.key, pattern) for pattern in self.skip)


def examine_tree(tree: RawTree | FetchTree, selection: Selection, workers: int, progress: Progress) -> Report:
    """Look at everything that is wanted of a tree, in several processes (0: in this one); nothing is written."""
    report = Report(selection.subjects)
    wanted: list[Original] = []
    for subject in selection.subjects:
        there = [recording for recording in tree.recordings(subject) if selection.covers(recording.name)]
        report.add(list(_of_subject(tree, subject, [recording.name for recording in there], selection)))
        wanted += [recording for recording in there if not selection.leaves_out(recording.name)]
    report.examined = in_processes(examine, wanted, workers, progress)
    return report


def examine(recording: Original) -> Examination:
    """Look at one recording: all of its pose files; of a video every packet, its first and its last key picture."""
    name = recording.name
    finding = partial(_finding, name)
    try:
        clip, remark = recording.clip()
        _check_end(clip)
    except UserError as error:
        return Examination(name, recording, False, (finding("damaged", str(error)),))
    findings = [finding("odd", remark)] if remark else []
    if clip.rate != FRAME_RATE:
        findings.append(finding("odd", f"{clip.rate:g} frames/s, where the data set has {FRAME_RATE:g}"))
    kinds: list[PoseKind] = []
    for kind in POSE_KINDS:
        try:
            if not recording.has(kind):
                findings.append(finding("missing", f"no poses of kind {kind}"))
            elif (frames := len(recording.poses(kind))) < clip.stop:
                findings.append(finding("odd", f"{frames} poses of kind {kind} for {clip.stop} frames: not used"))
            else:
                kinds.append(kind)
        except UserError as error:
            findings.append(finding("damaged", str(error)))
    return Examination(name, recording, "2d" in kinds, tuple(findings), tuple(kinds), clip.stop, clip.frame_size)


def _finding(name: RecordingName, kind: FindingKind, what: str) -> Finding:
    return Finding(kind, name.subject, name.key, what)


def _check_end(clip: Clip) -> None:
    """Read a video's packets and decode its last key picture, or its last image; opening it has decoded the first."""
    if clip.names:
        decode_image(clip.path / clip.names[-1])
        return
    try:
        with open_video(clip.path) as container:
            stream = container.streams.video[0]
            packets = sum(packet.size > 0 for packet in container.demux(stream))
            if packets < clip.stop - LENGTH_TOLERANCE:
                raise UserError(f"{clip.path}: truncated video: ends after {packets} of {clip.stop} frames")
            container.seek(int(stream.duration or 0), stream=stream)
            if next(container.decode(stream), None) is None:
                raise UserError(f"{clip.path}: damaged video: no picture at its end")
    except av.FFmpegError as error:
        raise UserError(f"{clip.path}: damaged video ({reason(error)})") from error


def _of_subject(
    tree: RawTree | FetchTree, subject: str, names: Sequence[RecordingName], selection: Selection
) -> Iterator[Finding]:
    """Find what is missing or oddly named among a subject's files, without opening them."""
    for name in names:
        if selection.leaves_out(name):
            yield _finding(name, "left out", "on the list human36m.skip")
    if not names:
        yield Finding("missing", subject, subject, "no video of the cameras and actions asked for")
        return
    if isinstance(tree, RawTree):
        yield from _strays(tree, subject, selection)
    cameras: dict[str, set[str]] = defaultdict(set)
    takes: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for name in names:
        cameras[name.title].add(name.camera)
        takes[name.action].add((name.number or 0, name.title))
    for title, filmed in sorted(cameras.items()):
        for camera in selection.cameras:
            if camera not in filmed:
                yield Finding("missing", subject, f"{subject}/{title}.{camera}", "no video of this camera")
    for action in ACTIONS if selection.actions is None else selection.actions:
        found = sorted(takes[action])
        if len(found) < TAKES:
            yield Finding("missing", subject, f"{subject}/{action}", f"{len(found)} of {TAKES} sequences")
        elif [number for number, _ in found] != list(range(1, TAKES + 1)):
            titles = ", ".join(title for _, title in found)
            yield Finding("odd", subject, f"{subject}/{action}", f"irregular numbers: {titles}")
    for action in sorted(set(takes) - set(ACTIONS)):
        yield Finding("odd", subject, f"{subject}/{action}", "not an action of the data set")


def _strays(tree: RawTree, subject: str, selection: Selection) -> Iterator[Finding]:
    for name in tree.without_video(subject):
        if selection.covers(name):
            yield _finding(name, "missing", f"poses in {POSE_FOLDERS['2d']}, but no video")
    for path in tree.strangers(subject):
        yield Finding("odd", subject, f"{subject}/{path.name}", "not the name of a recording; not used")
