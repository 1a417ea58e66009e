"""Frames of video files, folders of images, URLs and cameras, upright and by their own clock.

- ``clips``: a stretch of footage, and what a source is
- ``files``, ``live``: the sources without ground truth
- ``reading``, ``decoding``, ``images``, ``connections``, ``buffer``: what they are read with
- ``frames``: decoded frames at the sizes that a run wants, and a cache of them
"""

from datamodules.video.files import VideoFileSource
from datamodules.video.live import LiveSource

__all__ = ["LiveSource", "VideoFileSource"]
