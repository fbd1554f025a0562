"""SavedModels of the keras.io example: read without running them, and compared with their serving signature."""

import functools
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import saved_models
import tensorflow as tf
import tf_keras
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from cct_viz import checkpoints
from cct_viz.architecture.config import Preprocessing, numbered_labels
from cct_viz.architecture.keras_model import build_model
from cct_viz.checkpoints import CheckpointError
from cct_viz.checkpoints.given import ASSUMED_PIXELS, Given
from cct_viz.checkpoints.saved_model import graph, parts

REFERENCE = Path(__file__).parents[1] / "data" / "keras_io_saved_model"
# Both sides add the same float32 products in another order; 7e-7 was the largest difference seen at logits of 4.
TOLERANCE = 1e-5
SAVED_WHOLE = {
    "the example": {},
    "one layer, pool as a layer": {"num_layers": 1, "num_heads": 1, "key_dim": 7, "classes": 3, "pool": "layer"},
}
SAVED_TO_SERVE = {
    "three layers, three stages, not square": {
        "num_layers": 3,
        "num_heads": 4,
        "classes": 7,
        "stages": ((4, 3, "valid"), (6, 3, "valid"), (10, 1, "valid")),
        "image_size": (24, 17),
        "position": "lookup",
        "crop": "old",
    },
    "position added": {"position": "added", "mlp_dim": 20},
    "position broadcast, conv bias, no attention bias": {
        "position": "broadcast",
        "conv_bias": True,
        "stages": ((8, 5, "same"),),
        "attention_bias": False,
    },
    "no position, fused norms, probabilities": {
        "position": None,
        "epsilon": 1e-3,
        "output_activation": None,
        "scale": 1 / 127.5,
        "offset": -1.0,
        "head_activation": "softmax",
        "conv_pool": False,
    },
    "colours rescaled apart": {"num_layers": 1, "scale": [0.02, 0.03, 0.04], "offset": [-2.0, 0.5, -1.0], "crop": None},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """name -> folder of a SavedModel, each created once."""

    @functools.cache
    def make(name):
        folder = tmp_path_factory.mktemp("saved")
        choices = SAVED_WHOLE.get(name) or SAVED_TO_SERVE.get(name) or {}
        saved_models.save(saved_models.make_model(**choices), folder, whole=name in SAVED_WHOLE)
        return folder

    return make


def compute_logits(checkpoint, pixels):
    """The logits of our Keras model with the checkpoint's weights for uint8 `pixels` (B, H, W, 3)."""
    model = build_model(checkpoint.config)
    checkpoints.assign(model, checkpoint.weights)
    preprocessing = checkpoint.config.preprocessing
    images = (pixels / 255 - preprocessing.mean) / preprocessing.std
    return np.asarray(model(images.astype(np.float32)))


def assert_equal_logits(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * max(1, np.abs(expected).max()))
    assert np.ptp(expected, axis=0).max() > 1000 * TOLERANCE  # the model looks at the image


def test_reference_agrees_with_its_serving_signature():
    checkpoint = checkpoints.read(REFERENCE)
    config = checkpoint.config
    assert (config.image_size, config.num_layers, config.num_heads, config.key_dim) == ((32, 32), 2, 2, 128)
    assert [stage.channels for stage in config.tokenizer] == [64, 128]
    assert (config.mlp_dim, config.mlp_output_activation, config.layer_norm_epsilon) == (128, True, 1e-5)
    assert (config.preprocessing.mean, config.preprocessing.std) == ((0, 0, 0), (1, 1, 1))
    assert config.labels == numbered_labels(10)
    assert sum(array.size for array in checkpoint.weights.values()) == 408_139 + 64 * 128
    io = np.load(REFERENCE / "io.npz")
    assert_equal_logits(compute_logits(checkpoint, io["x"]), io["logits"])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SAVED_WHOLE, *SAVED_TO_SERVE])
def test_saved_model_agrees_with_its_serving_signature(saved, name):
    folder = saved(name)
    checkpoint = checkpoints.read(folder)
    pixels = np.random.default_rng(1).integers(0, 256, (6, *checkpoint.config.image_size, 3), np.uint8)
    pixels[:3] //= 4
    expected = saved_models.serve(folder, pixels)
    actual = compute_logits(checkpoint, pixels)
    if "probabilities" in name:
        actual = tf.nn.softmax(actual).numpy()
    assert_equal_logits(actual, expected)


