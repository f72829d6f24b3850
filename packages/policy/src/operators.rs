//! The operators that a graph may have: those that exporters write for networks, each of which ends by itself.
//!
//! What is left out on purpose: loops (`Loop`, `Scan`, `SequenceMap` and the searches of com.microsoft), random numbers, which are no part of what a seed
//! decides, and texts and pictures in files' formats, which no policy is fed.

use std::collections::BTreeSet;

/// The operators that a graph may have: the shipped list, and what somebody allowed besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operators {
    /// `Operator` of ONNX, or `domain:Operator`.
    also: BTreeSet<String>,
}

impl Operators {
    /// The shipped list and these: `Loop`, `com.microsoft:BeamSearch`; `*` is any.
    ///
    /// # Errors
    /// When one of them is no name of an operator: which.
    pub fn also(names: &[String]) -> Result<Self, String> {
        let word = |part: &str, more: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let also = names.iter().filter(|name| !name.is_empty());
        for name in also.clone() {
            let (domain, operator) = name.rsplit_once(':').unwrap_or(("ai.onnx", name));
            if name != "*" && !(word(domain, "._-") && word(operator, "_")) {
                return Err(format!("'{name}' is no operator; expected its name, as Loop, or domain:name, or *"));
            }
        }
        Ok(Self { also: also.map(|name| name.strip_prefix("ai.onnx:").unwrap_or(name).to_owned()).collect() })
    }

    /// Whether a graph may have this one; ONNX's own domain is empty.
    pub fn allows(&self, domain: &str, name: &str) -> bool {
        let listed = match domain {
            "" => ONNX.contains(&name),
            "com.microsoft" => MICROSOFT.contains(&name),
            _ => false,
        };
        listed
            || self.also.contains("*")
            || self.also.contains(&if domain.is_empty() { name.to_owned() } else { format!("{domain}:{name}") })
    }
}

/// Of ONNX itself, up to opset 24.
const ONNX: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "AffineGrid",
    "And",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Attention",
    "AveragePool",
    "BatchNormalization",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "BlackmanWindow",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "CenterCropPad",
    "Clip",
    "Col2Im",
    "Compress",
    "Concat",
    "ConcatFromSequence",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "Cos",
    "Cosh",
    "CumSum",
    "DFT",
    "DeformConv",
    "DepthToSpace",
    "DequantizeLinear",
    "Det",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "Einsum",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "EyeLike",
    "Flatten",
    "Floor",
    "GRU",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GridSample",
    "GroupNormalization",
    "HammingWindow",
    "HannWindow",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "If",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LRN",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "LpPool",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "MaxRoiPool",
    "MaxUnpool",
    "Mean",
    "MeanVarianceNormalization",
    "MelWeightMatrix",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "NonMaxSuppression",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "RMSNormalization",
    "RNN",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "ReverseSequence",
    "RoiAlign",
    "RotaryEmbedding",
    "Round",
    "STFT",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "Shape",
    "Shrink",
    "Sigmoid",
    "Sign",
    "SimplifiedLayerNormalization",
    "Sin",
    "Sinh",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "SplitToSequence",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "TensorScatter",
    "ThresholdedRelu",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unique",
    "Unsqueeze",
    "Upsample",
    "Where",
    "Xor",
];

/// Of ONNX Runtime: what its optimiser and its quantisers write.
const MICROSOFT: &[&str] = &[
    "Attention",
    "BiasAdd",
    "BiasDropout",
    "BiasGelu",
    "BiasSoftmax",
    "BiasSplitGelu",
    "DecoderMaskedMultiHeadAttention",
    "DecoderMaskedSelfAttention",
    "DequantizeLinear",
    "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul",
    "EmbedLayerNormalization",
    "ExpandDims",
    "FastGelu",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "FusedMatMulActivation",
    "GatherBlockQuantized",
    "GatherND",
    "Gelu",
    "GemmFloat8",
    "GridSample",
    "GroupNorm",
    "GroupQueryAttention",
    "Inverse",
    "LongformerAttention",
    "MatMulBnb4",
    "MatMulFpQ4",
    "MatMulInteger16",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "MoE",
    "MultiHeadAttention",
    "NGramRepeatBlock",
    "NhwcConv",
    "NhwcFusedConv",
    "NhwcMaxPool",
    "PackedAttention",
    "PackedMultiHeadAttention",
    "Pad",
    "QAttention",
    "QEmbedLayerNormalization",
    "QGemm",
    "QLinearAdd",
    "QLinearAveragePool",
    "QLinearConcat",
    "QLinearConv",
    "QLinearGlobalAveragePool",
    "QLinearLeakyRelu",
    "QLinearMul",
    "QLinearReduceMean",
    "QLinearSigmoid",
    "QLinearSoftmax",
    "QLinearWhere",
    "QMoE",
    "QOrderedAttention",
    "QOrderedGelu",
    "QOrderedLayerNormalization",
    "QOrderedLongformerAttention",
    "QOrderedMatMul",
    "QuantizeLinear",
    "QuantizeWithOrder",
    "DequantizeWithOrder",
    "QuickGelu",
    "Range",
    "ReduceSumInteger",
    "RelativePositionBias",
    "RemovePadding",
    "RestorePadding",
    "RotaryEmbedding",
    "Rfft",
    "Irfft",
    "SimplifiedLayerNormalization",
    "SkipGroupNorm",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "SparseAttention",
    "Trilu",
    "Unique",
    "WordConvEmbedding",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_does_not_end_by_itself_or_draws_at_random_is_on_no_list() {
        let none = Operators::default();
        for name in [
            "Loop",
            "Scan",
            "SequenceMap",
            "RandomNormal",
            "RandomUniformLike",
            "Bernoulli",
            "Multinomial",
            "ImageDecoder",
        ] {
            assert!(!none.allows("", name) && !none.allows("com.microsoft", name), "{name}");
        }
        for name in
            ["BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch", "Tokenizer", "ConvTransposeWithDynamicPads"]
        {
            assert!(!none.allows("com.microsoft", name), "{name}");
        }
        assert!(
            none.allows("", "Conv")
                && none.allows("com.microsoft", "MatMulNBits")
                && !none.allows("ai.onnx.ml", "Scaler")
        );
    }

    #[test]
    fn more_can_be_allowed_by_name() {
        let also = |names: &[&str]| Operators::also(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        let some = also(&["Loop", "com.microsoft:BeamSearch", "ai.onnx:Scan", ""]).unwrap();
        assert!(some.allows("", "Loop") && some.allows("", "Scan") && some.allows("com.microsoft", "BeamSearch"));
        assert!(!some.allows("com.microsoft", "Loop") && !some.allows("", "Bernoulli"));
        assert!(also(&["*"]).unwrap().allows("my.own", "Thing"));
        for wrong in ["a b", ":Loop", "x:", "Lo\u{202e}op"] {
            assert!(also(&[wrong]).unwrap_err().contains("no operator"), "{wrong}");
        }
    }
}
