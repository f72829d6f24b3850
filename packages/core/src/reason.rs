//! Why something is not done, or not as it was asked for: for machines, for people, and what to do.

use crate::Level;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A code of reasons, as it stands in a list of them: see [`codes!`](crate::codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// In `snake_case`.
    pub code: &'static str,
    /// What it means, for people: a sentence without a full stop.
    pub means: &'static str,
}

impl Code {
    /// Whether this is in `snake_case`, as codes are.
    pub fn is_well_formed(code: &str) -> bool {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        code.split('_').all(word)
    }
}

/// Declares codes of reasons, each once: a constant, and its line in the list `CODES`.
///
/// ```
/// mod codes {
///     efm_core::codes! {
///         DISARMED = "disarmed", "motion is not allowed: call `~/arm`";
///     }
/// }
/// assert_eq!(codes::CODES[0].code, codes::DISARMED);
/// ```
#[macro_export]
macro_rules! codes {
    ($($name:ident = $code:literal, $means:literal;)*) => {
        $(
            #[doc = $means]
            pub const $name: &str = $code;
        )*

        /// All of them.
        pub const CODES: &[$crate::Code] = &[$($crate::Code { code: $name, means: $means }),*];
    };
}

/// Why something is refused, stopped or not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// For machines, in `snake_case`, as `"joint_fast"`. It is stable: the words may change, and figures in them do; this does not.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Level,
    /// What it is, for people: a sentence without a full stop, that names the joint, topic, file or parameter.
    pub text: Text,
    /// What to do, for people, as `"lower the load"`. Empty: nothing but what the text says.
    pub remedy: Text,
}

impl Reason {
    /// A reason of these parts.
    pub fn new(code: &'static str, severity: Level, text: impl Into<Text>, remedy: impl Into<Text>) -> Self {
        Self { code, severity, text: text.into(), remedy: remedy.into() }
    }

    /// What it is, and what to do: for reports. As it is displayed.
    pub fn in_words(&self) -> String {
        self.to_string()
    }

    /// The same, told of something: `what` stands before the text.
    #[must_use]
    pub fn of(self, what: impl fmt::Display) -> Self {
        Self { text: format!("{what}{}", self.text).into(), ..self }
    }
}

impl fmt::Display for Reason {
    /// Whole: whoever is shown it is not left without the way out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.remedy {
            "" => f.write_str(&self.text),
            remedy => write!(f, "{}; {remedy}", self.text),
        }
    }
}

impl std::error::Error for Reason {}

/// Words whose copies allocate nothing: control ticks hand reasons on.
#[derive(Clone)]
pub struct Text(Words);

#[derive(Clone)]
enum Words {
    Fixed(&'static str),
    Made(Arc<str>),
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Words::Fixed(text) => text,
            Words::Made(text) => text,
        }
    }
}

impl From<&'static str> for Text {
    /// Allocates nothing.
    fn from(text: &'static str) -> Self {
        Self(Words::Fixed(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Words::Made(text.into()))
    }
}

impl Default for Text {
    fn default() -> Self {
        "".into()
    }
}

impl PartialEq for Text {
    /// By what it says, however it came to be.
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_as_what_it_is_and_what_to_do() {
        let mut reason = Reason::new("joint_fast", Level::Error, format!("joint '{}' is fast", "a"), "lower the load");
        assert_eq!((&*reason.text, reason.code), ("joint 'a' is fast", "joint_fast"));
        assert_eq!(reason.in_words(), "joint 'a' is fast; lower the load");
        assert_eq!(reason.to_string(), reason.in_words());
        assert_eq!(reason.clone().of("arm: ").in_words(), "arm: joint 'a' is fast; lower the load");
        reason.remedy = Text::default();
        assert_eq!(reason.in_words(), "joint 'a' is fast");
    }

    #[test]
    fn words_are_equal_by_what_they_say() {
        assert_eq!(Text::from("a"), Text::from("a".to_owned()));
        assert_ne!(Text::from("a"), Text::from("b".to_owned()));
    }
}
