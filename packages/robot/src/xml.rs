//! XML of a description, within bounds: what is done with it takes time that grows with the square of what it lists.

use efm_core::reading::DESCRIPTION;
use roxmltree::{Document, Error, ParsingOptions};

/// Elements, texts and comments in all.
const MOST_NODES: u32 = 200_000;
/// Joints, links or groups that a description may list.
pub(crate) const MOST_LISTED: usize = 1000;

/// Why a text is not read as XML.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is none.
    Xml(Error),
    /// It is out of bounds, in words.
    Bounds(String),
}

/// Reads a text.
pub(crate) fn document(xml: &str) -> Result<Document<'_>, Unread> {
    if xml.len() as u64 > DESCRIPTION {
        return Err(Unread::Bounds(format!("it has {} bytes; at most {DESCRIPTION} are read", xml.len())));
    }
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(xml, options).map_err(|error| match error {
        Error::NodesLimitReached => Unread::Bounds(format!("it has more than {MOST_NODES} elements")),
        other => Unread::Xml(other),
    })?;
    for what in ["joint", "link", "group", "group_state"] {
        let listed = document.root_element().children().filter(|node| node.has_tag_name(what)).count();
        if listed > MOST_LISTED {
            return Err(Unread::Bounds(format!("it lists {listed} elements <{what}>; at most {MOST_LISTED} are read")));
        }
    }
    Ok(document)
}