@pytest.mark.slow
def test_configuration_is_that_of_the_saved_model(saved):
    config = checkpoints.read(saved("three layers, three stages, not square")).config
    assert (config.image_size, config.num_layers, config.num_heads, config.num_classes) == ((24, 17), 3, 4, 7)
    assert config.labels == tuple(f"class {k}" for k in range(7))
    assert [(stage.channels, stage.kernel_size) for stage in config.tokenizer] == [(4, 3), (6, 3), (10, 1)]
    config = checkpoints.read(saved("position broadcast, conv bias, no attention bias")).config
    assert (config.qkv_bias, config.tokenizer[0].use_bias, config.tokenizer[0].padding) == (False, True, 2)
    config = checkpoints.read(saved("no position, fused norms, probabilities")).config
    assert (config.position, config.layer_norm_epsilon, config.mlp_output_activation) == ("none", 1e-3, False)
    assert (config.preprocessing.mean, config.preprocessing.std) == ((0.5,) * 3, (0.5,) * 3)
    assert config.tokenizer[0].pool_size == 0


@pytest.mark.slow
def test_scale_is_given_where_the_graph_does_not_rescale(saved, tmp_path):
    folder = Path(shutil.copytree(saved("colours rescaled apart"), tmp_path / "model"))
    source = checkpoints.read(folder).config.preprocessing
    saved_models.edit(
        folder, lambda nodes: replace_input(nodes, nodes["sequential/rescaling/add"].name + ":z:0", "images")
    )
    assumed = checkpoints.read(folder).config
    assert assumed.preprocessing == Preprocessing() != source
    assert ASSUMED_PIXELS in assumed.assumptions
    given = checkpoints.read(folder, Given(scale=127.5)).config
    assert given.preprocessing == Preprocessing(std=(0.5, 0.5, 0.5))
    assert ASSUMED_PIXELS not in given.assumptions


def replace_input(nodes, old, new):
    for node in nodes.values():
        node.input[:] = [new if name == old else name for name in node.input]


def set_op(nodes, name, op, *inputs):
    nodes[name].op = op
    nodes[name].input[:] = inputs or nodes[name].input


def add_position_twice(nodes):
    first = nodes["tf.__operators__.add/AddV2"]
    replace_input(nodes, f"{first.name}:z:0", "again:z:0")
    nodes.add("again", "AddV2", f"{first.name}:z:0", first.input[1])


def compute_position(nodes):
    adding = nodes["tf.__operators__.add/AddV2"]
    nodes.add("sin", "Sin", adding.input[1])
    adding.input[1] = "sin:y:0"


def set_last_epsilon(nodes):
    tensor = nodes["layer_normalization_2/batchnorm/add/y"].attr["value"].tensor
    tensor.CopyFrom(tf.make_tensor_proto(np.float32(1e-6)))


def set_input(name, index, source):
    def change(nodes):
        nodes[name].input[index] = source if source in ("images", "random:output:0") else f"model_1/{source}"

    return change


def set_constant(name, value):
    return lambda nodes: nodes[name].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))


def enlarge_constant(nodes):
    shape = nodes["sequential/rescaling/Cast/x"].attr["value"].tensor.tensor_shape
    for _ in range(2):
        shape.dim.add(size=1 << 20)


def add_constant(nodes, name, value):
    nodes.add(name, "Const")
    nodes[name].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return f"{name}:output:0"


def double_constant(nodes):
    last, axis = add_constant(nodes, "long", np.ones(1000, np.float32)), add_constant(nodes, "axis", np.int32(0))
    for i in range(20):
        nodes.add(f"double_{i}", "ConcatV2", last, last, axis)
        last = f"double_{i}:output:0"
    nodes["dense_3/BiasAdd"].input[1] = last


def add_outer_sum(nodes):
    long = np.ones((10_000, 1), np.float32)
    nodes.add("outer", "AddV2", add_constant(nodes, "rows", long), add_constant(nodes, "columns", long.T))
    nodes["dense_3/BiasAdd"].input[1] = "outer:z:0"


