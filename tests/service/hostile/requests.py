"""Requests that mean harm: each asks for far more than it sends.

The rule that they are held to: whatever is sent, memory and answer are at most a small multiple of its length and a
fixed amount.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from caffe_filler.caffe.caffe_pb2 import BlobProto, BlobShape, FillerParameter, NetParameter
from caffe_filler.v1 import filler_pb2

SERVICE = "/caffe_filler.v1.FillerService/"
KIB, MIB = 1 << 10, 1 << 20


MOST_MEMORY, MEMORY_TIMES = 128 * MIB, 8
MOST_ANSWER, ANSWER_TIMES = 2 * MIB, 8
MOST_KEPT = 96 * MIB


@dataclass(frozen=True, slots=True)
class Hostile:
    """A hostile request.

    Attributes:
        name: what it does.
        method: the method that is called.
        build: makes the encoded request.
        at_once: how many calls of it run at once.
    """

    name: str
    method: str
    build: Callable[[], bytes]
    at_once: int = 1

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream."""
        return self.method in ("Fill", "FillNet")


HOSTILE: list[Hostile] = []


def hostile(method: str, *, at_once: int = 1) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    """Return a decorator that adds the request that a function builds."""

    def add(build: Callable[[], bytes]) -> Callable[[], bytes]:
        HOSTILE.append(Hostile(build.__name__, method, build, at_once))
        return build

    return add


# ---------------------------------------------------------------------------------------------------------------------
# Names times blobs


def _inline(name: str, blobs: int, kind: str = "ReLU") -> NetParameter:
    """A net with one layer that brings so many blobs of one value."""
    net = NetParameter()
    net.layer.add(name="data", type="Input", top=["data"]).input_param.shape.add(dim=[1])
    layer = net.layer.add(name=name, type=kind, bottom=["data"], top=["top"])
    layer.blobs.extend([BlobProto(shape=BlobShape(), data=[0])] * blobs)
    return net


@hostile("PlanNet")
def a_long_name_of_many_blobs() -> bytes:
    """One layer of a name of 64 KiB, and many inline blobs."""
    return _plan(_inline("n" * 64 * KIB, 6_000))


@hostile("PlanNet")
def the_longest_name_of_many_blobs() -> bytes:
    """The same with a name that is just allowed."""
    return _plan(_inline("n" * 4000, 12_000))


@hostile("FillNet")
def headers_of_a_long_name() -> bytes:
    """The stream of the same net repeats the name in every header."""
    return filler_pb2.FillNetRequest(net=_plan_request(_inline("n" * 64 * KIB, 6_000))).SerializeToString()


def _sharers(name: str, sharers: int) -> NetParameter:
    """A net of which so many layers share the blob of one layer."""
    net = NetParameter()
    net.layer.add(name="data", type="Input", top=["d"]).input_param.shape.add(dim=[1, 1])
    for layer_name in (name, *map(str, range(sharers))):
        layer = net.layer.add(name=layer_name, type="Bias", bottom=["d"], top=["d"])
        layer.param.add(name="p")
        layer.bias_param.num_axes = 1
    return net


@hostile("PlanNet")
def a_long_owner_of_many_blobs() -> bytes:
    """Many blobs of short names share that of a layer whose name is long."""
    return _plan(_sharers("o" * 100 * KIB, 6_500))


@hostile("FillNet")
def headers_of_a_long_owner() -> bytes:
    """A blob with a short name and a long owner, selected many times."""
    net = _plan_request(_sharers("o" * 100 * KIB, 1))
    request = filler_pb2.FillNetRequest(net=net, blobs=[{"name": "0/0"}] * 20_000)
    return request.SerializeToString()


@hostile("FillNet")
def headers_of_the_longest_owner() -> bytes:
    """The same with a name that is just allowed."""
    net = _plan_request(_sharers("o" * 4000, 1))
    return filler_pb2.FillNetRequest(net=net, blobs=[{"name": "0/0"}] * 20_000).SerializeToString()


