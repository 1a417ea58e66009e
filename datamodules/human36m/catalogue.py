"""Which of the three kinds of Human3.6M folders one is."""

from __future__ import annotations

from pathlib import Path

from datamodules.human36m.fetch import FetchTree
from datamodules.human36m.prepared import PreparedFolder
from datamodules.human36m.recordings import Catalogue
from datamodules.human36m.tree import RawTree
from pose_oad.tracking.errors import RefusedError


def open_catalogue(root: Path) -> Catalogue:
    """Look what a folder holds: a prepared one, a tree as downloaded, or one of h36m-fetch.

    Raises:
        RefusedError: if it holds none of them.
    """
    if PreparedFolder.found_in(root):
        return PreparedFolder(root)
    if RawTree.found_in(root):
        return RawTree([root])
    if FetchTree.found_in(root):
        return FetchTree(root)
    archives = ", not yet unpacked archives: make data SOURCE=human36m" if any(root.glob("*.tgz")) else ""
    accepted = (
        "a folder prepared by make data SOURCE=human36m, or a Human3.6M tree as downloaded (S1/Videos, …) or as "
        "h36m-fetch leaves it (processed/S1/…/annot.h5)"
    )
    raise RefusedError("root", root, accepted + archives)
