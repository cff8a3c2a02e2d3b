"""MLflow. Only this package imports mlflow.

``store.py`` writes runs, ``opening.py`` makes what they lie in, ``reading.py`` reads them; ``registry.py`` has versions of
models, ``models.py`` what a model is there.
"""

from rayseg.tracking.mlflow.store import MlflowStore

__all__ = ["MlflowStore"]