@hostile("PlanNet")
def warnings_of_a_long_name() -> bytes:
    """Every layer is warned about in many words: the name of the top that would settle its shape is long."""
    net = NetParameter()
    data = "d" * 4000
    net.layer.add(name="data", type="Data", top=[data]).data_param.batch_size = 1
    for index in range(20_000):
        net.layer.add(name=str(index), type="Scale", bottom=["x" if index else data], top=["x"])
    return _plan(net)


@hostile("PlanNet")
def a_long_filler_of_many_layers() -> bytes:
    """A filler of a long type that a recurrent layer repeats for each of its weights."""
    net = NetParameter()
    net.layer.add(name="d", type="Input", top=["d", "c"]).input_param.shape.extend(
        [BlobShape(dim=[1, 1, 1]), BlobShape(dim=[1, 1])]
    )
    layer = net.layer.add(name="r", type="RNN", bottom=["d", "c"], top=["r"])
    layer.recurrent_param.num_output = 1
    layer.recurrent_param.weight_filler.type = "f" * MIB
    layer.recurrent_param.bias_filler.type = "g" * MIB
    return _plan(net)


# ---------------------------------------------------------------------------------------------------------------------
# Nearest names


def _words(seed: int, length: int) -> str:
    """A text of few words in some order, of which any two are much alike."""
    chance = random.Random(seed)
    words = ["convolution", "inner", "product", "normalization", "pooling"]
    return " ".join(chance.choice(words) for _ in range(length // 8))[:length]


@hostile("FillNet", at_once=8)
def a_long_unknown_blob_like_a_long_one() -> bytes:
    """A blob that does not exist, of a name of 4 KB, and as many that are much like it as the request has room for."""
    net = NetParameter()
    net.layer.add(name="data", type="Input", top=["d"]).input_param.shape.add(dim=[1, 1])
    for seed in range(30):
        net.layer.add(name=_words(seed, 4000), type="Bias", bottom=["d"], top=["d"]).bias_param.num_axes = 1
    return filler_pb2.FillNetRequest(net=_plan_request(net), blobs=[{"name": _words(99, 4000)}]).SerializeToString()


@hostile("PlanNet", at_once=8)
def a_long_unknown_bottom_like_a_long_one() -> bytes:
    """A bottom that does not exist, and tops that are much like it."""
    net = NetParameter()
    net.layer.add(name="d", type="Input", top=[_words(seed, 4000) for seed in range(30)]).input_param.shape.add(dim=[1])
    net.layer.add(name="r", type="ReLU", bottom=[_words(99, 4000)], top=["r"])
    return _plan(net)


@hostile("Fill", at_once=8)
def a_long_unknown_filler() -> bytes:
    """A filler that does not exist, of a type of 120 KB."""
    blob = filler_pb2.BlobSpec(filler=FillerParameter(type="gaussian" * 15_000), shape=BlobShape(dim=[1]))
    return filler_pb2.FillRequest(blobs=[blob]).SerializeToString()


@hostile("FillNet", at_once=8)
def a_long_unknown_blob() -> bytes:
    """A blob that does not exist, of a name of 120 KB."""
    net = _plan_request(_inline("n" * 1000, 1))
    return filler_pb2.FillNetRequest(net=net, blobs=[{"name": "n" * 120_000}]).SerializeToString()


def _anagrams(count: int, length: int) -> list[str]:
    """Names of the same letters in another order, which a look at the letters alone takes for equal."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    names = []
    for index in range(count):
        word = (letters * (length // len(letters) + 1))[:length]
        cut = index % length
        names.append(f"{word[cut:]}{word[:cut]}{index}"[:length])
    return names


@hostile("FillNet", at_once=4)
def an_unknown_blob_among_very_many() -> bytes:
    """A blob that does not exist, and thousands that are all like it."""
    net = NetParameter()
    net.layer.add(name="data", type="Input", top=["d"]).input_param.shape.add(dim=[1, 1])
    for name in _anagrams(10_000, 60):
        layer = net.layer.add(name=name, type="Bias", bottom=["d"], top=["d"])
        layer.bias_param.num_axes = 1
    name = _anagrams(1, 60)[0][::-1]
    return filler_pb2.FillNetRequest(net=_plan_request(net), blobs=[{"name": name}]).SerializeToString()


@hostile("PlanNet", at_once=4)
def an_unknown_bottom_among_very_many() -> bytes:
    """A bottom that does not exist, and thousands that are all like it."""
    net = NetParameter()
    net.layer.add(name="data", type="Input", top=_anagrams(10_000, 100)).input_param.shape.add(dim=[1])
    net.layer.add(name="r", type="ReLU", bottom=[_anagrams(1, 100)[0][::-1]], top=["r"])
    return _plan(net)


@hostile("PlanNet")
def unknown_fields_of_long_names() -> bytes:
    """Names of fields, each another one that is not known."""
    lines = [f"{name}: 1" for name in _anagrams(20_000, 62)]
    net = "layer { name: 'd' type: 'Input' top: 'd' input_param { shape { dim: 1 } } }\n"
    text = net + "\n".join(f"x{line}" for line in lines)
    return filler_pb2.PlanNetRequest(net=text.encode()).SerializeToString()


@hostile("PlanNet")
def unknown_types_of_every_layer() -> bytes:
    """Layers of unknown types, each like many that are known."""
    text = "".join(f'layer {{ name: "l{index}" type: "{kind}" }}\n' for index, kind in enumerate(_anagrams(20_000, 40)))
    return filler_pb2.PlanNetRequest(net=text.encode()).SerializeToString()


# ---------------------------------------------------------------------------------------------------------------------
# Packed numbers, and messages of nothing


@hostile("Fill")
def very_many_dims() -> bytes:
    """60 MB of dims."""
    return _field(1, _field(1, _field(1, b"constant")) + _field(2, _field(1, b"\x01" * 60_000_000)))


@hostile("PlanNet")
def very_many_dims_of_an_input() -> bytes:
    """60 MB of dims of an input."""
    return _field(1, b"layer {}") + _field(3, _field(1, b"data") + _field(2, _field(1, b"\x01" * 60_000_000)))


@hostile("PlanNet")
def very_many_dims_in_a_net() -> bytes:
    """60 MB of dims in a binary net."""
    shape = _field(1, b"\x01" * 60_000_000)
    layer = _field(1, b"data") + _field(2, b"Input") + _field(4, b"d") + _field(143, _field(1, shape))
    return _field(1, _field(100, layer))


@hostile("PlanNet")
def very_many_dims_in_text() -> bytes:
    """As many dims as 12 MB of text have, in a list."""
    dims = ",".join(["1"] * 6_000_000)
    net = f'layer {{ name: "d" type: "Input" top: "d" input_param {{ shape {{ dim: [{dims}] }} }} }}'
    return filler_pb2.PlanNetRequest(net=net.encode()).SerializeToString()


@hostile("PlanNet")
def very_many_numbers_of_a_blob() -> bytes:
    """60 MB of values in text and binary would be right if the shape said so."""
    blob = _field(7, _field(1, b"\x01")) + _field(5, b"\0" * 60_000_000)
    layer = _field(1, b"l") + _field(2, b"ReLU") + _field(7, blob)
    return _field(1, _field(100, layer))


@hostile("Fill", at_once=24)
def two_million_empty_specs() -> bytes:
    """Messages of two bytes each."""
    return b"\x0a\x00" * 2_000_000


@hostile("FillNet")
def two_million_empty_selections() -> bytes:
    """Selections of two bytes each."""
    return _field(1, _field(1, b"layer {}")) + b"\x2a\x00" * 2_000_000


@hostile("Digest")
def two_million_empty_blobs_to_sum_up() -> bytes:
    """Blobs of two bytes each, in the request of another call."""
    return _field(1, b"\x0a\x00" * 2_000_000)


@hostile("Digest")
def digests_of_the_longest_owner() -> bytes:
    """A blob with a short name and a long owner, selected many times."""
    net = _plan_request(_sharers("o" * 4000, 1))
    request = filler_pb2.FillNetRequest(net=net, blobs=[{"name": "0/0"}] * 20_000)
    return filler_pb2.DigestRequest(fill_net=request).SerializeToString()


@hostile("PlanNet")
def two_million_empty_inputs() -> bytes:
    """Shapes of two bytes each."""
    return _field(1, b"layer {}") + b"\x1a\x00" * 2_000_000


@hostile("PlanNet")
def empty_nets_before() -> bytes:
    """Nets that draw before, of two bytes each."""
    return _field(1, b"layer {}") + _field(6, b"\x2a\x00" * 2_000_000)


@hostile("PlanNet")
def half_a_million_empty_blobs_in_a_net() -> bytes:
    """Messages of two bytes each in a binary net."""
    layer = _field(1, b"l") + _field(2, b"ReLU") + b"\x3a\x00" * 4_000_000
    return _field(1, _field(100, layer))


@hostile("UpgradeNet")
def very_many_fields_of_no_meaning() -> bytes:
    """Unknown fields of two bytes each, in a binary net."""
    layer = _field(1, b"l") + _field(2, b"ReLU") + _field(4, b"t")
    return _field(1, _field(100, layer) + b"\xf8\x3f\x00" * 2_000_000)


# ---------------------------------------------------------------------------------------------------------------------
# Copies of shapes


def _copies(kind: str, tops: int, dims: list[int]) -> NetParameter:
    net = NetParameter()
    net.layer.add(name="data", type="Input", top=["d"]).input_param.shape.add(dim=dims)
    net.layer.add(name="l", type=kind, bottom=["d"], top=[str(top) for top in range(tops)])
    return net


@hostile("PlanNet")
def a_split_of_very_many_tops() -> bytes:
    """Copies of a shape of 32 axes."""
    return _plan(_copies("Split", 1_500_000, [1] * 26 + [2] * 6))


@hostile("PlanNet")
def a_slice_of_very_many_tops() -> bytes:
    """Pieces of a shape of 32 axes."""
    net = _copies("Slice", 1_000_000, [1_000_000] + [1] * 31)
    net.layer[1].slice_param.axis = 0
    return _plan(net)


@hostile("PlanNet")
def a_slice_of_tops_within_the_limit() -> bytes:
    """So few that no count of them is over a limit."""
    net = _copies("Slice", 50_000, [50_000] + [1] * 31)
    net.layer[1].slice_param.axis = 0
    return _plan(net)


@hostile("PlanNet")
def an_input_of_very_many_tops() -> bytes:
    """One shape for all tops of an Input layer."""
    net = NetParameter()
    net.layer.add(name="data", type="Input", top=[str(top) for top in range(1_000_000)]).input_param.shape.add(
        dim=[1] * 32
    )
    return _plan(net)


@hostile("PlanNet")
def splits_of_splits() -> bytes:
    """Layers of two bytes of meaning, each with a shape of 32 axes."""
    net = NetParameter()
    net.layer.add(name="d", type="Input", top=["d"]).input_param.shape.add(dim=[1] * 32)
    for _ in range(60_000):
        net.layer.add(type="ReLU", bottom=["d"], top=["d"])
    return _plan(net)


# ---------------------------------------------------------------------------------------------------------------------
# Sequential work


@hostile("FillNet")
def a_recurrent_layer_of_very_many_steps() -> bytes:
    """Steps that draw next to nothing, of which there are two billion."""
    return _caffe(_recurrent(2**30)).SerializeToString()


@hostile("PlanNet")
def draws_of_very_many_steps() -> bytes:
    """The same, counted."""
    request = _plan_request(_recurrent(2**30))
    request.draws.stream = filler_pb2.CAFFE
    return request.SerializeToString()


def _recurrent(steps: int) -> NetParameter:
    net = NetParameter()
    data = net.layer.add(name="d", type="Input", top=["d", "c"])
    data.input_param.shape.add(dim=[steps, 1, 1])
    data.input_param.shape.add(dim=[steps, 1])
    layer = net.layer.add(name="r", type="RNN", bottom=["d", "c"], top=["r"])
    layer.recurrent_param.num_output = 1
    layer.recurrent_param.weight_filler.type = "uniform"
    last = net.layer.add(name="i", type="InnerProduct", bottom=["r"], top=["i"])
    last.inner_product_param.num_output = 1
    last.inner_product_param.weight_filler.type = "uniform"
    return net


def _large(kind: str) -> NetParameter:
    net = NetParameter()
    net.layer.add(name="d", type="Input", top=["d"]).input_param.shape.add(dim=[1, 2**30])
    layer = net.layer.add(name="i", type="InnerProduct", bottom=["d"], top=["i"])
    layer.inner_product_param.num_output = 1
    layer.inner_product_param.weight_filler.type = kind
    return net


def _last(count: int) -> list[filler_pb2.BlobSelection]:
    """The last value of the blob, so many times."""
    region = filler_pb2.Region(flat=filler_pb2.Range(start=2**30 - 1, stop=2**30))
    return [filler_pb2.BlobSelection(name="i/0", region=region)] * count


@hostile("FillNet")
def a_value_of_a_long_row_very_often() -> bytes:
    """One value of a row of a billion, ten thousand times."""
    net = _plan_request(_large("positive_unitball"))
    return filler_pb2.FillNetRequest(net=net, blobs=_last(10_000)).SerializeToString()


@hostile("FillNet")
def a_value_behind_very_many_very_often() -> bytes:
    """The last of a billion values of Caffe's, ten thousand times."""
    request = _caffe(_large("uniform"))
    request.blobs.extend(_last(10_000))
    return request.SerializeToString()


@hostile("Fill")
def a_value_behind_very_many_in_very_many_blobs() -> bytes:
    """The same of a Fill, where each blob is drawn from the seed on."""
    region = filler_pb2.Region(flat=filler_pb2.Range(start=2**30 - 1, stop=2**30))
    blob = filler_pb2.BlobSpec(filler=FillerParameter(type="uniform"), shape=BlobShape(dim=[2**30]), region=region)
    return filler_pb2.FillRequest(blobs=[blob] * 10_000, stream=filler_pb2.CAFFE).SerializeToString()


@hostile("Fill", at_once=4)
def a_value_of_a_large_orthogonal_matrix() -> bytes:
    """One value of the largest matrix that is allowed, which is computed whole for it."""
    return filler_pb2.FillRequest(blobs=[_orthogonal(2048)]).SerializeToString()


@hostile("Fill")
def a_value_of_an_immense_orthogonal_matrix() -> bytes:
    """One value of a matrix that would take terabytes."""
    return filler_pb2.FillRequest(blobs=[_orthogonal(1 << 20)]).SerializeToString()


@hostile("Fill")
def values_of_very_many_orthogonal_matrices() -> bytes:
    """One value of each of many matrices, all of which are kept until the call ends."""
    return filler_pb2.FillRequest(blobs=[_orthogonal(256)] * 63).SerializeToString()


def _orthogonal(side: int) -> filler_pb2.BlobSpec:
    region = filler_pb2.Region(flat=filler_pb2.Range(start=0, stop=1))
    return filler_pb2.BlobSpec(
        filler=FillerParameter(type="orthogonal"), shape=BlobShape(dim=[side] * 2), region=region
    )


@hostile("PlanNet")
def figures_of_very_many_rows() -> bytes:
    """Rows of as many lengths as there are layers, whose standard deviation is an integral."""
    net = NetParameter()
    net.layer.add(name="d", type="Input", top=["d"]).input_param.shape.add(dim=[1, 1])
    for index in range(3_000):
        layer = net.layer.add(name=str(index), type="InnerProduct", bottom=["d"], top=["d"])
        layer.inner_product_param.num_output = 2 + index
        layer.inner_product_param.bias_term = False
        layer.inner_product_param.weight_filler.type = "positive_unitball"
    return _plan(net)


def _caffe(net: NetParameter) -> filler_pb2.FillNetRequest:
    return filler_pb2.FillNetRequest(net=_plan_request(net), stream=filler_pb2.CAFFE)


# ---------------------------------------------------------------------------------------------------------------------


def _plan_request(net: NetParameter) -> filler_pb2.PlanNetRequest:
    return filler_pb2.PlanNetRequest(net=net.SerializeToString())


def _plan(net: NetParameter) -> bytes:
    return _plan_request(net).SerializeToString()


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
