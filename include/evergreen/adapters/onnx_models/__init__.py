"""What a fitted scikit-learn estimator computes, as an ONNX graph; onnx is known here only."""

from include.evergreen.adapters.onnx_models.export import NotConvertible, to_onnx

__all__ = ["NotConvertible", "to_onnx"]
