//! XML of a description, within bounds: what is done with it takes time that grows with the square of what it lists.

use efm_core::reading::{DESCRIPTION, said_by_parser};
use roxmltree::{Document, Error, ParsingOptions};

/// Elements, texts and comments in all.
const MOST_NODES: u32 = 200_000;
/// Joints, links or groups that a description may list.
pub(crate) const MOST_LISTED: usize = 1000;

/// Attributes of one element: each is compared with all before it.
const MOST_ATTRIBUTES: usize = 100;

/// Whether an element has more attributes than are read. Seen before the parser is asked.
fn too_many_attributes(xml: &str) -> bool {
    let mut rest = xml.as_bytes();
    let beyond =
        |text: &[u8], end: &[u8]| text.windows(end.len()).position(|piece| piece == end).map(|at| at + end.len());
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[at..];
        // What holds texts, and no attributes.
        let text = [(&b"<!--"[..], &b"-->"[..]), (b"<![CDATA[", b"]]>")]
            .into_iter()
            .find(|(begin, _)| rest.starts_with(begin));
        if let Some((_, end)) = text {
            let Some(length) = beyond(rest, end) else { return false };
            rest = &rest[length..];
            continue;
        }
        let (mut quote, mut attributes, mut length) = (None, 0, rest.len());
        for (place, byte) in rest.iter().enumerate().skip(1) {
            match (quote, byte) {
                (Some(open), byte) if open == *byte => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(*byte),
                (None, b'=') => attributes += 1,
                (None, b'>') => {
                    length = place + 1;
                    break;
                }
                _ => {}
            }
        }
        if attributes > MOST_ATTRIBUTES {
            return true;
        }
        rest = &rest[length..];
    }
    false
}

/// Why a text is not read as XML.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is none.
    Xml(Error),
    /// It is out of bounds, in words.
    Bounds(String),
}

/// Reads a text that is XML, of so many bytes and elements at most.
///
/// # Errors
/// What is wrong with it, in words.
pub fn within_bounds(xml: &str, bytes: u64, nodes: u32) -> Result<Document<'_>, String> {
    bounded(xml, bytes, nodes).map_err(|unread| match unread {
        Unread::Xml(error) => format!("it is not well-formed XML: {}", said_by_parser(&error)),
        Unread::Bounds(problem) => problem,
    })
}

fn bounded(xml: &str, bytes: u64, nodes: u32) -> Result<Document<'_>, Unread> {
    if xml.len() as u64 > bytes {
        return Err(Unread::Bounds(format!("it has {} bytes; at most {bytes} are read", xml.len())));
    }
    if too_many_attributes(xml) {
        return Err(Unread::Bounds(format!("one of its elements has more than {MOST_ATTRIBUTES} attributes")));
    }
    let options = ParsingOptions { nodes_limit: nodes, ..ParsingOptions::default() };
    Document::parse_with_options(xml, options).map_err(|error| match error {
        Error::NodesLimitReached => Unread::Bounds(format!("it has more than {nodes} elements")),
        other => Unread::Xml(other),
    })
}

/// Reads the text of a description.
pub(crate) fn document(xml: &str) -> Result<Document<'_>, Unread> {
    let document = bounded(xml, DESCRIPTION, MOST_NODES)?;
    for what in ["joint", "link", "group", "group_state"] {
        let listed = document.root_element().children().filter(|node| node.has_tag_name(what)).count();
        if listed > MOST_LISTED {
            return Err(Unread::Bounds(format!("it lists {listed} elements <{what}>; at most {MOST_LISTED} are read")));
        }
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_of_endless_attributes_is_refused_before_it_is_parsed() {
        let attributes = |count: usize| (0..count).map(|k| format!(" a{k}='=<>'")).collect::<String>();
        let told = |xml: String| match document(&xml) {
            Ok(_) => String::new(),
            Err(Unread::Bounds(why)) => why,
            Err(Unread::Xml(error)) => error.to_string(),
        };
        for many in [
            format!("<robot{}/>", attributes(100_000)),
            format!("<robot><link{}/></robot>", attributes(101)),
            format!("<robot xmlns:a='b'{}", attributes(200_000)),
            format!("<!-- > --><robot{}></robot>", attributes(3000).replace(' ', "\n")),
            format!(
                "<?xml version='1.0'?><r{}/>",
                (0..70_000).map(|k| format!(" xmlns:n{k}='u{k}'")).collect::<String>()
            ),
        ] {
            assert!(told(many).contains("more than 100 attributes"));
        }
        // Comments, texts and values may have what looks like some.
        let signs = "a=b ".repeat(1000);
        let good = format!(
            "<robot name=\"{}\"{}><!-- {signs} > --><a><![CDATA[<{signs}]]></a>{signs}</robot>",
            "=".repeat(500),
            attributes(90).replace('<', "")
        );
        assert_eq!(told(good), "");
    }
}
