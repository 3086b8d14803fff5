"""Write the nets of this folder that repeat themselves too often to be typed: ``python tests/nets/generate.py``.

The tables (widths, depths, names) are those of the papers named in each net's heading and of the Caffe releases
that go with them. What is printed is committed; ``test_generated.py`` holds the two equal.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

CONSTANT = 'type: "constant"'
GAUSSIAN = 'type: "gaussian"  std: 0.01'
MSRA = 'type: "msra"'
XAVIER = 'type: "xavier"'


class Net:
    """The text of one net, layer by layer. Every method that adds a layer returns the name of its top."""

    def __init__(self, name: str, *about: str, weight: str = "", bias: str = CONSTANT, train: bool = False) -> None:
        self.text = "".join(f"# {line}\n" for line in about) + f'\nname: "{name}"\n'
        self.weight, self.bias, self.train = weight, bias, train

    def comment(self, line: str) -> None:
        self.text += f"\n# {line}\n"

    def layer(self, name: str, kind: str, bottoms: str, *body: str, top: str = "") -> str:
        """Add a layer, on one line if it fits; spaces part its bottoms, its top has its name if no other is given."""
        tops = top or name
        head = [f'name: "{name}"  type: "{kind}"']
        head += [f'bottom: "{bottom}"' for bottom in bottoms.split()] + [f'top: "{top}"' for top in tops.split()]
        if len("  ".join(head)) < 110:
            head = ["  ".join(head)]
        if body or len(head) > 1:
            lines = "\n".join([*head, *body]).replace("\n", "\n  ")
            self.text += f"layer {{\n  {lines}\n}}\n"
        else:
            self.text += f"layer {{ {head[0]} }}\n"
        return tops

    def _learned(self, name: str, kind: str, bottom: str, size: str, weight: str, bias: str) -> str:
        """Add a layer with weights: learning rates where the net is for training, fillers where it has any."""
        message = {"Convolution": "convolution_param", "InnerProduct": "inner_product_param"}[kind]
        rates = ["param { lr_mult: 1  decay_mult: 1 }", "param { lr_mult: 2  decay_mult: 0 }"] if self.train else []
        if not weight:
            return self.layer(name, kind, bottom, *rates, f"{message} {{ {size} }}")
        fillers = f"\n  weight_filler {{ {weight} }}" + (f"\n  bias_filler {{ {bias} }}" if bias else "")
        return self.layer(name, kind, bottom, *rates, f"{message} {{\n  {size}{fillers}\n}}")

    def conv(self, name: str, bottom: str, num_output: int, kernel_size: int, more: str = "", weight: str = "") -> str:
        size = f"num_output: {num_output}  kernel_size: {kernel_size}  {more}".rstrip()
        bias = "" if "bias_term: false" in more else self.bias
        return self._learned(name, "Convolution", bottom, size, weight or self.weight, bias)

    def inner_product(self, name: str, bottom: str, num_output: int, weight: str = "", bias: str = "") -> str:
        size = f"num_output: {num_output}"
        return self._learned(name, "InnerProduct", bottom, size, weight or self.weight, bias or self.bias)

    def relu(self, name: str, bottom: str) -> str:
        return self.layer(name, "ReLU", bottom, top=bottom)

    def add(self, name: str, one: str, other: str) -> str:
        return self.layer(name, "Eltwise", f"{one} {other}", "eltwise_param { operation: SUM }")

    def dropout(self, name: str, bottom: str, ratio: float = 0.5) -> str:
        return self.layer(name, "Dropout", bottom, f"dropout_param {{ dropout_ratio: {ratio} }}", top=bottom)

    def pool(self, name: str, bottom: str, how: str) -> str:
        return self.layer(name, "Pooling", bottom, f"pooling_param {{ pool: {how} }}")

    def norm(self, name: str, bottom: str) -> str:
        return self.layer(name, "LRN", bottom, "lrn_param { local_size: 5  alpha: 0.0001  beta: 0.75 }")

    def input(self, *shape: int) -> str:
        self.comment("Images.")
        dims = "  ".join(f"dim: {dim}" for dim in shape)
        return self.layer("data", "Input", "", f"input_param {{ shape {{ {dims} }} }}")

    def imagenet(self, crop: int, train_batch: int, test_batch: int) -> str:
        """Add the two ImageNet layers, one for each phase."""
        self.comment("ImageNet, in BGR, less its mean color.")
        mean = "mean_value: 104  mean_value: 117  mean_value: 123"
        for phase, mirror, part, batch in [
            ("TRAIN", "true", "train", train_batch),
            ("TEST", "false", "val", test_batch),
        ]:
            rule = f"include {{ phase: {phase} }}"
            transform = f"transform_param {{ crop_size: {crop}  mirror: {mirror}  {mean} }}"
            source = f'data_param {{ source: "ilsvrc12_{part}_lmdb"  backend: LMDB  batch_size: {batch} }}'
            self.layer("data", "Data", "", rule, transform, source, top="data label")
        return "data"

    def judge(self, scores: str, loss: str, top1: str, top5: str, *, loss_top: str = "", weight: float = 1) -> None:
        """Add the loss, and for testing the share of images whose label is first, or among the first five."""
        body = [f"loss_weight: {weight}"] if weight != 1 else []
        self.layer(loss, "SoftmaxWithLoss", f"{scores} label", *body, top=loss_top)
        self.layer(top1, "Accuracy", f"{scores} label", "include { phase: TEST }")
        self.layer(top5, "Accuracy", f"{scores} label", "include { phase: TEST }", "accuracy_param { top_k: 5 }")


INCEPTION = {  # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(*, train: bool) -> Net:
    """Build GoogLeNet; for training with its two auxiliary classifiers."""
    about = "13,378,280 parameters, auxiliary classifiers included." if train else "6,998,552 parameters."
    paper = 'GoogLeNet: Szegedy et al. 2015, "Going deeper with convolutions".'
    net = Net("GoogLeNet", paper, about, weight=XAVIER, bias=f"{CONSTANT}  value: 0.2", train=train)

    def conv(group: str, name: str, bottom: str, num_output: int, kernel_size: int, more: str = "") -> str:
        short = name.removesuffix("_s2")
        return net.relu(f"{group}/relu_{short}", net.conv(f"{group}/{name}", bottom, num_output, kernel_size, more))

    def classifier(head: str, bottom: str) -> str:
        return net.inner_product(f"{head}/classifier", bottom, 1000, bias=CONSTANT)

    def auxiliary(head: str, bottom: str) -> None:
        net.comment(f"Auxiliary classifier {head}: keeps the gradient alive half-way down.")
        x = net.pool(f"{head}/ave_pool", bottom, "AVE  kernel_size: 5  stride: 3")
        x = net.relu(f"{head}/relu_conv", net.conv(f"{head}/conv", x, 128, 1))
        x = net.relu(f"{head}/relu_fc", net.inner_product(f"{head}/fc", x, 1024))
        x = classifier(head, net.dropout(f"{head}/drop_fc", x, 0.7))
        net.judge(x, f"{head}/loss", f"{head}/top-1", f"{head}/top-5", loss_top=f"{head}/{head}", weight=0.3)

    x = net.imagenet(224, 32, 50) if train else net.input(10, 3, 224, 224)
    net.comment("224 -> 112 -> 56 -> 28 pixels.")
    x = conv("conv1", "7x7_s2", x, 64, 7, "stride: 2  pad: 3")
    x = net.norm("pool1/norm1", net.pool("pool1/3x3_s2", x, "MAX  kernel_size: 3  stride: 2"))
    x = conv("conv2", "3x3_reduce", x, 64, 1)
    x = conv("conv2", "3x3", x, 192, 3, "pad: 1")
    x = net.pool("pool2/3x3_s2", net.norm("conv2/norm2", x), "MAX  kernel_size: 3  stride: 2")
    for stage, (one, three_reduce, three, five_reduce, five, projection) in INCEPTION.items():
        if stage in ("4a", "5a"):
            x = net.pool(f"pool{int(stage[0]) - 1}/3x3_s2", x, "MAX  kernel_size: 3  stride: 2")
        net.comment(f"Inception {stage}: {one} + {three} + {five} + {projection} channels.")
        group = f"inception_{stage}"
        a = conv(group, "1x1", x, one, 1)
        b = conv(group, "3x3", conv(group, "3x3_reduce", x, three_reduce, 1), three, 3, "pad: 1")
        c = conv(group, "5x5", conv(group, "5x5_reduce", x, five_reduce, 1), five, 5, "pad: 2")
        d = net.pool(f"{group}/pool", x, "MAX  kernel_size: 3  stride: 1  pad: 1")
        d = conv(group, "pool_proj", d, projection, 1)
        x = net.layer(f"{group}/output", "Concat", f"{a} {b} {c} {d}")
        if train and stage in ("4a", "4d"):
            auxiliary({"4a": "loss1", "4d": "loss2"}[stage], x)
    net.comment("Classifier.")
    x = net.dropout("pool5/drop_7x7_s1", net.pool("pool5/7x7_s1", x, "AVE  kernel_size: 7  stride: 1"), 0.4)
    x = classifier("loss3", x)
    if train:
        net.judge(x, "loss3/loss3", "loss3/top-1", "loss3/top-5")
    else:
        net.layer("prob", "Softmax", x)
    return net


def normalized(net: Net, bottom: str, batch_norm: str, scale: str, relu: str = "") -> str:
    """Add BatchNorm, Scale and, if it is named, ReLU, all in place."""
    net.layer(batch_norm, "BatchNorm", bottom, top=bottom)
    net.layer(scale, "Scale", bottom, "scale_param { bias_term: true }", top=bottom)
    return net.relu(relu, bottom) if relu else bottom


def resnet(depth: int, blocks: tuple[int, int, int, int], about: str) -> Net:
    """Build a residual net of bottlenecks; in deep ones the blocks of stages 3 and 4 are numbered b1, b2, ..."""
    paper = f'ResNet-{depth}: He et al. 2016, "Deep residual learning for image recognition".'
    note = "Each block's stride is in its first 1x1 convolution."
    net = Net(f"ResNet-{depth}", paper, note, about, weight=MSRA)
    x = net.input(1, 3, 224, 224)
    net.comment("224 -> 112 -> 56 pixels.")
    bias = "" if depth == 50 else "  bias_term: false"  # as released
    x = net.conv("conv1", x, 64, 7, f"stride: 2  pad: 3{bias}")
    x = normalized(net, x, "bn_conv1", "scale_conv1", "conv1_relu")
    x = net.pool("pool1", x, "MAX  kernel_size: 3  stride: 2")

    def branch(block: str, name: str, bottom: str, num_output: int, kernel_size: int, more: str, *, relu: bool) -> str:
        layer = f"{block}_branch{name}"
        x = net.conv(f"res{layer}", bottom, num_output, kernel_size, f"{more}bias_term: false")
        return normalized(net, x, f"bn{layer}", f"scale{layer}", f"res{layer}_relu" if relu else "")

    for stage, count in enumerate(blocks, start=2):
        width = 32 << (stage - 1)
        numbered = stage in (3, 4) and depth > 50
        for index in range(count):
            block = f"{stage}a" if index == 0 else f"{stage}b{index}" if numbered else f"{stage}{'abcdef'[index]}"
            stride = "stride: 2  " if index == 0 and stage > 2 else ""
            net.comment(f"Block {block}: {width} -> {width} -> {4 * width} channels.")
            shortcut = branch(block, "1", x, 4 * width, 1, stride, relu=False) if index == 0 else x
            x = branch(block, "2a", x, width, 1, stride, relu=True)
            x = branch(block, "2b", x, width, 3, "pad: 1  ", relu=True)
            x = branch(block, "2c", x, 4 * width, 1, "", relu=False)
            x = net.relu(f"res{block}_relu", net.add(f"res{block}", shortcut, x))
    net.comment("Classifier.")
    x = net.pool("pool5", x, "AVE  kernel_size: 7  stride: 1")
    net.layer("prob", "Softmax", net.inner_product("fc1000", x, 1000, weight=GAUSSIAN))
    return net


def squeezenet(version: str, *, train: bool = False) -> Net:
    """Build SqueezeNet 1.0 or 1.1, which pools earlier and so needs a fraction of the work."""
    paper = f'SqueezeNet {version}: Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters'
    rest = 'and <0.5MB model size". ' + {"1.0": "1,248,424", "1.1": "1,235,496"}[version] + " parameters."
    net = Net(f"SqueezeNet_v{version}", paper, rest, weight=XAVIER, train=train)
    x = net.imagenet(227, 32, 25) if train else net.input(10, 3, 227, 227)
    width, kernel_size, pooled = {"1.0": (96, 7, (1, 4, 8)), "1.1": (64, 3, (1, 3, 5))}[version]
    net.comment("227 pixels, halved by conv1 and by each pooling.")
    x = net.relu("relu_conv1", net.conv("conv1", x, width, kernel_size, "stride: 2"))
    for fire in range(1, 10):
        if fire > 1:
            squeeze = 16 * (fire // 2)
            group = f"fire{fire}"
            net.comment(f"Fire {fire}: squeeze to {squeeze} channels, expand to {4 * squeeze} + {4 * squeeze}.")
            x = net.relu(f"{group}/relu_squeeze1x1", net.conv(f"{group}/squeeze1x1", x, squeeze, 1))
            one = net.relu(f"{group}/relu_expand1x1", net.conv(f"{group}/expand1x1", x, 4 * squeeze, 1))
            three = net.relu(f"{group}/relu_expand3x3", net.conv(f"{group}/expand3x3", x, 4 * squeeze, 3, "pad: 1"))
            x = net.layer(f"{group}/concat", "Concat", f"{one} {three}")
        if fire in pooled:
            x = net.pool(f"pool{fire}", x, "MAX  kernel_size: 3  stride: 2")
    net.comment("Classifier: a convolution, averaged over the plane.")
    x = net.conv("conv10", net.dropout("drop9", x), 1000, 1, "pad: 1" if version == "1.0" else "", weight=GAUSSIAN)
    x = net.pool("pool10", net.relu("relu_conv10", x), "AVE  global_pooling: true")
    if train:
        net.judge(x, "loss", "accuracy", "accuracy_top5")
    else:
        net.layer("prob", "Softmax", x)
    return net


def mobilenet() -> Net:
    """Build MobileNet v1 at full width and 224 pixels."""
    paper = 'MobileNet: Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile vision".'
    note = "Width 1.0. A depthwise convolution is one whose group is its num_output; Caffe's own engine runs it faster."
    count = "4,253,891 parameters, BatchNorm's mean, variance and factor included."
    net = Net("MobileNet", paper, note, count, weight=MSRA)
    x = net.input(1, 3, 224, 224)
    net.comment("224 -> 112 pixels.")
    x = net.conv("conv0", x, 32, 3, "stride: 2  pad: 1  bias_term: false")
    x = normalized(net, x, "conv0/bn", "conv0/scale", "relu0")
    widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    for index, (width, after) in enumerate(pairwise(widths), start=1):
        name = f"conv{index}"
        stride = "stride: 2  " if index in (2, 4, 6, 12) else ""
        net.comment(f"Depthwise separable convolution {index}: {width} -> {after} channels.")
        more = f"{stride}pad: 1  group: {width}  engine: CAFFE  bias_term: false"
        x = net.conv(f"{name}/dw", x, width, 3, more)
        x = normalized(net, x, f"{name}/dw/bn", f"{name}/dw/scale", f"relu{index}/dw")
        x = net.conv(name, x, after, 1, "bias_term: false")
        x = normalized(net, x, f"{name}/bn", f"{name}/scale", f"relu{index}")
    net.comment("Classifier: an inner product, written as a convolution over one pixel.")
    net.layer("prob", "Softmax", net.conv("fc", net.pool("pool", x, "AVE  global_pooling: true"), 1000, 1))
    return net


def vgg16_trunk(net: Net, x: str, first_pad: int = 1) -> dict[str, str]:
    """Add the thirteen convolutions and five poolings of VGG-16; the tops of the poolings by name."""
    tops = {}
    for stage, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
        net.comment(f"Stage {stage}: {count} x {width} channels.")
        for index in range(1, count + 1):
            pad = first_pad if stage == index == 1 else 1
            x = net.relu(f"relu{stage}_{index}", net.conv(f"conv{stage}_{index}", x, width, 3, f"pad: {pad}"))
        x = tops[f"pool{stage}"] = net.pool(f"pool{stage}", x, "MAX  kernel_size: 2  stride: 2")
    return tops


def vgg16(*, train: bool) -> Net:
    """Build VGG-16, configuration D; for deployment without fillers."""
    paper = 'VGG-16: Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image recognition",'
    about = [paper, "configuration D. 138,357,544 parameters."]
    if not train:
        about.append("Without fillers: its weights come from a file, and a blob that none fills is zero.")
    net = Net("VGG_ILSVRC_16_layers", *about, weight=GAUSSIAN if train else "", train=train)
    x = vgg16_trunk(net, net.imagenet(224, 64, 50) if train else net.input(10, 3, 224, 224))["pool5"]
    net.comment("Classifier: 25088 -> 4096 -> 4096 -> 1000.")
    for index in (6, 7):
        x = net.dropout(f"drop{index}", net.relu(f"relu{index}", net.inner_product(f"fc{index}", x, 4096)))
    x = net.inner_product("fc8", x, 1000)
    if train:
        net.judge(x, "loss", "accuracy", "accuracy_top5")
    else:
        net.layer("prob", "Softmax", x)
    return net


def fcn(stride: int, about: str) -> Net:
    """Build FCN-32s or FCN-8s for the 21 classes of PASCAL VOC."""
    classes = 21
    paper = f'FCN-{stride}s: Long, Shelhamer & Darrell 2015, "Fully convolutional networks for semantic segmentation".'
    note = "VGG-16 with convolutions for inner products, padded so far that the result can be cut to any image's size."
    net = Net(f"FCN-{stride}s", paper, note, about, weight=GAUSSIAN)
    pools = vgg16_trunk(net, net.input(1, 3, 500, 500), first_pad=100)

    def score(name: str, bottom: str) -> str:
        return net.conv(name, bottom, classes, 1, weight=CONSTANT)

    def enlarge(name: str, bottom: str, times: int) -> str:
        size = f"num_output: {classes}  group: {classes}  kernel_size: {2 * times}  stride: {times}  bias_term: false"
        body = f'convolution_param {{\n  {size}\n  weight_filler {{ type: "bilinear" }}\n}}'
        return net.layer(name, "Deconvolution", bottom, "param { lr_mult: 0 }", body)

    def crop(name: str, bottom: str, like: str, offset: int) -> str:
        return net.layer(name, "Crop", f"{bottom} {like}", f"crop_param {{ axis: 2  offset: {offset} }}")

    net.comment("fc6 and fc7 as convolutions; score layers start at zero, each class is enlarged by itself (group).")
    x = net.dropout("drop6", net.relu("relu6", net.conv("fc6", pools["pool5"], 4096, 7)))
    x = score("score_fr", net.dropout("drop7", net.relu("relu7", net.conv("fc7", x, 4096, 1))))
    if stride == 32:
        crop("score", enlarge("upscore", x, 32), "data", 19)
        return net
    net.comment("Stride 16: add what pool4 sees.")
    x = enlarge("upscore2", x, 2)
    x = net.add("fuse_pool4", x, crop("score_pool4c", score("score_pool4", pools["pool4"]), x, 5))
    net.comment("Stride 8: add what pool3 sees.")
    x = enlarge("upscore_pool4", x, 2)
    x = net.add("fuse_pool3", x, crop("score_pool3c", score("score_pool3", pools["pool3"]), x, 9))
    crop("score", enlarge("upscore8", x, 8), "data", 31)
    return net


def nets() -> Iterator[tuple[str, str]]:
    """Yield the file name and the text of every net made here."""
    statistics = "BatchNorm's mean, variance and factor included"
    made = {
        "googlenet_deploy": googlenet(train=False),
        "googlenet_train_val": googlenet(train=True),
        "resnet50": resnet(50, (3, 4, 6, 3), f"25,610,269 parameters, {statistics}; conv1 has a bias here."),
        "resnet101": resnet(101, (3, 4, 23, 3), f"44,654,608 parameters, {statistics}."),
        "resnet152": resnet(152, (3, 8, 36, 3), f"60,344,387 parameters, {statistics}."),
        "squeezenet_v1_0": squeezenet("1.0"),
        "squeezenet_v1_1_deploy": squeezenet("1.1"),
        "squeezenet_v1_1_train_val": squeezenet("1.1", train=True),
        "mobilenet_v1": mobilenet(),
        "vgg16_deploy": vgg16(train=False),
        "vgg16_train_val": vgg16(train=True),
        "fcn32s": fcn(32, "134,432,597 parameters, 86,016 of them in the fixed bilinear enlargement."),
        "fcn8s": fcn(8, "134,368,799 parameters, 6,048 of them in the fixed bilinear enlargements."),
    }
    for name, net in made.items():
        yield f"{name}.prototxt", net.text


if __name__ == "__main__":
    for file_name, text in nets():
        (Path(__file__).parent / file_name).write_text(text, encoding="utf-8")
