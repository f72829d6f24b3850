//! What an ONNX graph is made of, seen before ONNX Runtime sees it.
//!
//! A graph comes from elsewhere. Three things of it are refused here: what cannot be read to its end, tensors in other files (ONNX Runtime would look for
//! these in the working directory of the process when a graph is loaded from memory: what runs would not be what was hashed), and operators that are not
//! on the list (loops without an end, random numbers, files and texts). Reads just enough of the protobuf encoding (`onnx.proto`): which fields hold
//! graphs, nodes, attributes and tensors, and names. Subgraphs, functions and graphs for training are looked through as well.

use crate::operators::Operators;
use efm_core::reading::wrong_name;
use std::collections::{BTreeMap, BTreeSet};

/// What a stretch of bytes encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Training,
    Graph,
    Node,
    Attribute,
    Function,
    Tensor,
    SparseTensor,
    Value,
}

/// What a field of a message is.
enum Field {
    /// Of a message that is looked into.
    Of(Message),
    /// A name, for people to read.
    Name,
    /// Anything else.
    Other,
}

impl Message {
    fn field(self, number: u64) -> Field {
        match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::Training, 1 | 2) => Field::Of(Self::Graph),
            (Self::Model, 20) => Field::Of(Self::Training),
            (Self::Model, 25) => Field::Of(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Field::Of(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Field::Of(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Field::Of(Self::SparseTensor),
            (Self::Graph, 11..=13) => Field::Of(Self::Value),
            (Self::Node, 5) | (Self::Function, 11) => Field::Of(Self::Attribute),
            (Self::Node, 1..=4 | 7) | (Self::Graph, 2) | (Self::Value | Self::Attribute, 1) => Field::Name,
            (Self::Tensor, 8) | (Self::Function, 1 | 4..=6 | 10) => Field::Name,
            _ => Field::Other,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Training => "graph for training",
            Self::Graph => "graph",
            Self::Node => "node",
            Self::Attribute => "attribute",
            Self::Function => "function",
            Self::Tensor => "tensor",
            Self::SparseTensor => "sparse tensor",
            Self::Value => "value",
        }
    }
}

/// Why a graph is refused, in words that follow its file's name. Bytes that are no graph are no graph: nothing is left for the runtime to find out.
pub(crate) fn check(graph: &[u8], allowed: &Operators) -> Result<(), String> {
    let mut found = Found::default();
    found.look(graph, Message::Model, 0)?;
    if !found.has_graph {
        return Err("holds no graph; expected an ONNX model".to_owned());
    }
    if found.external {
        let problem = "keeps weights in another file, which has no hash here; expected one file that holds them all";
        return Err(problem.to_owned());
    }
    let strange: Vec<String> = (found.operators.iter())
        .filter(|((domain, name), _)| !allowed.allows(domain, name) && !found.functions.contains(&(*domain, *name)))
        .map(|((domain, name), node)| {
            let operator = if domain.is_empty() { (*name).to_owned() } else { format!("{domain}:{name}") };
            if node.is_empty() { format!("'{operator}'") } else { format!("'{operator}' (node '{node}')") }
        })
        .collect();
    if strange.is_empty() {
        return Ok(());
    }
    const TOLD: usize = 5;
    let more = if strange.len() > TOLD { format!(" and {} more", strange.len() - TOLD) } else { String::new() };
    let list = strange.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
    Err(format!(
        "uses operators that are not on the list of those that cannot run without an end: {list}{more}; export it without them, or name them in the \
         parameter 'allow_operators' of vla_inference (--allow-operator of `efm policy check`) if you trust whoever made it"
    ))
}

/// What there is in a model. Texts are parts of its bytes.
#[derive(Default)]
struct Found<'a> {
    has_graph: bool,
    external: bool,
    /// By domain and name, with the first node that asks for it.
    operators: BTreeMap<(&'a str, &'a str), &'a str>,
    /// That the model defines itself, of operators that are looked at as well.
    functions: BTreeSet<(&'a str, &'a str)>,
}

/// The domain of ONNX's own operators has two names.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

