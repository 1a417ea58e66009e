"""Training on what has been recorded: pre-training on images, fine-tuning on frames chosen from videos.

- ``map_regression``: the Lightning module of pre-training
- ``source_domain``: a student's errors on annotated images
- ``collection``, ``frame_store``: frames chosen from videos with their labels, on disk
- ``training``: the epochs of a fine-tuning
- ``journal``, ``record``: where a fine-tuning is, so that it can be resumed, and what it leaves
- ``shuffling``: a random order that does not read from all over a file
"""
