"""What MLflow keeps as the code of a registered student, and runs to load it."""

from __future__ import annotations

from mlflow.models import set_model

from pose_oad.export.registered_model import StudentModel

set_model(StudentModel())
