"""Converting foreign checkpoints, and bit-exact round trips of the project's own formats."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_config
from official_reference import assert_agrees, load_reference, read_state, write_pth
from random_models import random_model

from cct_viz import checkpoints
from cct_viz.architecture.config import (
    CIFAR10_LABELS,
    ConfigError,
    ConvStage,
    Preprocessing,
    numbered_labels,
    write_config,
)
from cct_viz.architecture.files import sha256
from cct_viz.architecture.presets import PUBLISHED, configure
from cct_viz.checkpoints import CheckpointError, safetensors
from cct_viz.checkpoints.convert import convert, save
from cct_viz.checkpoints.given import ASSUMED_LABELS, Given
from cct_viz.checkpoints.hub import HubError, push
from cct_viz.cli import main
from cct_viz.images.preprocessing import normalise
from cct_viz.inference.load import load
from cct_viz.methods import NotApplicable, explain

pytest_plugins = ["fake_hub"]
pytestmark = pytest.mark.usefixtures("reads_here")

SAVED_MODEL = Path(__file__).parents[1] / "data" / "keras_io_saved_model"


@pytest.fixture(scope="session")
def vit_folder(tmp_path_factory):
    """The reference ViT-Lite with learnable position, as `convert` leaves it."""
    config, state, _ = load_reference("vit_lite_learnable")
    folder = tmp_path_factory.mktemp("weights") / "vit"
    safetensors.write(folder, config, read_state(state, config).weights)
    return folder


@pytest.fixture(scope="session")
def vit(vit_folder, cache):
    return load(vit_folder)


def random_image(config, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*config.image_size, 3), dtype=np.uint8)


def assert_trace_is_keras(classifier, image):
    """A Trace by ONNX Runtime agrees with the Keras model in everything; returns it."""
    trace = classifier.trace(image)
    batch = normalise(trace.pixels[None], classifier.config.preprocessing)
    seen = {name: np.asarray(value)[0] for name, value in classifier.network.intermediates(batch).items()}
    ours = {f"feature_map_{i}": value for i, value in enumerate(trace.feature_maps)}
    for name, values in (
        ("stream", trace.stream),
        ("attentions", trace.attentions),
        ("attention_output", trace.attention_outputs),
        ("mlp_output", trace.mlp_outputs),
    ):
        ours |= {f"{name}_{i}": value for i, value in enumerate(values)}
    for name in ("representation", "pool_scores", "pooling_weights", "logits"):
        if getattr(trace, name) is not None:
            ours[name] = getattr(trace, name)
    assert set(ours) == set(seen)
    for name, value in seen.items():
        assert_agrees(ours[name], value, name)
    return trace


# ---- traces of converted models


@pytest.mark.slow
def test_loaded_reference_model_gives_the_same_logits(vit):
    _, _, reference = load_reference("vit_lite_learnable")
    assert_agrees(vit.forward(reference["input_nhwc"]), reference["logits"], "logits")


@pytest.mark.slow
def test_class_token_logits_come_from_its_row(vit):
    trace = assert_trace_is_keras(vit, random_image(vit.config))
    assert trace.stream.shape == (3, 17, 24)
    assert trace.tokens.shape == (16, 24)
    np.testing.assert_array_equal(trace.readout, np.eye(1, 17, dtype=np.float32)[0])
    assert trace.pooling_weights is None
    expected = trace.representation[0] @ trace.readout_weights.head + trace.bias
    assert_agrees(trace.logits, expected, "logits are the class token's")
    rollout = explain(trace, "rollout")
    mixing = [0.5 * np.eye(17) + 0.5 * layer.mean(axis=0) for layer in trace.attentions]
    row = (mixing[1] @ mixing[0])[0]
    assert_agrees(rollout.maps[-1], row[1:].reshape(4, 4).astype(np.float32), "the class token's row")
    assert rollout.class_share[-1] == pytest.approx(row[0], abs=1e-6)
    assert explain(trace, "attention", layer=1).maps.shape[1:] == (4, 4)
    for method in ("seqpool", "contribution"):
        with pytest.raises(NotApplicable, match="class token"):
            explain(trace, method)


@pytest.mark.slow
def test_non_square_grid_end_to_end(tmp_path, cache):
    """14 x 20 tokens from 28 x 40 pixels, in the paper's form."""
    config = tiny_config(
        image_size=(28, 40),
        tokenizer=(ConvStage(8, padding=1),),
        block="official",
        qkv_bias=False,
        mlp_output_activation=False,
        position="sinusoidal",
        num_layers=1,
    )
    save(random_model(config), tmp_path / "wide")
    classifier = load(tmp_path / "wide")
    trace = assert_trace_is_keras(classifier, random_image(config))
    assert trace.grid == (14, 20)
    assert trace.attentions.shape == (1, 2, 280, 280)
    contribution = explain(trace, "contribution")
    assert contribution.maps.shape[1:] == (14, 20)
    total = trace.contributions.sum(axis=0) + trace.bias
    assert_agrees(total, trace.logits, "contributions")
    assert explain(trace, "rollout").maps.shape == (2, 14, 20)
    photo = np.random.default_rng(1).integers(0, 256, (90, 70, 3), dtype=np.uint8)  # of another shape than the model's
    assert classifier.trace(photo).pixels.shape == (28, 40, 3)


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["mean", "max"])
def test_static_pools_for_comparison(tmp_path, pool):
    config = tiny_config(pool=pool, num_layers=1)
    model = random_model(config)
    save(model, tmp_path)
    classifier = load(tmp_path)
    trace = assert_trace_is_keras(classifier, random_image(config))
    assert trace.readout.sum() == pytest.approx(1, abs=1e-6)
    assert_agrees(trace.contributions.sum(axis=0) + trace.bias, trace.logits, "contributions")
    if pool == "mean":
        np.testing.assert_allclose(explain(trace, "seqpool").maps, 1 / 15, atol=1e-7)
    else:
        with pytest.raises(NotApplicable):
            explain(trace, "seqpool")