impl<'a> Found<'a> {
    fn look(&mut self, mut bytes: &'a [u8], message: Message, depth: usize) -> Result<(), String> {
        /// Graphs within graphs: branches of branches.
        const DEEPEST: usize = 64;
        const EXTERNAL: i32 = 1;
        if depth > DEEPEST {
            return Err(format!("holds graphs within graphs, more than {DEEPEST} deep"));
        }
        self.has_graph |= message == Message::Graph;
        let cut = || format!("is no ONNX model: a {} in it cannot be read to its end", message.in_words());
        // Of a node or a function: domain, operator, name.
        let (mut of, mut operator, mut name) = ("", "", "");
        while !bytes.is_empty() {
            let tag = varint(&mut bytes).filter(|tag| (8..=u64::from(u32::MAX)).contains(tag)).ok_or_else(cut)?;
            let (number, wire) = (tag >> 3, tag & 7);
            match wire {
                0 => {
                    let value = varint(&mut bytes).ok_or_else(cut)?;
                    // As protobuf reads it: what is too large for the field is cut.
                    self.external |= message == Message::Tensor && number == 14 && value as i32 == EXTERNAL;
                }
                1 => bytes = bytes.get(8..).ok_or_else(cut)?,
                2 => {
                    let length = varint(&mut bytes).and_then(|n| usize::try_from(n).ok()).ok_or_else(cut)?;
                    let (inner, rest) = bytes.split_at_checked(length).ok_or_else(cut)?;
                    bytes = rest;
                    match message.field(number) {
                        Field::Of(what) => self.look(inner, what, depth + 1)?,
                        Field::Name => {
                            let text = std::str::from_utf8(inner).map_err(|_| cut())?;
                            if let Some(wrong) = wrong_name(text) {
                                return Err(format!("has a name in a {} that cannot be: {wrong}", message.in_words()));
                            }
                            match (message, number) {
                                (Message::Node, 3) => name = text,
                                (Message::Node, 4) | (Message::Function, 1) => operator = text,
                                (Message::Node, 7) | (Message::Function, 10) => of = domain(text),
                                _ => {}
                            }
                        }
                        // Where else tensors would lie.
                        Field::Other => self.external |= message == Message::Tensor && number == 13,
                    }
                }
                5 => bytes = bytes.get(4..).ok_or_else(cut)?,
                _ => return Err(cut()),
            }
        }
        match message {
            Message::Node => drop(self.operators.entry((of, operator)).or_insert(name)),
            // One that is called like an operator of the runtime's own does not stand for it.
            Message::Function if !of.is_empty() && !of.starts_with("ai.onnx") && !of.starts_with("com.microsoft") => {
                self.functions.insert((of, operator));
            }
            _ => {}
        }
        Ok(())
    }
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

