"""Where frames come from.

- ``coco``: annotated photographs for pre-training
- ``human36m``, ``video``: sources of a stream, as lists of clips
- ``stream``, ``windowing``: a source played once, cut into windows, decoded in the background
- ``synthetic``: the embedded world, written in the formats the other modules read
"""
