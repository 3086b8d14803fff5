"""What shapes blobs have."""

from caffe_filler.errors import ShapeError
from caffe_filler.shapes import check_shape as check_shape


def check_axis(shape: tuple[int, ...], reader: str) -> None:
    """Make sure that a shape has a first axis; `reader` says who reads it.

    Raises:
        ShapeError: it has no axes.
    """
    if not shape:
        raise ShapeError(f"{reader} needs a blob with at least one axis. Received: shape=[]")
