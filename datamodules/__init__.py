"""Where frames come from.

- ``coco``, ``coco_index``, ``coco_views``, ``augmentation``: annotated photographs for pre-training
- ``human36m``, ``video``, ``live``: sources of a stream, as lists of ``clips``
- ``decoding``, ``reading``, ``images``, ``connections``, ``buffer``: what these are read with
- ``stream``, ``windowing``: a source played once, cut into windows, decoded in the background
- ``synthetic``: the embedded world, written in the formats the other modules read
"""
