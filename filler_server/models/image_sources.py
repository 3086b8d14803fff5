"""Preparation of images that a net asks for where it reads them."""

from dataclasses import dataclass
from pathlib import PurePath

from filler_server.net.operations import data
from filler_server.net.plan import NetPlan

_DECODES = (data.Data, data.ImageData, data.WindowData)
"""Operations that read images of blue, green and red, as OpenCV decodes them."""


@dataclass(frozen=True, slots=True)
class ImageSource:
    """A layer that reads images.

    Attributes:
        top: name of the top that holds them.
        transform: what is done to each of them.
        bgr: whether their channels are blue, green and red.
    """

    top: str
    transform: data.Transform
    bgr: bool

    def as_dict(self) -> dict[str, object]:
        """Return what is done to images as plain values, which JSON can hold; what is left out is not done."""
        given = {
            "mean_value": list(self.transform.mean_values) or None,
            "mean_file": self.transform.mean_file and PurePath(self.transform.mean_file).name,
            "scale": None if self.transform.scale == 1 else self.transform.scale,
            "crop_size": self.transform.crop and list(self.transform.crop),
            "mirror": self.transform.mirror or None,
            "force_color": self.transform.force_color or None,
            "force_gray": self.transform.force_gray or None,
            "resize_param": self.transform.resize,
            "channels": "bgr" if self.bgr else None,
        }
        return {name: value for name, value in given.items() if value is not None}


def image_sources(plan: NetPlan) -> tuple[ImageSource, ...]:
    """Return the layers of a net that read images and prepare them, in its order."""
    found = []
    for layer in plan.layers:
        transform = getattr(layer.operation, "transform", None)
        if layer.is_source and isinstance(transform, data.Transform) and layer.tops:
            shape = layer.tops[0].shape
            bgr = isinstance(layer.operation, _DECODES) and shape is not None and len(shape) == 4 and shape[1] == 3
            found.append(ImageSource(layer.tops[0].name, transform, bgr))
    return tuple(found)
