//! What a sentence says before any network reads it: whether it asks to stop, forbids something, or names what a policy knows.
//!
//! A sentence encoder turns "stop", "hello" and "do not put the cube there" into a vector like any other, and a policy follows it. So words are
//! looked at first, by fixed rules:
//!
//! * **Stopping** ([`StopWords`]). A text is taken apart at its punctuation. A part that consists of phrases of stopping and of words that add
//!   nothing ("please", "now", "the robot") asks to stop: "STOP!!!", "please stop now", "no, wait", "do nothing". So does one that *begins*, after such
//!   words, with a phrase that is listed with three dots behind it ("stop ..."): "stop pushing the cube"; and a text that *ends* in one, for that is how
//!   people correct themselves: "push the cube stop". A word of stopping in between is part of the task: "put the stop sign cube in the left
//!   zone". The error that remains, a task that is taken for a stop ("push the cube, then stop"), leaves the robot at rest.
//! * **Forbidding**. A text with a negation is refused, unless the package says that its policy understands them: it would do what it was told not to do.
//! * **Asking**. A question about the world ("is the red cube heavy?") is no task; one that asks for something ("can you push it?") is.
//! * **Naming** ([`Lexicon`]). Where the package lists its objects and goals, a text that names none of them is refused.
//!
//! Case, accents, punctuation, repeated words and letters ("stoooop"), letters set apart ("s t o p"), look-alikes of other alphabets and characters
//! that are not seen make no difference to the first two.

mod asked;
pub mod codes;
mod fold;
mod forbidden;
mod lists;

use crate::goal::{GoalRefusal, Sentence};
use crate::{Level, Reason, Text};
use asked::question;
use fold::Word;
pub(crate) use fold::is_invisible;
use forbidden::{negates_a_stop, negation};
use lists::FILLERS;
pub use lists::STOP_WORDS;
use serde::Serialize;
use std::collections::BTreeMap;

/// Longest text that is searched for words of stopping, bytes: what is longer is refused unread.
pub const MAX_HEARD_BYTES: usize = 64 * 1024;
/// Names of a package that are told with a refusal.
const MOST_TOLD: usize = 16;

/// What a text is to a robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It asks to stop; the phrase that says so.
    Stop(String),
    /// It is a goal, and what was understood of it; `None` where the package lists no words.
    Goal(Sentence, Option<Understood>),
    /// It is neither.
    Refused(Refusal),
}

/// What a policy's package knows of a sentence, in the package's names and in the order of the sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Understood {
    /// Things to handle.
    pub objects: Vec<String>,
    /// What is wanted of them.
    pub goals: Vec<String>,
    /// What is done.
    pub verbs: Vec<String>,
}

/// Why a text is no goal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Empty, too long, or not plain text.
    #[error(transparent)]
    Text(#[from] GoalRefusal),
    /// Nothing but signs.
    #[error("the goal has no words")]
    NoWords,
    /// A word that looks like another.
    #[error("the goal's word '{0}' mixes letters of two alphabets that look alike")]
    TwoAlphabets(String),
    /// It says what not to do.
    #[error("the goal says what not to do ('{0}'), which the policy was not made to understand: it might do just that")]
    Negated(String),
    /// It asks something.
    #[error("the goal is a question ('{0} ...'), and nobody answers here")]
    Question(String),
    /// It names nothing that the package lists.
    #[error("the goal names nothing that the policy knows ({0})")]
    NamesNothing(String),
}

impl Refusal {
    /// For machines: one of [`codes::CODES`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Text(refusal) => refusal.code(),
            Self::NoWords => codes::GOAL_WITHOUT_WORDS,
            Self::TwoAlphabets(_) => codes::GOAL_TWO_ALPHABETS,
            Self::Negated(_) => codes::GOAL_NEGATED,
            Self::Question(_) => codes::GOAL_QUESTION,
            Self::NamesNothing(_) => codes::GOAL_NAMES_NOTHING,
        }
    }

    /// What to do, for people.
    pub fn remedy(&self) -> Text {
        match self {
            Self::Text(refusal) => refusal.remedy(),
            Self::NoWords | Self::Question(_) => "say what the robot shall do".into(),
            Self::TwoAlphabets(_) => "write it in one".into(),
            Self::Negated(_) => "say what it shall do, or \"stop\" (packages whose policies understand negations say so: vocabulary.negations)".into(),
            Self::NamesNothing(_) => "name what it shall handle, or where".into(),
        }
    }

    /// With its code and what to do.
    pub fn reason(&self) -> Reason {
        Reason::new(self.code(), Level::Warn, self.to_string(), self.remedy())
    }
}

/// A phrase of words of stopping.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Phrase {
    words: Vec<String>,
    /// Whether more may follow.
    open: bool,
}

/// Phrases that ask to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopWords(Vec<Phrase>);

/// Why a list of words cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// A phrase without words.
    #[error("'{0}' has no words")]
    Empty(String),
    /// A name or synonym that means two things.
    #[error("'{phrase}' is a name of '{first}' and of '{second}'")]
    Twice {
        /// Which.
        phrase: String,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
}

