//! What can be wrong with the geometry that is to be checked.

/// Why a robot or a cell cannot be checked for collisions.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CollisionError {
    /// An option has no meaning.
    #[error("collision option '{name}' is {value}; it must be {wanted}")]
    Option {
        /// Which.
        name: &'static str,
        /// What it is.
        value: f64,
        /// What would be right.
        wanted: &'static str,
    },
    /// A joint that is to move is not an active joint of the robot.
    #[error("'{0}' is not an active joint of the robot")]
    Joint(String),
    /// A link that does not exist.
    #[error("{what}: link '{link}' does not exist in the robot description; name one that does")]
    Link {
        /// Who names it.
        what: String,
        /// The link.
        link: String,
    },
    /// A shape of a link or an object cannot be used.
    #[error("{owner}: {problem}")]
    Shape {
        /// "link '...'" or "object '...'".
        owner: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// An object of the cell stands in a frame that moves.
    #[error(
        "object '{object}' stands in frame '{frame}', which moves; an object that moves with a link is attached to it instead"
    )]
    MovingFrame {
        /// The object.
        object: String,
        /// Its frame.
        frame: String,
    },
    /// An object is given in a frame that moves with a joint of which nobody knows where it stands.
    #[error(
        "{what} stands in frame '{frame}', which moves with joint '{joint}', and nobody tells where that joint is; give the object anew when \
         it is told"
    )]
    UnknownFrame {
        /// The object.
        what: String,
        /// Its frame.
        frame: String,
        /// The joint.
        joint: String,
    },
    /// An object that does not exist.
    #[error("object '{0}' does not exist")]
    Object(String),
    /// A file of obstacles or a mesh cannot be read.
    #[error("'{path}': {problem}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// An entry of a file or a message is wrong.
    #[error("{place}: {problem}")]
    Entry {
        /// Object and field.
        place: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Several of these.
    #[error("{}", efm_core::reading::all_told(.0))]
    Several(Vec<CollisionError>),
}

impl CollisionError {
    /// The errors of a list, if there are any; those that are several themselves one by one.
    pub(crate) fn all(wrong: Vec<Self>) -> Result<(), Self> {
        let mut flat: Vec<Self> = Vec::with_capacity(wrong.len());
        for error in wrong {
            match error {
                Self::Several(inner) => flat.extend(inner),
                one => flat.push(one),
            }
        }
        match flat.len() {
            0 => Ok(()),
            1 => Err(flat.remove(0)),
            _ => Err(Self::Several(flat)),
        }
    }
}

/// Takes what is right of a result; what is wrong goes to the list.
pub(crate) fn kept<T, E>(result: Result<T, E>, wrong: &mut Vec<E>) -> Option<T> {
    result.map_err(|error| wrong.push(error)).ok()
}
