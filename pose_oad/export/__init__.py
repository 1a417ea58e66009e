"""A student as an ONNX file or as trt_pose's weights, and what is measured before anybody relies on it.

- ``graph``: the network with its pre-processing as an ONNX graph, in fp32 or fp16; int8 quantisation
- ``latency``: median and 95th percentile of eager, compiled and exported network
- ``trt_pose``: the state dict and the topology that trt_pose reads
- ``report``: differences to the eager network and everything else measured, as tables and for the JSON file
- ``registered_model``, ``mlflow_model``: a student as an MLflow model

The way back is :class:`pose_oad.students.exported.ExportedStudent`.
"""
