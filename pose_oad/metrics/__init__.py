"""How wrong a pose is, and a stream of them.

- ``keypoints``: MPJPE, PCK and detection rate under a stated rule for joints that are not found
- ``coco_ap``: OKS and COCO's average precision, by pycocotools
- ``stream``: what an error curve and a selection say beyond their mean
"""
