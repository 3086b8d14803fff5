"""Sources of data, and their transformation."""

from filler_server.net.operations.base import Extents, Floats, Operation


class Transform(Operation):
    """Transformation of each image: first the mean is subtracted, then it is multiplied.

    Attributes:
        scale: what values are multiplied with.
        mean_values: what is subtracted: nothing, one number, or one for each channel (blue, green, red).
        mean_file: path of a mean image that is subtracted, or None.
        crop: height and width of the part that is taken, or None.
        random_crop: whether that part lies anywhere, or in the middle.
        mirror: whether images are flipped, at random, in both phases.
        force_color: whether gray images get three channels.
        force_gray: whether color images get one.
        resize: what SSD's resize_param says, as prototxt; it comes first.
    """

    scale: float = 1.0
    mean_values: Floats = ()
    mean_file: str | None = None
    crop: tuple[int, int] | None = None
    random_crop: bool = False
    mirror: bool = False
    force_color: bool = False
    force_gray: bool = False
    resize: str | None = None


class Data(Operation):
    """Images and labels out of a database.

    Attributes:
        source: path of the database.
        backend: leveldb or lmdb.
    """

    source: str = ""
    backend: str = "leveldb"
    batch_size: int
    transform: Transform


class DummyData(Operation):
    """Tops filled by fillers: constant ones once, others anew in each pass.

    Attributes:
        fillers: their FillerParameters as prototxt, one for all tops or one for each.
    """

    fillers: tuple[str, ...]


class ForkData(Operation):
    """A data layer of a fork.

    Attributes:
        layer_type: its type.
        transform: what BVLC's transformation does to its images, if the layer uses it.
        fields: what the prototxt says of it: paths as in `video_data_param.new_length`, with values as in prototxt.
    """

    layer_type: str
    transform: Transform
    fields: tuple[tuple[str, str], ...] = ()


class HDF5Data(Operation):
    """Each top is the data set of its name.

    Attributes:
        source: path of a text file that lists HDF5 files.
    """

    source: str = ""
    batch_size: int = 0
    shuffle: bool = False


class ImageData(Operation):
    """Image files and their labels.

    Attributes:
        source: path of a text file with lines `path label`.
        root_folder: what is put in front of each path.
        size: height and width that images are brought to first, or None.
        channels: of the images.
    """

    source: str = ""
    root_folder: str = ""
    batch_size: int
    shuffle: bool = False
    rand_skip: int = 0
    size: tuple[int, int] | None = None
    channels: int = 3
    transform: Transform


class Input(Operation):
    """Tops that the caller sets."""


class MemoryData(Operation):
    """Arrays that a program hands over."""

    size: Extents
    transform: Transform


class Parameter(Operation):
    """A learned blob as a top."""


class WindowData(Operation):
    """Regions cut out of images, foreground and background mixed; `WindowDataParameter` tells the fields.

    The transformation's scale has no effect here.
    """

    source: str = ""
    root_folder: str = ""
    batch_size: int
    scale: float = 1.0
    fg_threshold: float = 0.5
    bg_threshold: float = 0.5
    fg_fraction: float = 0.25
    context_pad: int = 0
    crop_mode: str = "warp"
    transform: Transform
