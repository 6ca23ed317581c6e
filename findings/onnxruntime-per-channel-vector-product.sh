#!/usr/bin/env bash
# onnxruntime 1.32.0 (onnx 1.23.2, Python 3.11), run 2026-11-30: a quantized model that cannot be run.
# Expected: quantize_dynamic with per_channel=True quantizes what it can and leaves the rest, so that the model runs as without it.
# Seen: the product of a matrix with a constant vector, as of a layer with one output, is quantized with one zero point for each
# of the vector's numbers. quantize_dynamic reports nothing, and the model loads; `run` fails. With per_channel=False it runs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2
cat > quantize.py <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

vector = numpy_helper.from_array(np.linspace(-1, 1, 8, dtype=np.float32), "vector")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["rows", "vector"], ["products"], name="product")],
    "graph",
    [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 8])],
    [helper.make_tensor_value_info("products", TensorProto.FLOAT, ["n"])],
    [vector],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "plain.onnx")
rows = np.ones((2, 8), np.float32)
seen = []
for per_channel in (False, True):
    quantize_dynamic("plain.onnx", "quantized.onnx", per_channel=per_channel)
    session = onnxruntime.InferenceSession("quantized.onnx")
    try:
        session.run(None, {"rows": rows})
        seen.append("runs")
    except Exception as error:
        seen.append("zero point" if "zero point" in str(error) else f"another error: {error}")
print(f"per_channel=False: {seen[0]}; per_channel=True: {seen[1]}")
if seen != ["runs", "zero point"]:
    raise SystemExit("this has changed")
PY
venv/bin/python quantize.py 2> log || { cat log; exit 1; }
