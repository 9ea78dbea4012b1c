"""The operators that a bundle's graphs may have: what networks compute with, and nothing that decides for how long.

Tensors in, tensors out, in a time that their sizes tell: all of standard ONNX but what is left out below, what
onnxruntime's quantization and optimizer write, and its classical models. Left out: Loop, Scan and SequenceMap (how
often they run is a number in the file), texts and encoded pictures (parsers that no network needs), chance
(bundle/calls.py), whatever is in nobody's list. A user who trusts a bundle's maker allows more by name:
`--allow-operators Loop,Scan`, or $EDGELINE_ALLOW_OPERATORS.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

__all__ = ["ALLOW_OPERATORS", "check_operators"]

ALLOW_OPERATORS = "EDGELINE_ALLOW_OPERATORS"

_STANDARD = """
Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BitCast
BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike CausalConvWithState Ceil Celu
CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos
Cosh CumProd CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal
Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool
GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish
Hardmax Identity If InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual
LinearAttention Log LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean
MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Neg NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not
OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear
RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scatter
ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength
Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split
SplitToSequence Sqrt Squeeze Sub Sum SwiGLU Swish Tan Tanh TensorScatter ThresholdedRelu Tile TopK Transpose Trilu
Unique Unsqueeze Upsample Where Xor
"""
# Of ONNX before version 1.5 and of onnxruntime's own, in the same domain.
_STANDARD_MORE = "Affine Crop DynamicSlice ImageScaler ParametricSoftplus Scale ScaledTanh SimplifiedLayerNormalization"
_MICROSOFT = """
Attention BiasAdd BiasGelu BiasSoftmax BiasSplitGelu CDist ComplexMul ComplexMulConj ConvTransposeWithDynamicPads
CropAndResize DequantizeLinear DequantizeWithOrder DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization
ExpandDims FastGelu FusedConv FusedGemm FusedMatMul FusedMatMulActivation GatherBlockQuantized GatherND Gelu
GemmFastGelu GemmFloat8 GemmaRotaryEmbedding GridSample GroupNorm GroupQueryAttention Inverse Irfft
LayerNormalization LongformerAttention MatMulBnb4 MatMulFpQ4 MatMulInteger16 MatMulIntegerToFloat MatMulNBits
MaxpoolWithMask MulInteger MultiHeadAttention NhwcConv NhwcFusedConv NhwcMaxPool PackedAttention
PackedMultiHeadAttention Pad QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat
QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax
QLinearWhere QMoE QuantizeBFP QuantizeLinear QuickGelu ReduceSumInteger RelativePositionBias RemovePadding
RestorePadding Rfft RotaryEmbedding SimplifiedLayerNormalization SkipGroupNorm SkipLayerNormalization
SkipSimplifiedLayerNormalization SparseAttention SparseToDenseMatMul TransposeMatMul Trilu Unique WordConvEmbedding
"""
_BLOCKED = """
AveragePool Conv GlobalAveragePool GlobalMaxPool MaxPool QLinearConv ReorderInput ReorderOutput Upsample
"""
_CLASSICAL = """
ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder
LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble
TreeEnsembleClassifier TreeEnsembleRegressor ZipMap
"""
_ALLOWED: Mapping[str, frozenset[str]] = {
    "": frozenset(f"{_STANDARD} {_STANDARD_MORE}".split()),
    "com.microsoft": frozenset(_MICROSOFT.split()),
    "com.microsoft.nchwc": frozenset(_BLOCKED.split()),
    "com.ms.internal.nhwc": frozenset(f"{_STANDARD} {_BLOCKED}".split()),
    "ai.onnx.ml": frozenset(_CLASSICAL.split()),
}


def check_operators(found: Iterable[tuple[bytes, bytes]], allowed: str | None = None) -> None:
    """Check operators, each as its domain and its name. Raises ValueError with those that a bundle may not have.

    `allowed`: further names, between commas; None: those of the environment.
    """
    more = os.environ.get(ALLOW_OPERATORS, "") if allowed is None else allowed
    further = {name.strip() for name in more.split(",")}
    strange = sorted(
        name if not domain else f"{domain}::{name}"
        for domain, name in (_texts(one) for one in found)
        if name not in _ALLOWED.get(domain, ()) and not {name, f"{domain}::{name}"} & further
    )
    if strange:
        words = ",".join(name[:80] for name in strange[:5]) + " and more" * (len(strange) > 5)
        raise ValueError(
            f"it has operators that no bundle may have unless they are allowed by name ({words!r}): if you trust who "
            f"made it, add --allow-operators with their names, or set {ALLOW_OPERATORS}"
        )


def _texts(operator: tuple[bytes, bytes]) -> tuple[str, str]:
    domain, name = (part.decode("utf-8", "backslashreplace") for part in operator)
    return domain, name
