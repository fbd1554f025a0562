"""The page with models and pictures inside: one HTML text that opens from disk, without network or server.

`dist/` holds the front end as Vite built it: one script and one style sheet, which are put into the page as they are,
and one JSON file for each language besides English.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..architecture.presets import PRESETS
from ..checkpoints.safetensors import to_bytes
from ..images.decode import decode
from ..images.encode import data_url
from ..images.headers import find_format
from ..methods.strongest import read_patches
from .examples import read_examples
from .measured import read_history, read_metrics, read_randomisation
from .payload import encode

if TYPE_CHECKING:
    from ..inference.classifier import Classifier
    from ..inference.gauge import Gauge

DIST = Path(__file__).parent / "dist"
PHOTOS = Path(__file__).parent / "photos"
TITLE = "CCT Explorer: how a small vision transformer recognises a picture"
DESCRIPTION = "See how a small vision transformer recognises a picture, step by step. Try it with your own photo."

# Name -> (what it shows, its class where it has one, whose it is). The page shows these first, each to models of its
# class.
SHARP = {
    "chelsea": ("cat", "cat", "Stefan van der Walt, CC0"),
    "parachute": ("parachute", "parachute", "U.S. Army"),
    "church": ("church", "church", "Kosala Bandara, CC BY 2.0"),
    "cassette player": ("cassette player", "cassette player", "mib18, CC BY-SA 3.0"),
    "gas pump": ("gas pump", "gas pump", "Jared Spool, CC BY-SA"),
    "golf ball": ("golf ball", "golf ball", "Paolo Neo, CC BY-SA"),
    "rocket": ("rocket", None, "SpaceX"),
    "coffee": ("cup of coffee", None, "Rachel Michetti, CC0"),
}
_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<meta name="description" content="{description}">
{head}<style>
html {{ background: #fcfbf8; }}
@media (prefers-color-scheme: dark) {{ html {{ background: #131417; }} }}
body {{ margin: 0; }}
{style}
</style>
</head>
<body>
<div id="explorer"></div>
<noscript><p>This page computes what it shows in the browser: it needs JavaScript.</p></noscript>
<script type="application/json" id="pictures">{pictures}</script>
<script type="application/json" id="models">{models}</script>
{weights}{payload}{languages}
<script type="text/plain" id="script">{packed}</script>
<script>{unpack}</script>
</body>
</html>
"""
# Runs the packed script. A script element of its own is bound by the page's policy, as `eval` would not be.
_UNPACK = """(async () => {
  if (!globalThis.DecompressionStream) {
    const words = "This browser is too old for this page. Open it in a current Firefox, Chrome, Edge or Safari.";
    document.getElementById("explorer").textContent = words;
    return;
  }
  const bytes = Uint8Array.from(atob(document.getElementById("script").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.body.append(script);
})();"""


def page_html(
    models: Sequence[Mapping[str, Any]],
    pictures: Sequence[Mapping[str, Any]],
    *,
    title: str = TITLE,
    description: str = DESCRIPTION,
    head: str = "",
    payload: str = "",
    languages: bool = True,
) -> str:
    """A self-contained page that runs `models` on `pictures` and on any photo of the visitor.

    Its script is packed, which makes each file 280 kB smaller.

    The page's Content-Security-Policy forbids all requests, so it can report neither its visitors nor their pictures.

    Args:
        models: from `describe_model` with weights in base64, or without where there is a `payload`; the first one runs
            at the start.
        pictures: from `describe_gallery` or `describe_picture`; the first one is shown at the start.
        title: text of the browser's tab.
        description: the sentence that link previews show.
        head: markup that links to files next to the page, which the policy then allows.
        payload: from `make_payload`, of the first picture under the first model: shown where the page has no weights
            or cannot run them.
        languages: whether the page also carries its texts in other languages than English, 340 kB.

    Raises:
        ValueError: there is no model or no picture.
    """
    if not models or not pictures:
        raise ValueError("a page needs at least one model and one picture")
    script = page_script() + "cctExplorer.session = cctExplorer.openSite();"
    return _TEMPLATE.format(
        policy=_policy(script, beside=bool(head)),
        title=escape(title),
        description=escape(description),
        head=head,
        style=page_style(),
        pictures=_carry(pictures),
        models=_carry([_place_weights(model) for model in models]),
        weights="\n".join(_carry_weights(model) for model in models if model["weights"]),
        payload=f'<script type="application/json" id="payload">{_escape_json(payload)}</script>' if payload else "",
        languages="".join(_carry_language(code, pack) for code, pack in read_packs().items()) if languages else "",
        packed=base64.b64encode(zlib.compress(script.encode(), 9)).decode(),
        unpack=_UNPACK,
    )


def _carry_language(code: str, pack: str) -> str:
    return f'\n<script type="application/json" id="language-{code}">{_escape_json(pack)}</script>'


def pack_files() -> dict[str, Path]:
    """Code of each language besides English, such as "de" -> the file of the page's texts in it."""
    return {path.stem: path for path in sorted(DIST.glob("*.json"))}


def read_packs() -> dict[str, str]:
    """Code of each language besides English -> the page's texts in it, as JSON."""
    return {code: path.read_text(encoding="utf-8") for code, path in pack_files().items()}


def _place_weights(model: Mapping[str, Any]) -> dict[str, Any]:
    """The model with its weights in an element of their own, which the page reads when it needs them."""
    return {**model, "weights": {"element": f"weights-{model['id']}"} if model["weights"] else None}


def _carry_weights(model: Mapping[str, Any]) -> str:
    return f'<script type="text/plain" id="weights-{escape(model["id"])}">{model["weights"]["base64"]}</script>'