impl Default for StopWords {
    /// Those of [`STOP_WORDS`].
    fn default() -> Self {
        Self::new(STOP_WORDS).unwrap_or(Self(Vec::new()))
    }
}

impl StopWords {
    /// Phrases; one with `...` behind it may begin a longer sentence. None: nothing asks to stop.
    ///
    /// # Errors
    /// When one has no words.
    pub fn new<S: AsRef<str>>(phrases: &[S]) -> Result<Self, ListError> {
        let mut list = Vec::with_capacity(phrases.len());
        for phrase in phrases {
            let phrase = phrase.as_ref().trim();
            let short = phrase.strip_suffix("...").or_else(|| phrase.strip_suffix('\u{2026}'));
            list.push(Phrase { words: folded(short.unwrap_or(phrase))?, open: short.is_some() });
        }
        Ok(Self(list))
    }

    /// The phrase that makes a text one that asks to stop.
    fn find(&self, words: &[Word], lexicon: Option<&Lexicon>) -> Option<String> {
        let parts = || words.chunk_by(|a, b| a.clause == b.clause);
        parts().find_map(|part| self.find_in(part, lexicon)).or_else(|| self.find_at_the_end(words, lexicon))
    }

    /// The last thing that is said asks to stop: "push the cube stop stop please".
    fn find_at_the_end(&self, words: &[Word], lexicon: Option<&Lexicon>) -> Option<String> {
        let named = lexicon.map_or_else(|| vec![false; words.len()], |l| l.named(words));
        let mut end = words.len();
        while end > 0 && !named[end - 1] {
            let ends = |phrase: &&Phrase| {
                let begin = end.checked_sub(phrase.words.len());
                begin.is_some_and(|begin| {
                    begins(&words[begin..end], &phrase.words)
                        && !named[begin]
                        && !words[..begin].last().is_some_and(negates_a_stop)
                })
            };
            if let Some(phrase) = self.0.iter().filter(|phrase| phrase.open).find(ends) {
                return Some(phrase.words.join(" "));
            }
            if !is_filler(&words[end - 1]) {
                return None;
            }
            end -= 1;
        }
        None
    }

    fn find_in(&self, words: &[Word], lexicon: Option<&Lexicon>) -> Option<String> {
        let (mut said, mut at) = (None, 0);
        while at < words.len() {
            let rest = &words[at..];
            let matching = self.0.iter().filter(|phrase| begins(rest, &phrase.words));
            let longest = matching.clone().max_by_key(|phrase| phrase.words.len());
            match longest {
                // "stop sign", where the package knows one, is not a stop; nor is "release", where that is what it does.
                Some(phrase)
                    if lexicon.is_none_or(|l| l.name_at(rest) < phrase.words.len() + usize::from(phrase.open)) =>
                {
                    let open = matching.clone().any(|phrase| phrase.open);
                    // "Don't stop" is none.
                    if open && words[..at].last().is_some_and(negates_a_stop) {
                        return None;
                    }
                    said.get_or_insert_with(|| phrase.words.join(" "));
                    if open {
                        return said;
                    }
                    at += phrase.words.len();
                }
                None if is_filler(&rest[0]) => at += 1,
                _ => return None,
            }
        }
        said
    }
}

fn is_filler(word: &Word) -> bool {
    FILLERS.iter().any(|filler| word.is(filler))
}

/// Something that a package lists, and all that it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    name: String,
    phrases: Vec<Vec<String>>,
}

/// Words by name, with their synonyms.
pub type Names = BTreeMap<String, Vec<String>>;

/// What a policy knows by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lexicon {
    objects: Vec<Name>,
    goals: Vec<Name>,
    verbs: Vec<Name>,
    negations: bool,
}

impl Lexicon {
    /// Names with their synonyms, which are names as well. `negations`: whether the policy understands what it is told not to do.
    ///
    /// # Errors
    /// When one has no words, or stands for two objects (goals, verbs).
    pub fn new(objects: &Names, goals: &Names, verbs: &Names, negations: bool) -> Result<Self, ListError> {
        Ok(Self { objects: listed(objects)?, goals: listed(goals)?, verbs: listed(verbs)?, negations })
    }

    /// Whether it lists anything that a sentence must name.
    pub fn names_something(&self) -> bool {
        !(self.objects.is_empty() && self.goals.is_empty())
    }

    /// Words of the longest name of an object that the words begin with.
    fn object_at(&self, words: &[Word]) -> usize {
        longest(&self.objects, words).map_or(0, |(_, length)| length)
    }

    /// Words of the longest name that the words begin with.
    fn name_at(&self, words: &[Word]) -> usize {
        [&self.objects, &self.goals]
            .into_iter()
            .filter_map(|names| longest(names, words))
            .map(|(_, n)| n)
            .max()
            .unwrap_or(0)
    }