def set_equation(nodes):
    nodes["multi_head_attention/einsum_1/Einsum"].attr["equation"].s = b"acbe,aecd->abdc"


def set_padding(nodes):
    nodes["tokenizer/sequential_1/conv2d/Conv2D"].attr["padding"].s = b"EXPLICIT"


def set_pool(nodes):
    nodes["tokenizer/sequential_1/max_pooling2d/MaxPool"].attr["ksize"].list.i[:] = [1, 3, 2, 1]


def add_noise(nodes):
    nodes.add("random", "RandomUniform", "images")
    set_input("sequential/rescaling/add", 1, "random:output:0")(nodes)


def slice_position(nodes):
    adding = nodes["tf.__operators__.add/AddV2"]
    bounds = [f"{nodes[f'tokenizer/strided_slice/{name}'].name}:output:0" for name in ("stack", "stack_1", "stack_2")]
    nodes.add("slice", "StridedSlice", adding.input[1], *bounds)
    nodes["slice"].attr["new_axis_mask"].i = 1
    adding.input[1] = "slice:output:0"


def add_norm(nodes):
    adding = nodes["add/add"]
    adding.input[:] = [
        "model_1/layer_normalization/batchnorm/add_1:z:0" if "operators" in name else name for name in adding.input
    ]


ADDED = "tf.__operators__.add/AddV2:z:0"
PADDINGS = "tokenizer/sequential_1/zero_padding2d/Pad/paddings"
# What is done to the graph of a model with one layer, by the names that Keras gives to its operations.
EDITED = {
    "ReLU in the MLP": (
        lambda nodes: set_op(nodes, "dense/Gelu/mul_2", "Relu", nodes["dense/BiasAdd"].name + ":output:0"),
        r"is Relu; expected the GELU of the MLP",
    ),
    "tanh in the GELU": (lambda nodes: set_op(nodes, "dense/Gelu/Erfc", "Tanh"), r"the GELU of the MLP"),
    "mean pooling": (lambda nodes: set_op(nodes, "tf.compat.v1.squeeze/Squeeze", "Mean"), "is Mean; expected sequence"),
    "two positions": (add_position_twice, "one positional embedding, but two are added"),
    "position computed": (compute_position, "a positional embedding that is a variable or a constant"),
    "ELU after the convolution": (
        lambda nodes: set_op(nodes, "tokenizer/sequential_1/conv2d_1/Relu", "Elu"),
        r"is Elu; expected a convolution \(with ReLU",
    ),
    "two epsilons": (set_last_epsilon, r"epsilon of LayerNormalization: \[1e-06, 1e-05\]"),
    "a difference in the norm": (
        lambda nodes: set_op(nodes, "layer_normalization_2/batchnorm/add_1", "Sub"),
        "is Sub; expected the LayerNormalization before the pooling",
    ),
    "attention without softmax": (
        lambda nodes: set_op(nodes, "multi_head_attention/softmax/Softmax", "Sigmoid"),
        "is Einsum; expected MultiHeadAttention without a mask",
    ),
    "attention to another input": (
        set_input("multi_head_attention/key/einsum/Einsum", 0, ADDED),
        "expected attention of one input with itself",
    ),
    "another scale": (
        set_constant("multi_head_attention/Mul/y", np.float32(0.5)),
        r"expected scores scaled by 1 / sqrt\(5\), not 0.5",
    ),
    "another projection": (
        lambda nodes: set_op(nodes, "multi_head_attention/attention_output/einsum/Einsum", "MatMul"),
        "is MatMul; expected MultiHeadAttention without a mask",
    ),
    "another query": (
        lambda nodes: set_op(nodes, "multi_head_attention/query/einsum/Einsum", "MatMul"),
        "is MatMul; expected the query projection of MultiHeadAttention",
    ),
    "another equation": (set_equation, "expected the Einsum acbe,aecd->abcd, not acbe,aecd->abdc"),
    "pooling without softmax": (
        lambda nodes: set_op(nodes, "tf.nn.softmax/Softmax", "Sigmoid"),
        "is Sigmoid; expected the Softmax of sequence pooling",
    ),
    "scores in rows": (
        set_input("tf.nn.softmax/Softmax", 0, "dense_2/BiasAdd:output:0"),
        "is BiasAdd; expected one score for each token",
    ),
    "other tokens pooled": (
        set_input("tf.linalg.matmul/MatMul", 1, "add_1/add:z:0"),
        "expected sequence pooling of the tokens that were scored",
    ),
    "explicit padding": (set_padding, "expected padding VALID or SAME, not EXPLICIT"),
    "oblong pool": (set_pool, r"expected ksize the same in both directions, not \[1, 3, 2, 1\]"),
    "one side padded": (
        set_constant(PADDINGS, np.int32([[0, 0], [1, 0], [1, 1], [0, 0]])),
        "is Pad; expected the same zero padding on all four sides",
    ),
    "MLP added to another sum": (
        set_input("add_1/add", 1, ADDED),
        "expected the sum of attention and its input, which the MLP is added to",
    ),
    "attention added to its norm": (add_norm, "expected the input of the attention that is added to it"),
    "a number for each row": (
        set_constant("sequential/rescaling/Cast/x", np.ones((16, 1, 1), np.float32)),
        "is Mul; expected pixels rescaled by one number or by one for each colour",
    ),
    "clipped": (
        lambda nodes: set_op(nodes, "sequential/rescaling/mul", "Maximum"),
        "is Maximum; expected pixels rescaled, not clipped",
    ),
    "negative": (
        set_constant("sequential/rescaling/Cast/x", np.float32(-0.02)),
        "describes no model of this family: pixels are multiplied by",
    ),
    "noise": (
        add_noise,
        r"still draws random numbers, .*: operation 'random' is RandomUniform, so it has no one",
    ),
    "cycle": (
        lambda nodes: set_op(nodes, "dense_3/MatMul", "Reshape", nodes["dense_3/MatMul"].name + ":product:0"),
        "is damaged: its graph has a cycle",
    ),
    "large constant": (enlarge_constant, "is damaged: the constants in its graph are larger than any model"),
    "long range": (
        set_constant("tf.nn.softmax/range/limit", np.int32(1 << 30)),
        "is damaged: the constants in its graph are larger than any model",
    ),
    "doubled constant": (double_constant, "is damaged: the constants in its graph are larger than any model"),
    "outer sum": (add_outer_sum, "is damaged: the constants in its graph are larger than any model"),
    "new axis": (slice_position, "slices slice in a way that this reader does not know"),
}
REFUSED = {
    "softmax over an axis of size 1": ({"pool": "axis of size 1"}, "over an axis of size 1 every weight is 1"),
    "images resized": ({"crop_size": (12, 12)}, "or the image rescaled at its own size"),
    "oblong kernel": ({"stages": ((8, (3, 5), "valid"),)}, "is Conv2D; expected a square kernel"),
    "even kernel": ({"stages": ((8, 4, "same"),)}, "padded alike on all sides"),
    "two kinds of heads": (
        {"num_layers": 2, "key_dim": 6, "last_heads": (3, 4)},
        r"in the number and width of its attention heads: \[\(2, 6\), \(3, 4\)\]",
    ),
    "no encoder": ({"num_layers": 0, "position": None}, "expected an encoder block"),
}


