"""ONNX models: what a fitted scikit-learn estimator computes, as a graph. onnx is known here only."""

from include.evergreen.adapters.onnx_models.export import NotConvertible, to_onnx

__all__ = ["NotConvertible", "to_onnx"]
