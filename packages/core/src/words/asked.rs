//! Questions: what wants an answer, and not something done.

use super::fold::Word;

/// What a question about the world begins with, where it ends in a question mark. ("Can you ...?" asks for something to be done.)
const BEGINNINGS: &[&str] = &[
    "is", "are", "was", "were", "am", "does", "did", "do", "has", "had", "should", "may", "might", "what", "whats",
    "where", "wheres", "why", "when", "who", "whos", "whose", "which", "how", "hows", "ist", "sind", "war", "was",
    "wo", "warum", "wie", "wer", "wann", "welcher", "welche", "quel", "quelle", "ou", "pourquoi", "comment", "que",
    "donde", "por que", "cual", "cuando", "quien", "dove", "perche", "che", "chi", "quando",
];

/// Those that begin nothing else, whatever the text ends in.
const ASKING: &[&str] = &[
    "what is",
    "what are",
    "what was",
    "whats",
    "what does",
    "what did",
    "what color",
    "what colour",
    "what happens",
    "where is",
    "where are",
    "wheres",
    "why is",
    "why are",
    "why did",
    "why does",
    "who is",
    "whos",
    "how many",
    "how much",
    "how heavy",
    "how big",
    "how far",
    "how is",
    "how are",
    "how does",
    "which is",
    "which one is",
    "do you know",
    "do you see",
    "can you see",
    "tell me",
];

/// These ask for something to be done.
const REQUESTS: &[&str] = &["what about", "how about", "do me"];

/// The first words of a question.
pub(super) fn question(text: &str, words: &[Word]) -> Option<String> {
    let begins = |phrase: &&&str| super::begins_with(words, phrase.split(' '));
    if REQUESTS.iter().any(|phrase| begins(&phrase)) {
        return None;
    }
    if let Some(phrase) = ASKING.iter().find(begins) {
        return Some((*phrase).to_owned());
    }
    let marked = text.trim_end().ends_with(['?', '\u{FF1F}', '\u{61F}', '\u{37E}']);
    BEGINNINGS.iter().find(begins).filter(|_| marked).map(|phrase| (*phrase).to_owned())
}
