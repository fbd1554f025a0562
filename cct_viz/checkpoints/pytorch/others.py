"""Names for architectures that are not compact transformers, by the names of their arrays, for messages."""

from __future__ import annotations

import re
from collections.abc import Collection

# The first entry whose patterns all match some name; names of arrays without prefixes of wrappers.
_KNOWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a CCT for text (TextCCT)", (r"embedder\.embeddings\.weight", r"classifier\.blocks\.\d+\.")),
    ("the encoder of a compact transformer without its tokenizer", (r"(^|\.)classifier\.blocks\.\d+\.pre_norm\.",)),
    ("a CCT in TensorFlow's or this project's names", (r"tokenizer/conv_\d+/kernel",)),
    ("a Swin transformer", (r"relative_position_bias_table",)),
    ("a ViT of transformers", (r"encoder\.layer\.\d+\.attention\.attention\.query", r"patch_embeddings")),
    ("a DINOv2 or ViT encoder of transformers", (r"encoder\.layer\.\d+\.attention\.attention\.query",)),
    ("a CLIP model", (r"(visual\.|vision_model\.|text_model\.)",)),
    ("a ViT of torchvision", (r"encoder\.layers\.encoder_layer_\d+", r"conv_proj")),
    ("a ViT of timm", (r"patch_embed\.proj\.", r"blocks\.\d+\.attn\.qkv")),
    ("a ViT of vit-pytorch", (r"to_patch_embedding", r"transformer\.layers")),
    ("a CvT (convolutional vision transformer)", (r"(cvt\.|stage\d+\.)", r"(conv_proj_[qkv]|convolution_projection)")),
    (
        "a ConvNeXt",
        (r"(dwconv|depthwise_conv|conv_dw|layer_scale)", r"(stages\.0\.(0|blocks)|features\.1\.0\.layer_scale)"),
    ),
    ("a DenseNet", (r"denseblock1\.denselayer1",)),
    ("a ResNet", (r"(^|\.)(layer1\.0\.conv1|encoder\.stages\.0\.layers\.0\.layer\.0)\.",)),
    ("an EfficientNet or MobileNet", (r"(conv_dw|depthwise|features\.\d+\.(conv\.)?\d+\.\d*\.?(conv|block|\d))",)),
    ("a VGG or AlexNet", (r"features\.0\.weight", r"classifier\.\d+\.weight")),
    ("a U-Net", (r"(down_?\d|down_blocks|encoder\d)", r"(up_?\d|up_blocks|decoder\d)")),
    ("a language model", (r"(word_embeddings|embed_tokens|wte)\.weight",)),
)


def name_architecture(names: Collection[str]) -> str:
    """What arrays of these names probably are, with an article; never empty."""
    for name, patterns in _KNOWN:
        if all(any(re.search(pattern, one) for one in names) for pattern in patterns):
            return f"{name} ({len(names)} arrays)"
    first = sorted(names)[:3]
    return f"another model, with arrays such as {', '.join(first)}"
