"""ONNX graphs whose constants are stored as float16."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from cct_viz.architecture.onnx_export import store_halves


def write_graph(path, constants):
    """y = x * each of the constants, of which each has one row of x's length."""
    nodes, last = [], "x"
    for name in constants:
        nodes.append(helper.make_node("Mul", [last, name], [f"times_{name}"]))
        last = f"times_{name}"
    width = next(iter(constants.values())).shape[-1]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [None, width])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def run(path, x):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def test_only_what_float16_holds_exactly_is_stored_in_it_and_the_answers_stay(tmp_path):
    rng = np.random.default_rng(0)
    rounded = rng.normal(size=300).astype(np.float16).astype(np.float32)
    constants = {"rounded": rounded, "exact": rounded + np.float32(1e-5), "large": rounded * np.float32(2**20)}
    constants["single"] = np.ones(1, np.float32)
    x = rng.normal(size=(2, 300)).astype(np.float32)
    write_graph(tmp_path / "model.onnx", constants)
    before, size = run(tmp_path / "model.onnx", x), (tmp_path / "model.onnx").stat().st_size
    store_halves(tmp_path / "model.onnx")
    model = onnx.load(str(tmp_path / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    halves = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    assert halves == {"rounded/float16"}
    np.testing.assert_array_equal(run(tmp_path / "model.onnx", x), before)
    assert (tmp_path / "model.onnx").stat().st_size < size - 400  # 600 bytes less, and a node more
