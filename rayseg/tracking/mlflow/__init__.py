"""MLflow. Only this package imports mlflow.

``store.py`` has runs, ``registry.py`` versions of models, ``models.py`` what a model is there.
"""

from rayseg.tracking.mlflow.store import MlflowStore

__all__ = ["MlflowStore"]