def page_style() -> str:
    """The style sheet, fonts included. Safe inside a <style> element."""
    return (DIST / "page.css").read_text(encoding="utf-8").replace("</", "<\\/")


def page_script() -> str:
    """JavaScript that defines `cctExplorer`. Safe inside a <script> element: it cannot close the element."""
    return (DIST / "page.js").read_text(encoding="utf-8").replace("</script", "<\\/script")


def describe_model(
    classifier: Classifier, weights: Mapping[str, str] | None, patches: Sequence[str | None]
) -> dict[str, Any]:
    """What the page needs of a model: names for people, measurements, config.json and where its weights are.

    Args:
        weights: {"base64": text}, {"address": text}, or None for a model that only a server runs.
        patches: of each conv stage the address of its sheet of strongest patches, None where there is no sheet;
            empty to leave them out.
    """
    name = classifier.source.name
    preset = PRESETS.get(name)
    title = preset.description if preset else name
    prior = classifier.position_prior
    return {
        "id": name,
        "title": title,
        "short": f"{title.split(',')[0]} \N{MIDDLE DOT} {classifier.config.num_tokens} tokens",
        "group": "comparison" if preset and preset.comparison else "main",
        "parameters": classifier.num_parameters,
        "sha256": classifier.source.sha256,
        "bytes": 2 * classifier.num_parameters,  # float16
        "assumptions": list(classifier.config.assumptions),
        "metrics": read_metrics(classifier.metrics, classifier.config.num_classes),
        "prior": None if prior is None else prior.tolist(),
        "history": read_history(classifier.folder),
        "randomisation": read_randomisation(classifier.folder),
        "config": json.dumps(classifier.config.to_dict()),
        "weights": weights,
        "patches": patches,
        "gauge": _carry_gauge(classifier.gauge) if weights and classifier.gauge else None,
    }


def _carry_gauge(gauge: Gauge) -> dict[str, Any]:
    return {
        "mean": encode(gauge.mean, "float32"),
        "root": encode(gauge.root, "float16"),
        "distances": encode(gauge.distances, "float32"),
        "auroc": gauge.auroc,
    }


def carry_weights(classifier: Classifier) -> dict[str, str]:
    """The weights to put into a page. float16 halves it and rounds each weight by at most one part in two thousand.

    Raises:
        CheckpointError: a weight is too large for float16.
    """
    return {"base64": base64.b64encode(to_bytes(classifier.weights, dtype="float16")).decode()}


def carry_patches(classifier: Classifier) -> list[str | None]:
    """The sheets of strongest patches to put into a page, one for each conv stage, None where there is no sheet."""
    sheets = read_patches(classifier.folder, classifier.config)
    return [None if sheet is None else _jpeg_url(sheet) for sheet in sheets]


def describe_gallery(labels: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The photos and the ten examples: id, name, kind, true class or None, credit and a data: address of each.

    Args:
        labels: names of classes. Pictures of others are left out, unless all would be; None takes all. The page does
            the same for each of its models (`galleryOf` in `src/core/entries.ts`).
    """
    pictures: list[dict[str, Any]] = [
        {"id": name, "name": shows, "kind": "photo", "truth": truth, "credit": credit}
        for name, (shows, truth, credit) in SHARP.items()
    ]
    pictures += [
        {"id": name, "name": name, "kind": "example", "truth": name, "credit": "CIFAR-10"} for name in read_examples()
    ]
    if labels is not None and any(picture["truth"] in labels for picture in pictures):
        pictures = [picture for picture in pictures if picture["truth"] is None or picture["truth"] in labels]
    return [{**picture, "address": _address(picture)} for picture in pictures]


def _address(picture: Mapping[str, Any]) -> str:
    if picture["kind"] == "example":
        return data_url(read_examples()[picture["id"]])
    return _jpeg_url((PHOTOS / f"{picture['id'].replace(' ', '_')}.jpg").read_bytes())


def describe_picture(path: Path, name: str) -> dict[str, Any]:
    """A picture of which nobody says what it shows. The page gets the file itself, so that it sees what Python sees.

    Raises:
        ImageError: the file is no picture that this project reads.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    decode(path)  # refuses what a page could not show
    address = f"data:image/{str(find_format(content)).lower()};base64,{base64.b64encode(content).decode()}"
    return {"id": name, "name": name, "kind": "photo", "truth": None, "address": address}


def _jpeg_url(content: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()


def _carry(value: Any) -> str:
    """JSON to embed in an element: its value is unchanged, and no text in it can close the element."""
    return _escape_json(json.dumps(value, separators=(",", ":")))


def _escape_json(text: str) -> str:
    return text.replace("<", "\\u003c")


def _policy(script: str, *, beside: bool) -> str:
    """The page's Content-Security-Policy: only its own script and what unpacks it, which starts its worker from a blob.

    "wasm-unsafe-eval" lets the worker compile the kernels that the script carries. It allows no eval of JavaScript.
    """
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (_UNPACK, script))
    own = " 'self'" if beside else ""
    rules = {
        "default-src": "'none'",
        "script-src": " ".join([*(f"'sha256-{digest}'" for digest in digests), "'wasm-unsafe-eval'"]),
        "style-src": "'unsafe-inline'",
        "img-src": f"data: blob:{own}",
        "media-src": "blob:",
        "font-src": "data:",
        "worker-src": f"blob:{own}",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    if beside:
        rules["manifest-src"] = "'self'"
    return "; ".join(f"{name} {value}" for name, value in rules.items())
