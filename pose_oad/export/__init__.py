"""A student as an ONNX file or as trt_pose's weights, and what is measured before anybody relies on it.

- ``metadata``: :class:`ExportMetadata`, what a file says about itself
- ``graph``: the network with its pre-processing as an ONNX graph, in fp32 or fp16; int8 quantisation
- ``compare``: differences between the exported and the eager network, on real frames and on a labelled stream
- ``latency``: median and 95th percentile of eager, compiled and exported network
- ``compiled``: the process in which the compiled network is timed
- ``trt_pose``: the state dict and the topology that trt_pose reads, and their comparison with the original
- ``places``: two files that appear together
- ``report``: everything measured, as a table and as the JSON file beside the ONNX file

The way back is :class:`pose_oad.students.exported.ExportedStudent`.
"""
