"""What the commands predict and evaluate are made of.

- ``batches``: decoded frames at the sizes that readers want
- ``poses``: readers, which turn a batch into people: students, teachers, the truth
- ``canvas``, ``drawing``: people drawn into pictures, side by side
- ``overlay``, ``keypoint_files``: a video and files of keypoints, written frame by frame
- ``result``: what was found, as a value for Python
- ``job``, ``pipeline``: what is written, and done with a batch; decoding, predicting and writing at the same time
- ``networks``: a checkpoint or an exported file as a network
"""