    /// Which of the words are part of a name.
    fn named(&self, words: &[Word]) -> Vec<bool> {
        let (mut named, mut at) = (vec![false; words.len()], 0);
        while at < words.len() {
            let length = self.name_at(&words[at..]);
            named[at..at + length].fill(true);
            at += length.max(1);
        }
        named
    }

    fn understand(&self, words: &[Word]) -> Understood {
        let named = |names: &[Name]| {
            let (mut found, mut at): (Vec<String>, usize) = (Vec::new(), 0);
            while at < words.len() {
                match longest(names, &words[at..]) {
                    Some((name, length)) => {
                        if !found.iter().any(|known| known == name) {
                            found.push(name.to_owned());
                        }
                        at += length;
                    }
                    None => at += 1,
                }
            }
            found
        };
        Understood { objects: named(&self.objects), goals: named(&self.goals), verbs: named(&self.verbs) }
    }

    /// What there is, in words.
    fn told(&self) -> String {
        let list = |what: &str, names: &[Name]| {
            let some: Vec<&str> = names.iter().take(MOST_TOLD).map(|name| name.name.as_str()).collect();
            let more = if names.len() > some.len() { ", ..." } else { "" };
            format!("{what}: {}{more}", some.join(", "))
        };
        let lists = [("objects", &self.objects), ("goals", &self.goals)];
        lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| list(what, names))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// What a text is, to a policy that knows these words.
pub fn hear(text: &str, stops: &StopWords, lexicon: Option<&Lexicon>) -> Heard {
    // A stop comes first, even in a text that is no goal: whoever stammers into the microphone means it.
    let words = if text.len() <= MAX_HEARD_BYTES { fold::words(text) } else { Vec::new() };
    if let Some(said) = stops.find(&words, lexicon) {
        return Heard::Stop(said);
    }
    match goal(text, &words, lexicon) {
        Ok((sentence, understood)) => Heard::Goal(sentence, understood),
        Err(refusal) => Heard::Refused(refusal),
    }
}

fn goal(text: &str, words: &[Word], lexicon: Option<&Lexicon>) -> Result<(Sentence, Option<Understood>), Refusal> {
    let sentence = Sentence::new(text)?;
    if words.is_empty() {
        return Err(Refusal::NoWords);
    }
    if let Some(word) = words.iter().find(|word| word.mixed) {
        return Err(Refusal::TwoAlphabets(word.raw.clone()));
    }
    if !lexicon.is_some_and(|l| l.negations)
        && let Some(word) = negation(words, lexicon)
    {
        return Err(Refusal::Negated(word));
    }
    let understood = lexicon.filter(|l| l.names_something()).map(|l| (l.understand(words), l));
    if let Some((understood, lexicon)) = &understood
        && understood.objects.is_empty()
        && understood.goals.is_empty()
    {
        return Err(Refusal::NamesNothing(lexicon.told()));
    }
    match question(text, words) {
        Some(word) => Err(Refusal::Question(word)),
        None => Ok((sentence, understood.map(|(understood, _)| understood))),
    }
}

fn begins(words: &[Word], phrase: &[String]) -> bool {
    begins_with(words, phrase.iter().map(String::as_str))
}

fn begins_with<'a>(words: &[Word], phrase: impl Iterator<Item = &'a str>) -> bool {
    let mut words = words.iter();
    phrase.into_iter().all(|part| words.next().is_some_and(|word| word.is(part)))
}

/// The longest name that the words begin with, as they stand.
fn longest<'a>(names: &'a [Name], words: &[Word]) -> Option<(&'a str, usize)> {
    let fits = |phrase: &Vec<String>| {
        phrase.len() <= words.len() && phrase.iter().zip(words).all(|(part, word)| *part == word.plain)
    };
    names
        .iter()
        .filter_map(|name| {
            let length = name.phrases.iter().filter(|phrase| fits(phrase)).map(Vec::len).max()?;
            Some((name.name.as_str(), length))
        })
        .max_by_key(|(_, length)| *length)
}

fn listed(names: &Names) -> Result<Vec<Name>, ListError> {
    let mut seen: BTreeMap<Vec<String>, &str> = BTreeMap::new();
    let mut list = Vec::with_capacity(names.len());
    for (name, synonyms) in names {
        let mut phrases = Vec::new();
        for phrase in [name].into_iter().chain(synonyms) {
            let words = folded(phrase)?;
            match seen.insert(words.clone(), name) {
                Some(first) if first != name => {
                    let (first, second) = (first.to_owned(), name.clone());
                    return Err(ListError::Twice { phrase: phrase.clone(), first, second });
                }
                _ => phrases.push(words),
            }
        }
        list.push(Name { name: name.clone(), phrases });
    }
    Ok(list)
}

fn folded(phrase: &str) -> Result<Vec<String>, ListError> {
    let words: Vec<String> = fold::words(phrase).into_iter().map(|word| word.plain).collect();
    if words.is_empty() { Err(ListError::Empty(phrase.to_owned())) } else { Ok(words) }
}

#[cfg(test)]
mod tests;
