"""What the parameters of requests mean, for those who write manifests."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "size": "Width and height in pixels.",
        "quality": "How carefully the picture is painted: better costs more and takes longer.",
        "output_format": "Type of the file.",
        "output_compression": "How much detail a jpeg or webp file keeps: 100 keeps most, less makes smaller files.",
        "background": "What is behind the subject; transparent needs a type of file that can be transparent.",
        "moderation": "How strictly the provider's content rules are applied.",
        "stream": "Lets the answer come in parts, so that no proxy cuts a long wait; the picture is the same.",
        "partial_images": "Unfinished pictures on the way; each costs a little.",
        "user": "Your own name for whoever asks for the picture, for the provider's records.",
        "style": "Vivid is dramatic, natural is calmer.",
        "response_format": "How the picture comes back; batchgen understands both.",
        "input_fidelity": "How closely the picture keeps to its `references`.",
        "complexity": "How rich a vector drawing is.",
        "frame_count": "Pictures of an animation.",
        "frame_duration_ms": "How long each picture of an animation is shown, in thousandths of a second.",
        "svg": "Further settings of a vector drawing.",
    }
)
"""One sentence a parameter of the catalogue that ships with batchgen."""

SIZES: Mapping[str, str] = MappingProxyType(
    {
        "1024x1024": "square",
        "1536x1024": "landscape, 3:2",
        "1024x1536": "portrait, 2:3",
        "1536x864": "wide, 16:9",
        "864x1536": "tall, 9:16",
        "2048x2048": "large square",
        "3840x2160": "4K, 16:9",
        "2160x3840": "4K, 9:16",
    }
)
"""Sizes that people ask for, where any may be written."""

WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "size": MappingProxyType({**SIZES, "auto": "the model chooses"}),
        "quality": MappingProxyType(
            {
                "low": "cheapest, for drafts",
                "medium": "for most pictures",
                "high": "for pictures that are looked at",
                "auto": "the model chooses; priced as the dearest",
            }
        ),
        "output_format": MappingProxyType(
            {
                "png": "exact, large files",
                "jpeg": "photos, small files",
                "webp": "for the web, small files",
                "gif": "an animation",
                "svg": "a vector drawing",
            }
        ),
        "background": MappingProxyType(
            {"transparent": "nothing; png or webp only", "opaque": "always filled", "auto": "the model chooses"}
        ),
        "moderation": MappingProxyType({"auto": "the usual rules", "low": "less strict"}),
    }
)
"""What single values mean, by parameter."""
