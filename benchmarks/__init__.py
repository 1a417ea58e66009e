"""What the command ``bench`` measures: a module per section, each with one function from configuration to figures.

- ``maps``: keypoints to maps and back
- ``stream``: reading windows, beside bare PyAV
- ``online_loop``: the whole loop, beside the one in ``plain_loop``, written by hand
- ``memory``: the peak of a stream, beside that of one four times as long
- ``openpose``: labelling frames with OpenPose's network, beside the network alone
- ``human36m``: preparing Human3.6M beside bare PyAV, and playing it prepared beside playing its videos

``figures`` holds what a section returns and how it is shown, ``paired`` how two things are timed against each other,
``setting`` the run that is measured.

Adding a section:

1. Write a module here with a function that takes the configuration of ``conf/bench.yaml`` and returns figures.
2. Name it in ``benchmarks.__main__.sections``.
3. Say in ``docs/benchmarks.md`` how its figures are defined.
"""