def assert_refused(folder, message):
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoints.read(folder)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSED)
def test_other_architecture_is_refused_by_name(tmp_path, case):
    choices, message = REFUSED[case]
    saved_models.save(saved_models.make_model(**{"num_layers": 1, **choices}), tmp_path)
    assert_refused(tmp_path, message)


@pytest.mark.slow
@pytest.mark.parametrize("case", EDITED)
def test_another_operation_is_refused_by_name(saved, tmp_path, case):
    change, message = EDITED[case]
    folder = Path(shutil.copytree(saved("colours rescaled apart"), tmp_path / "model"))
    saved_models.edit(folder, change)
    assert_refused(folder, message)


def turn_product(nodes):
    product = nodes["sequential/rescaling/mul"]
    product.input[:] = product.input[::-1]


def cast_image(nodes):
    nodes.add("cast", "Cast", "images")
    nodes["sequential/rescaling/mul"].input[0] = "cast:y:0"


def reshape_position(nodes):
    adding = nodes["tf.__operators__.add/AddV2"]
    nodes.add("shape", "Shape", adding.input[1])
    nodes.add("again", "Reshape", adding.input[1], "shape:output:0")
    adding.input[1] = "again:output:0"


@pytest.mark.slow
@pytest.mark.parametrize("change", [turn_product, cast_image, reshape_position], ids=lambda change: change.__name__)
def test_another_way_to_write_the_same_is_read_the_same(saved, tmp_path, change):
    folder = Path(shutil.copytree(saved("colours rescaled apart"), tmp_path / "model"))
    expected = checkpoints.read(folder)
    saved_models.edit(folder, change)
    checkpoint = checkpoints.read(folder)
    assert checkpoint.config == expected.config
    for name, array in expected.weights.items():
        np.testing.assert_array_equal(checkpoint.weights[name], array)