# ---- convert


def test_convert_writes_a_folder_from_a_pth(torch, tmp_path, capsys):
    config, state = write_pth(torch, tmp_path / "a.pth", "cct_sine_2conv")
    write_config(tmp_path / "arch.json", config)
    out = tmp_path / "out"
    arguments = ["convert", str(tmp_path / "a.pth"), "--arch", str(tmp_path / "arch.json"), "--out", str(out)]
    assert main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {
        "out": str(out),
        "format": "shi_labs",
        "parameters": sum(a.size for a in state.values()),
        "notes": [],
    }
    checkpoint = checkpoints.read(out)
    assert checkpoint.config == config
    for name, array in read_state(state, config).weights.items():
        np.testing.assert_array_equal(checkpoint.weights[name], array)
    card = (out / "README.md").read_text()
    assert sha256(tmp_path / "a.pth") in card
    assert "python -m cct_viz convert a.pth --out out --arch arch.json" in card
    assert str(tmp_path) not in card
    with pytest.raises(CheckpointError, match="out already exists"):
        convert(tmp_path / "a.pth", out, Given(arch=str(tmp_path / "arch.json")))


def test_convert_to_another_size_with_another_head(torch, tmp_path, capsys):
    config, _ = write_pth(torch, tmp_path / "a.pth", "vit_lite_learnable")
    write_config(tmp_path / "arch.json", config)
    arguments = [
        "convert",
        str(tmp_path / "a.pth"),
        "--arch",
        str(tmp_path / "arch.json"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*arguments, "--image-size", "24", "32", "--new-head", "7"]) == 0
    notes = capsys.readouterr().err
    assert "resized bilinearly from 4x4 to 6x8 tokens" in notes
    assert "the new head is untrained" in notes
    config = checkpoints.read(tmp_path / "out").config
    assert (config.image_size, config.labels) == ((24, 32), numbered_labels(7))


