"""What a compact transformer is: configuration, presets, shapes, cost, the Keras model and its ONNX graph."""
