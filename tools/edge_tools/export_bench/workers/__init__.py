"""Scripts that run in other exporters' virtual environments: `SCRIPT MODEL CALIBRATION.npz OUTPUT.onnx OPTIONS`.

MODEL is the FP32 graph, CALIBRATION.npz holds one array [samples, ...] per input, pre-processed already, OPTIONS is a
JSON object. They import nothing of edgeline and exit with a status other than 0 when they fail.
"""
