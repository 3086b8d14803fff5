"""One exported model in OpenCV, against what ONNX Runtime has computed; a process of its own, as it may end early.

Arguments are the model and an .npz of `in:<input>` and `out:<output>`. One line is printed: the largest error in units
of the largest value of its top, or why there is none.
"""

import re
import sys

import cv2
import numpy as np


def main() -> None:
    path, arrays = sys.argv[1], np.load(sys.argv[2])
    outputs = [name.removeprefix("out:") for name in arrays.files if name.startswith("out:")]
    try:
        net = cv2.dnn.readNetFromONNX(path)
        for name in arrays.files:
            if name.startswith("in:"):
                net.setInput(np.ascontiguousarray(arrays[name]), name.removeprefix("in:"))
        found = net.forward(outputs)
    except cv2.error as error:
        # The innermost reason, without where in its sources.
        reasons = re.findall(r"error: \([^)]*\) (.*)", str(error))
        print("refused:", (reasons or ["?"])[-1][:45])
        return
    worst = 0.0
    for name, got in zip(outputs, found, strict=True):
        want = arrays[f"out:{name}"]
        if got.size != want.size:
            print(f"wrong shape of '{name}': {got.shape} for {want.shape}")
            return
        # It has an axis where ONNX has none.
        error = np.abs(got.reshape(want.shape) - want).max(initial=0)
        worst = max(worst, float(error / max(np.abs(want).max(initial=0), 1e-30)))
    print("computed" if worst <= 1e-4 else "wrong", f"{worst:.3g}")


if __name__ == "__main__":
    main()