def test_published_files_are_recognised_by_name(torch, tmp_path):
    """An untrained model saved as its authors' code would name the arrays, under the name of a published file."""
    file = "cct_7_3x1_32_cifar10_300epochs.pth"
    config = configure(PUBLISHED[file])
    rng = np.random.default_rng(0)
    from cct_viz.checkpoints.pytorch.official import HEAD, POSITION, expected_shapes

    free = {f"{HEAD}.weight": 10, f"{HEAD}.bias": 10, POSITION: 256}
    shapes = {n: [free.get(n) if s is None else s for s in shape] for n, shape in expected_shapes(config).items()}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    assert sum(array.size for array in arrays.values()) == 3_760_139
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, tmp_path / file)
    checkpoint = convert(tmp_path / file, tmp_path / "out")
    assert checkpoint.config == config
    shutil.copy(tmp_path / file, tmp_path / "mine.pth")
    mine = convert(tmp_path / "mine.pth", tmp_path / "mine", Given(arch=PUBLISHED[file])).config
    assert mine.labels == config.labels
    assert [text.partition(":")[0] for text in mine.assumptions] == [
        "The file does not name its classes",
        "The file does not say how pixels were normalised",
    ]
    named = convert(tmp_path / "mine.pth", tmp_path / "named", Given(arch=PUBLISHED[file], labels=tuple("abcdefghij")))
    assert (named.config.labels, len(named.config.assumptions)) == (tuple("abcdefghij"), 1)
    with pytest.raises(CheckpointError, match="another architecture"):
        convert(tmp_path / file, tmp_path / "wrong", Given(arch="cct_7_3x2_32"))
    with pytest.raises(CheckpointError, match="has 10 classes, the architecture 100"):
        convert(tmp_path / file, tmp_path / "wrong", Given(arch="cct_7_3x1_32_c100"))
    assert not (tmp_path / "wrong").exists()


