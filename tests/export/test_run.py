"""What is told of onnxruntime's messages."""

from edge_export.run import one_line


def test_a_temporary_files_name_is_not_quoted():
    found = one_line(
        RuntimeError(
            "[ONNXRuntimeError] : 1 : FAIL : Load model from /some where/tmp4.onnx failed:Fatal error: x(1) is no op"
        )
    )
    assert found == "Fatal error: x(1) is no op"
