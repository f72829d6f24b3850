//! Whether an ONNX graph keeps tensors in other files.
//!
//! ONNX Runtime would look for these in the working directory of the process when a graph is loaded from memory: what runs would not be what was hashed. Reads just
//! enough of the protobuf encoding (`onnx.proto`): which fields hold graphs, nodes, attributes and tensors, and `TensorProto.data_location`.

/// What a stretch of bytes encodes.
#[derive(Debug, Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    Tensor,
    SparseTensor,
}

impl Message {
    /// What a field of it holds, if that can hold tensors.
    fn field(self, number: u64) -> Option<Self> {
        match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Node, 5) => Some(Self::Attribute),
            _ => None,
        }
    }
}

/// Whether a tensor of the graph lies in another file. Bytes that are no graph hold none: the runtime refuses them.
pub(crate) fn has_external_data(graph: &[u8]) -> bool {
    found(graph, Message::Model, 0).unwrap_or(false)
}

/// None where the bytes are not what they should be.
fn found(mut bytes: &[u8], message: Message, depth: usize) -> Option<bool> {
    /// Graphs within graphs: loops and branches. Deeper ones are let be, and refused by the runtime.
    const DEEPEST: usize = 64;
    const EXTERNAL: u64 = 1;
    const DATA_LOCATION: u64 = 14;
    if depth > DEEPEST {
        return None;
    }
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let (number, wire) = (tag >> 3, tag & 7);
        match wire {
            0 => {
                let value = varint(&mut bytes)?;
                if matches!(message, Message::Tensor) && number == DATA_LOCATION && value == EXTERNAL {
                    return Some(true);
                }
            }
            1 => bytes = bytes.get(8..)?,
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let (inner, rest) = bytes.split_at_checked(len)?;
                if let Some(what) = message.field(number)
                    && found(inner, what, depth + 1)?
                {
                    return Some(true);
                }
                bytes = rest;
            }
            5 => bytes = bytes.get(4..)?,
            _ => return None,
        }
    }
    Some(false)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn weights_in_another_file_are_seen_and_those_in_the_graph_are_not() {
        assert!(has_external_data(&fixture("odd/encode_external.onnx")));
        for whole in ["flow/encode.onnx", "flow/step.onnx", "tokens/decode.onnx", "encoders/tiny/model.onnx"] {
            assert!(!has_external_data(&fixture(whole)), "{whole}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            has_external_data(&bytes);
        }

        #[test]
        fn a_graph_that_is_cut_off_or_changed_is_read_to_an_end(cut in 0usize..400, place in 0usize..400, byte: u8) {
            let mut bytes = fixture("odd/encode_external.onnx");
            let place = place % bytes.len();
            bytes[place] = byte;
            bytes.truncate(cut.max(1));
            has_external_data(&bytes);
        }
    }
}