@pytest.mark.slow
def test_convert_reads_a_saved_model(tmp_path):
    assert main(["convert", str(SAVED_MODEL), "--out", str(tmp_path / "out")]) == 0
    assert checkpoints.detect(tmp_path / "out") == "safetensors"
    ours, theirs = checkpoints.read(tmp_path / "out"), checkpoints.read(SAVED_MODEL)
    assert ours.config == theirs.config
    for name, array in theirs.weights.items():
        np.testing.assert_array_equal(ours.weights[name], array)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cct_7_7x2_224_flowers102.pth"], "no file cct_7_7x2_224_flowers102.pth in .*github.com/SHI-Labs"),
        (["mine.pth"], "mine.pth is missing"),
        (["mine.pth", "--arch", "cct_7"], "neither a preset"),
        (["nowhere", "--out", "x"], "nowhere is missing"),
        ([str(SAVED_MODEL), "--arch", "cct_7_3x1_32"], "says this itself: leave out --arch"),
    ],
)
def test_convert_says_what_is_missing(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "mine.pth" and len(arguments) > 1:
        Path("mine.pth").write_bytes(b"\x80")
    assert main(["convert", *arguments, "--out", "out"]) == 1
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert not Path("out").exists()


ODD_ARGUMENTS = [
    ({"new_head": "3"}, "new_head is '3'; expected a number of classes, or True"),
    ({"new_head": 2.0}, "new_head is 2.0; expected"),
    ({"new_head": 1}, "1 labels; expected two classes or more"),
    ({"new_head": 10**9}, "expected 100,000 at most"),
    ({"image_size": (24, "24")}, r"image_size is \(24, '24'\); expected"),
    ({"image_size": (24, 24, 3)}, r"image_size is \(24, 24, 3\); expected"),
    ({"image_size": (10**6, 10**6)}, "1 to 4096 pixels each"),
    ({"image_size": (0, 0)}, "1 to 4096 pixels each"),
    ({"scale": 0.0}, "scale is 0.0; expected more than 0"),
    ({"scale": 255.0, "mean": (0.5,), "std": (0.5,)}, "a scale and a normalisation were both given"),
    ({"mean": (0.5,)}, "only one of mean and std was given"),
    ({"mean": (0.5, 0.5), "std": (1.0, 1.0)}, "expected 3 numbers, or 1 for grey"),
    ({"mean": (0.5,), "std": (0.0,)}, "std is .*; expected as many positive numbers"),
]


@pytest.mark.parametrize(("options", "message"), ODD_ARGUMENTS)
def test_invalid_arguments_are_refused_in_one_sentence(options, message, tmp_path):
    (tmp_path / "a.pth").write_bytes(b"\x80")
    with pytest.raises(ConfigError, match=message):
        convert(tmp_path / "a.pth", tmp_path / "out", Given(arch="cct_7_3x1_32", **options))
    assert not (tmp_path / "out").exists()


def test_the_head_is_unchanged(torch, tmp_path):
    config, state = write_pth(torch, tmp_path / "a.pth", "vit_lite_learnable")
    write_config(tmp_path / "arch.json", config)
    checkpoint = convert(tmp_path / "a.pth", tmp_path / "out", Given(arch=str(tmp_path / "arch.json")))
    np.testing.assert_array_equal(checkpoint.weights["head/bias"], state["classifier.fc.bias"])
    assert "--new-head" not in (tmp_path / "out" / "README.md").read_text()
    assert convert(tmp_path / "out", tmp_path / "again").config == config


def test_labels_and_normalisation_are_what_the_user_says(torch, tmp_path):
    config, _ = write_pth(torch, tmp_path / "a.pth", "vit_lite_learnable")
    write_config(tmp_path / "arch.json", config)
    names = [f"thing {i}" for i in range(config.num_classes)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    arguments = ["convert", str(tmp_path / "a.pth"), "--arch", str(tmp_path / "arch.json"), "--out"]
    given = ["--labels", str(tmp_path / "names.txt"), "--mean", "0.5", "--std", "0.25", "0.5", "0.75"]
    assert main([*arguments, str(tmp_path / "out"), *given]) == 0
    read = checkpoints.read(tmp_path / "out").config
    assert read.labels == tuple(names)
    assert (read.preprocessing.mean, read.preprocessing.std) == ((0.5, 0.5, 0.5), (0.25, 0.5, 0.75))
    assert "--labels labels.txt --mean 0.5 --std 0.25 0.5 0.75" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.slow
def test_a_scale_says_what_pixels_were_divided_by(tmp_path):
    convert(SAVED_MODEL, tmp_path / "out", Given(scale=127.5))
    assert checkpoints.read(tmp_path / "out").config.preprocessing == Preprocessing(std=(0.5, 0.5, 0.5))


@pytest.mark.slow
def test_what_a_file_does_not_say_is_assumed_aloud(tmp_path, capsys):
    assert main(["convert", str(SAVED_MODEL), "--out", str(tmp_path / "out")]) == 0
    assert f"note: {ASSUMED_LABELS}" in capsys.readouterr().err
    config = checkpoints.read(tmp_path / "out").config
    assert config.assumptions == (ASSUMED_LABELS,)
    assert config.labels == numbered_labels(10)
    assert f"- {ASSUMED_LABELS}" in (tmp_path / "out" / "README.md").read_text()
    named = convert(tmp_path / "out", tmp_path / "named", Given(labels=CIFAR10_LABELS)).config
    assert (named.labels, named.assumptions) == (CIFAR10_LABELS, ())


@pytest.mark.slow
def test_another_number_of_labels_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="3 labels were given, but the model has 10 classes"):
        convert(SAVED_MODEL, tmp_path / "out", Given(labels=("a", "b", "c")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["", "inside", "a/b", "model.keras", "../vit/inside"])
def test_a_folder_is_not_converted_into_itself(out, vit_folder, tmp_path):
    shutil.copytree(vit_folder, tmp_path / "vit")
    before = sorted(path.name for path in (tmp_path / "vit").rglob("*"))
    with pytest.raises(CheckpointError, match="is inside the folder to be converted; choose a folder outside it"):
        convert(tmp_path / "vit", tmp_path / "vit" / out)
    assert sorted(path.name for path in (tmp_path / "vit").rglob("*")) == before


# ---- round trips


@pytest.mark.slow
def test_save_and_read_give_the_same_bits(tmp_path):
    config = tiny_config(pool="class_token", num_layers=1)
    model = random_model(config)
    save(model, tmp_path / "a")
    checkpoint = checkpoints.read(tmp_path / "a")
    assert checkpoint.config == config
    again = random_model(config, seed=9)
    checkpoints.assign(again, checkpoint.weights)
    images = np.random.default_rng(0).random((2, *config.image_size, 3), dtype=np.float32)
    np.testing.assert_array_equal(np.asarray(model(images)), np.asarray(again(images)))
    save(again, tmp_path / "b")
    assert sha256(tmp_path / "a" / "model.safetensors") == sha256(tmp_path / "b" / "model.safetensors")


@pytest.mark.slow
def test_a_keras_archive_loads_in_keras_with_the_same_logits(tmp_path):
    import keras

    config = tiny_config(pool="class_token", position="sinusoidal")
    model = random_model(config)
    save(model, tmp_path / "folder")
    assert main(["convert", str(tmp_path / "folder"), "--out", str(tmp_path / "model.keras")]) == 0
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.config == config
    images = np.random.default_rng(0).random((2, *config.image_size, 3), dtype=np.float32)
    np.testing.assert_array_equal(np.asarray(model(images)), np.asarray(again(images)))


# ---- push


@pytest.fixture
def login(fake_hub, monkeypatch):
    """The fake Hub as the one to push to, by the client in this process."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", fake_hub.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its protocol is another server's
    fake_hub.may_be_told_who = True
    return fake_hub


def test_pushed_model_loads_again_bit_for_bit(login, vit_folder, vit, capsys, tmp_path):
    folder = tmp_path / "vit"
    shutil.copytree(vit_folder, folder)
    (folder / "README.md").write_text("# A card\n")
    (folder / "notes.txt").write_text("not to be published")
    assert main(["push", str(folder), "me/vit-lite", "--yes", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["url"].startswith(f"{login.url}/me/vit-lite/commit/")
    assert set(login.files("me/vit-lite")) == {"README.md", "config.json", "model.safetensors"}
    assert login.count("upload", "PUT") == 1
    login.may_be_told_who = False
    login.requests.clear()
    pushed = load("me/vit-lite")  # in a child process, which has only the environment
    assert pushed.source.kind == "hub"
    assert pushed.source.sha256 == vit.source.sha256
    assert pushed.config == vit.config
    images = np.random.default_rng(0).random((4, 16, 16, 3), dtype=np.float32)
    np.testing.assert_array_equal(pushed.forward(images), vit.forward(images))


def test_a_dry_run_sends_nothing(login, vit_folder, capsys):
    assert main(["push", str(vit_folder), "me/vit-lite"]) == 0
    out = capsys.readouterr().out
    assert "model.safetensors" in out
    assert "Nothing was sent" in out
    assert login.requests == []


def test_only_a_complete_model_is_pushed(login, tmp_path, vit_folder):
    shutil.copytree(vit_folder, tmp_path / "half")
    weights = tmp_path / "half" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="truncated"):
        push(tmp_path / "half", "me/vit-lite", yes=True)
    with pytest.raises(HubError, match="is not a repository"):
        push(vit_folder, "vit-lite", yes=True)
    assert login.requests == []


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("no right to write", "forbidden", "does not let you write to me/vit-lite: log in"),
        ("login not known", "forbidden", "log in with 'hf auth login'"),
        ("busy at pushes", "busy", "push again in a few minutes"),
        ("closes at pushes", "offline", "check the connection"),
        ("no JSON at pushes", "damaged", "could not be understood"),
    ],
)
def test_refused_push_gives_a_message(login, vit_folder, fault, kind, message):
    login.fault = fault
    with pytest.raises(HubError, match=message) as caught:
        push(vit_folder, "me/vit-lite", yes=True)
    assert caught.value.kind == kind


def test_push_without_a_login_makes_no_request(login, vit_folder, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(HubError, match="not logged in"):
        push(vit_folder, "me/vit-lite", yes=True)
    assert login.requests == []