@pytest.mark.slow
def test_other_networks_are_refused(tmp_path):
    dense = tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=(3,))])
    saved_models.save(dense, tmp_path / "dense")
    with pytest.raises(CheckpointError, match=r"takes an input of shape \(-1, 3\); expected images"):
        checkpoints.read(tmp_path / "dense")
    flat = tf_keras.Sequential([tf_keras.layers.Flatten(input_shape=(8, 8, 3)), tf_keras.layers.Dense(2)])
    saved_models.save(flat, tmp_path / "flat")
    with pytest.raises(CheckpointError, match="expected sequence pooling"):
        checkpoints.read(tmp_path / "flat")


def test_functions_that_call_each_other_without_end_are_refused():
    """Twenty small functions, of which each adds two calls of the next one, are a graph of 2**20 operations."""
    library = {}
    for i in range(20):
        function = library[f"f{i}"] = FunctionDef(ret={"y": "sum:z:0"})
        function.signature.input_arg.add(name="x")
        function.signature.output_arg.add(name="y")
        for name in ("one", "two"):
            function.node_def.add(name=name, op="PartitionedCall", input=["x"]).attr["f"].func.name = f"f{i + 1}"
        function.node_def.add(name="sum", op="AddV2", input=["one:output:0", "two:output:0"])
    library["f20"] = FunctionDef(ret={"y": "x"})
    library["f20"].signature.CopyFrom(library["f0"].signature)
    image = graph.Op("image", "Image")
    scope = graph.Scope(library, library["f0"], [lambda: image], graph.Budget())
    with pytest.raises(CheckpointError, match="its functions call each other far too often"):
        parts.refuse(scope.result(0), "an end")


@pytest.mark.slow
def test_graph_is_never_run(tmp_path, monkeypatch):
    proof = tmp_path / "written by the graph"

    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3))])
        def call(self, images):
            with tf.control_dependencies([tf.io.write_file(str(proof), "ran")]):
                return tf.reduce_mean(images, axis=(1, 2))

    writer = Writer()
    tf.saved_model.save(writer, str(tmp_path / "writer"), signatures=writer.call)
    with pytest.raises(CheckpointError, match="is Mean; expected the Dense layer of the classifier"):
        checkpoints.read(tmp_path / "writer")
    assert not proof.exists()

    def refuse(*args, **kwargs):
        raise AssertionError("the SavedModel was loaded")

    for module, name in (
        (tf.saved_model, "load"),
        (tf.compat.v1.saved_model, "load"),
        (tf.graph_util, "import_graph_def"),
    ):
        monkeypatch.setattr(module, name, refuse)
    checkpoints.read(REFERENCE)


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(REFERENCE, tmp_path / "model"))


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