    /// A field that holds bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        if number > 15 {
            out = vec![(number << 3 | 2) | 0x80, number >> 4];
        }
        let mut length = bytes.len();
        while length > 127 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(bytes);
        out
    }

    /// A model of a graph with these fields.
    fn model(graph: &[Vec<u8>]) -> Vec<u8> {
        field(7, &graph.concat())
    }

    fn node(operator: &str, of: &str, more: &[Vec<u8>]) -> Vec<u8> {
        field(1, &[field(3, b"n"), field(4, operator.as_bytes()), field(7, of.as_bytes()), more.concat()].concat())
    }

    fn why(model: &[u8]) -> String {
        check(model, &Operators::default()).unwrap_err()
    }

    #[test]
    fn graphs_that_hold_all_they_need_pass() {
        for whole in ["flow/encode.onnx", "flow/step.onnx", "tokens/decode.onnx", "encoders/tiny/model.onnx"] {
            assert_eq!(check(&fixture(whole), &Operators::default()), Ok(()), "{whole}");
        }
        let common = [node("MatMul", "", &[]), node("Gelu", "com.microsoft", &[]), node("Add", "ai.onnx", &[])];
        assert_eq!(check(&model(&common), &Operators::default()), Ok(()));
    }

    #[test]
    fn weights_in_another_file_are_seen_wherever_they_are() {
        assert!(why(&fixture("odd/encode_external.onnx")).contains("another file"));
        // data_location = EXTERNAL; the same with a number that protobuf cuts to 32 bits; only the place.
        let elsewhere = [vec![0x70, 1], vec![0x70, 0x81, 0x80, 0x80, 0x80, 0x10], field(13, b"x")];
        for tensor in elsewhere {
            let attribute = field(5, &field(5, &tensor));
            let sparse = field(15, &field(1, &tensor));
            let inner = field(5, &field(6, &field(5, &tensor)));
            let training = field(20, &field(1, &field(5, &tensor)));
            for graph in [
                model(&[field(5, &tensor)]),
                model(&[node("Constant", "", &[attribute])]),
                model(&[sparse]),
                model(&[node("If", "", &[inner])]),
                [model(&[]), training].concat(),
                [model(&[]), field(25, &field(7, &field(5, &field(5, &tensor))))].concat(),
            ] {
                assert!(why(&graph).contains("another file"), "{}", why(&graph));
            }
        }
    }

    #[test]
    fn what_cannot_be_read_to_its_end_is_refused_and_not_let_through() {
        let whole = fixture("flow/encode.onnx");
        for broken in [&[][..], b"not a graph", &[0xff; 40], &whole[..whole.len() - 1], &[0x3b], &[0x3a, 0x7f], &[0, 0]]
        {
            assert!(check(broken, &Operators::default()).is_err(), "{broken:?}");
        }
        // A group, which onnx.proto does not have; a field without a number.
        assert!(why(&[model(&[]), vec![0x0b]].concat()).contains("cannot be read"));
        assert!(why(&[model(&[]), vec![0x02, 0]].concat()).contains("cannot be read"));
        let mut deep = Vec::new();
        for _ in 0..40 {
            deep = node("If", "", &[field(5, &field(6, &deep))]);
        }
        assert!(why(&model(&[deep])).contains("graphs within graphs"));
        let no_text = field(1, &field(4, &[0xff, 0xfe]));
        assert!(why(&model(&[no_text])).contains("cannot be read"));
    }

    #[test]
    fn operators_that_are_not_on_the_list_are_told_wherever_they_hide() {
        let endless = node("Loop", "", &[]);
        let inside = node("If", "", &[field(5, &field(6, &endless))]);
        let several = node("If", "", &[field(5, &field(11, &endless))]);
        let function = field(25, &[field(1, b"Mine"), field(10, b"own"), field(7, &endless[2..])].concat());
        let own = [model(&[node("Mine", "own", &[])]), function].concat();
        for graph in [model(std::slice::from_ref(&endless)), model(&[inside]), model(&[several]), own] {
            let told = why(&graph);
            assert!(told.contains("'Loop' (node 'n')") && told.contains("allow_operators"), "{told}");
            assert_eq!(check(&graph, &Operators::also(&["Loop".into()]).unwrap()), Ok(()));
        }
        for (name, of) in
            [("Scan", ""), ("RandomNormal", ""), ("BeamSearch", "com.microsoft"), ("Add", "my.own"), ("", "")]
        {
            assert!(why(&model(&[node(name, of, &[])])).contains("not on the list"), "{of}:{name}");
        }
        let disguise = field(25, &[field(1, b"Loop"), field(7, &node("Add", "", &[])[2..])].concat());
        assert!(why(&[model(&[endless]), disguise].concat()).contains("'Loop'"));
        // A function that is defined is looked through, and counts as known.
        let harmless =
            field(25, &[field(1, b"Mine"), field(10, b"own"), field(7, &node("Add", "", &[])[2..])].concat());
        assert_eq!(check(&[model(&[node("Mine", "own", &[])]), harmless].concat(), &Operators::default()), Ok(()));
    }

    #[test]
    fn names_that_hide_something_or_have_no_end_are_refused() {
        let names = ["a\u{202e}b", "a\nb", "a\0b", &"x".repeat(10 << 20)];
        for name in names.map(str::as_bytes) {
            for graph in [
                model(&[field(1, &[field(3, name), field(4, b"Add")].concat())]),
                model(&[field(1, &[field(1, name), field(4, b"Add")].concat())]),
                model(&[field(11, &field(1, name))]),
                model(&[field(5, &field(8, name))]),
            ] {
                let told = why(&graph);
                assert!(told.contains("that cannot be") && told.len() < 400, "{told}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&bytes, &Operators::default());
        }

        #[test]
        fn a_graph_that_is_cut_off_or_changed_is_read_to_an_end(cut in 0usize..400, place in 0usize..400, byte: u8) {
            let mut bytes = fixture("odd/encode_external.onnx");
            let place = place % bytes.len();
            bytes[place] = byte;
            bytes.truncate(cut.max(1));
            let _ = check(&bytes, &Operators::default());
        }
    }
}
