"""Human3.6M as a user owns it: as downloaded, as h36m-fetch leaves it, or prepared in HDF5 files.

- ``names``: what files are called; ``recordings``: the seams between what a folder holds and who reads it
- ``tree`` (as downloaded), ``fetch`` (h36m-fetch), ``prepared``: what a folder may hold
- ``poses``: pose files; ``cameras``: camera parameters, read or estimated
- ``source``: sequences of any of them as a stream, one after another or several cameras side by side
- ``archives``, ``doctor``, ``findings``, ``cache_file``, ``prepare``, ``processes``: unpack, examine, decode and
  write, in several processes
"""

from datamodules.human36m.source import Human36mSource

__all__ = ["Human36mSource"]
