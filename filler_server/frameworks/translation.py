"""Initializers in Caffe's words and back, with what differs said plainly."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.filler_types import CAFFE_FILLERS
from filler_server.frameworks.calls import read_call
from filler_server.frameworks.names import NAMES, resolved
from filler_server.frameworks.reverse import calls, number_text

_LAYOUT = (
    "weights of Caffe and PyTorch are [out, in, ...], kernels of Keras and JAX [in, out] or [..., in, out] (HWIO): "
    "fans are those of Caffe's layout, and a blob is turned before it is used there"
)
_TRUNCATED = (
    "the normals of Keras and JAX that go by fans are truncated at two standard deviations, and divided by 0.8796 so "
    "that the variance is scale / n after that; Caffe's and PyTorch's are not truncated"
)
_XAVIER = 'type: "xavier" alone is FAN_IN, that is lecun_uniform; Glorot\'s own, with both fans, is AVERAGE'
_LINEAR = (
    "the weights of PyTorch's Linear and Conv layers begin as kaiming_uniform_(w, a=sqrt(5)), that is "
    'uniform(±1 / sqrt(fan_in)), type: "variance_scaling_uniform" value: 0.333333; that is not Xavier'
)
_UNCORRECTED = "the standard deviation is that before the values are truncated"
_BOUNDS = (
    "bounds are values in PyTorch and in Caffe's words, two std around the mean in Keras, and multiples of std in JAX"
)
_LAST = "with fewer than two axes PyTorch, Keras and JAX have other fans or none; Caffe's fan_in is 1 there"

_NONE = "no initializer of its own has this distribution"


@dataclass(frozen=True, slots=True)
class Translation:
    """One initializer in the words of Caffe and of the other frameworks.

    Attributes:
        source: what was translated.
        filler: the filler, of a type of Caffe's own where it has the distribution.
        calls: for "torch", "keras" and "jax" the call that gives the same distribution, or None where there is none.
        notes: what differs, and what to mind.
    """

    source: str
    filler: FillerParameter
    calls: dict[str, str | None]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The filler as prototxt, in one line."""
        return filler_text(self.filler)

    @property
    def is_caffe(self) -> bool:
        """Whether Caffe itself has a filler of this type."""
        return self.filler.type in CAFFE_FILLERS

    def __str__(self) -> str:
        beyond = "" if self.is_caffe else "    (a type that Caffe does not have)"
        lines = [f"caffe  {self.text}{beyond}"]
        lines += [
            f"{name:5}  {call or 'no initializer of its own has this distribution'}"
            for name, call in self.calls.items()
        ]
        return "\n".join([*lines, *(f"note   {note}" for note in self.notes)])


def filler_text(filler: FillerParameter) -> str:
    """Return a filler as prototxt in one line, with numbers in the digits that float32 has."""
    parts = []
    for entry, value in filler.ListFields():
        if entry.name == "type":
            parts.append(text_format.MessageToString(FillerParameter(type=value), as_one_line=True).strip())
        elif entry.enum_type is not None:
            parts.append(f"{entry.name}: {entry.enum_type.values_by_number[value].name}")
        else:
            parts.append(f"{entry.name}: {number_text(value) if isinstance(value, float) else value}")
    return " ".join(parts)


def of_filler(source: str, filler: FillerParameter) -> Translation:
    """Return the translation of a filler; one whose type is a name of another framework is resolved first.

    Raises:
        FillerParameterError: a field of such a filler is wrong.
    """
    own = resolved(filler) or filler
    return Translation(source, own, calls(own), tuple(_notes(source, own)))


def of_call(text: str) -> Translation:
    """Return the translation of a name or a call of PyTorch, Keras or JAX.

    Raises:
        InvalidArgument: it is neither, or its arguments make no initializer.
        UnknownFiller: there is no initializer of this name.
    """
    _, filler = read_call(text)
    return of_filler(text.strip(), filler)


def table() -> list[Translation]:
    """Return the translation of every initializer, with its defaults, or with examples for what has none."""
    examples = {
        "torch.constant_": "torch.constant_(w, 0.1)",
        "jax.constant": "jax.constant(0.1)",
        "jax.variance_scaling": "jax.variance_scaling(1.0, 'fan_in', 'truncated_normal')",
    }
    more = [
        "torch.kaiming_uniform_(w, a=math.sqrt(5))",
        "torch.kaiming_normal_(w, mode='fan_out', nonlinearity='relu')",
    ]
    return [of_call(text) for text in (*(examples.get(name, name) for name in NAMES), *more)]


def _notes(source: str, filler: FillerParameter) -> Iterator[str]:
    kind = filler.type
    if kind in ("xavier", "msra") or kind.startswith("variance_scaling_"):
        if "kaiming_uniform_" in source or kind == "variance_scaling_uniform":
            yield _LINEAR
        if kind == "xavier" or "xavier" in source or "glorot" in source.lower():
            yield _XAVIER
        if kind in ("msra", "variance_scaling_gaussian", "variance_scaling_truncated"):
            yield _TRUNCATED
        yield _LAYOUT
        yield _LAST
    elif kind == "truncated_gaussian":
        yield _UNCORRECTED
        yield _BOUNDS
    elif kind == "orthogonal":
        yield "the same distribution, not the same numbers: they come from a method of their own, not from LAPACK's QR"
        yield _LAYOUT
    elif kind == "gaussian" and filler.sparse >= 0:
        yield "torch.nn.init.sparse_ leaves an exact number of zeros in each column; Caffe draws it for each value"
    elif kind == "dirac":
        yield "that of one group; value: 1 alone is PyTorch's"