DATA, INDEX = "variables/variables.data-00000-of-00001", "variables/variables.index"
DAMAGE = {
    "graph cut": (lambda f: cut(f / "saved_model.pb", 0.7), "saved_model.pb is missing, truncated or damaged"),
    "graph empty": (lambda f: cut(f / "saved_model.pb", 0), "holds no graph for serving"),
    "graph is text": (lambda f: (f / "saved_model.pb").write_text("version https://git-lfs"), "saved_model.pb is"),
    "index cut": (lambda f: cut(f / INDEX, 0.5), "variables/ is missing, truncated or damaged"),
    "index empty": (lambda f: cut(f / INDEX, 0), "variables/ is missing, truncated or damaged"),
    "data cut": (lambda f: cut(f / DATA, 0.5), "variables.index lists"),
    "data cut a little": (lambda f: cut(f / DATA, 0.999), "variables.index lists"),
    "data flipped": (lambda f: flip(f / DATA, 1_000_000), "variables/ is missing, truncated or damaged"),
    "data missing": (lambda f: (f / DATA).unlink(), "is incomplete"),
    "no variables": (lambda f: shutil.rmtree(f / "variables"), "is incomplete; expected saved_model.pb and"),
    "metadata cut": (lambda f: cut(f / "keras_metadata.pb", 0.5), "keras_metadata.pb is missing, truncated or damaged"),
    "no graph": (lambda f: (f / "saved_model.pb").unlink(), "is not a checkpoint; expected a folder with"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_saved_model_is_refused_in_one_sentence(copy, damage):
    spoil, message = DAMAGE[damage]
    spoil(copy)
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoints.read(copy)
    assert "\n" not in str(error.value)
    assert str(copy.parent) not in str(error.value)


def bind_twice(graph):
    for function in graph.object_graph_def.concrete_functions.values():
        if len(function.bound_inputs) > 1:
            function.bound_inputs[1] = function.bound_inputs[0]


def call_nothing(graph):
    for output in graph.signature_def["serving_default"].outputs.values():
        output.name = "nothing:0"


SIGNATURES = {
    "missing": (lambda graph: graph.signature_def.pop("serving_default"), "has no signature serving_default with one"),
    "no output": (lambda graph: graph.signature_def["serving_default"].outputs.clear(), "one input and one output"),
    "no call": (call_nothing, "was not made by TensorFlow 2: its signature calls no function"),
    "a variable twice": (bind_twice, "is damaged: its signature captures one variable twice"),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_another_signature_is_refused(copy, case):
    change, message = SIGNATURES[case]
    saved = SavedModel.FromString((copy / "saved_model.pb").read_bytes())
    change(saved.meta_graphs[0])
    (copy / "saved_model.pb").write_bytes(saved.SerializeToString())
    assert_refused(copy, message)


def test_a_fingerprint_of_the_first_layout_is_not_compared(copy):
    (copy / "fingerprint.pb").write_bytes(FingerprintDef(saved_model_checksum=1).SerializeToString())
    assert checkpoints.read(copy).config == checkpoints.read(REFERENCE).config


@pytest.mark.slow
def test_flipped_bit_of_the_constant_position_is_detected(copy, saved):
    position = checkpoints.read(copy).weights["sequence/position"].tobytes()
    flip(copy / "saved_model.pb", (copy / "saved_model.pb").read_bytes().index(position) + 2001)
    with pytest.raises(
        CheckpointError, match=r"positional embedding in saved_model.pb is not the one in keras_metadata"
    ):
        checkpoints.read(copy)

    folder = Path(shutil.copytree(saved("the example"), copy.parent / "with fingerprint"))
    (folder / "keras_metadata.pb").unlink()
    position = checkpoints.read(folder).weights["sequence/position"].tobytes()
    flip(folder / "saved_model.pb", (folder / "saved_model.pb").read_bytes().index(position) + 101)
    with pytest.raises(CheckpointError, match=r"does not match fingerprint.pb"):
        checkpoints.read(folder)


@pytest.mark.slow
def test_variables_of_another_save_are_detected(saved, tmp_path):
    folder = Path(shutil.copytree(saved("the example"), tmp_path / "mixed"))
    saved_models.save(saved_models.make_model(seed=1), tmp_path / "other")
    shutil.copytree(tmp_path / "other" / "variables", folder / "variables", dirs_exist_ok=True)
    with pytest.raises(CheckpointError, match=r"does not match fingerprint.pb"):
        checkpoints.read(folder)


def test_random_damage_is_refused_or_harmless(copy):
    good = checkpoints.read(copy)
    rng = random.Random(0)
    for name in ("saved_model.pb", "saved_model.pb", "keras_metadata.pb", DATA, INDEX) * 6:
        original = (copy / name).read_bytes()
        spoilt = bytearray(original)
        for _ in range(rng.choice((1, 20))):
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        (copy / name).write_bytes(spoilt)
        try:
            read = checkpoints.read(copy)
        except CheckpointError:
            pass
        else:
            assert read.config == good.config
            for weight, array in good.weights.items():
                np.testing.assert_array_equal(read.weights[weight], array)
        (copy / name).write_bytes(original)
