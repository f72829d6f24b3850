//! What a sentence forbids.

use super::fold::Word;
use super::lists::{NEGATIONS, NEGATIONS_WITHIN, PLACES, TOUCHING};
use super::{Lexicon, begins_with, is_filler};

/// Before a word of stopping these take its meaning.
const TURNS_ROUND: &[&str] = &[
    "not", "never", "dont", "donot", "cannot", "cant", "without", "non", "nicht", "ne", "не", "nie", "nunca", "nao",
    "niet",
];

/// Whether a word of stopping behind this one is none: "don't stop", "non-stop".
pub(super) fn negates_a_stop(word: &Word) -> bool {
    word.contracted || TURNS_ROUND.iter().any(|negation| word.is(negation))
}

/// The first word that negates, beside those that are part of a name.
pub(super) fn negation(words: &[Word], lexicon: Option<&Lexicon>) -> Option<String> {
    let mut at = 0;
    while at < words.len() {
        let rest = &words[at..];
        let name = lexicon.map_or(0, |l| l.name_at(rest));
        if name > 0 {
            at += name;
            continue;
        }
        let word = &rest[0];
        // "don t", as machines write down what they hear.
        let apart = word.skeleton.ends_with('n') && rest.get(1).is_some_and(|next| next.plain == "t");
        if word.contracted || apart || NEGATIONS_WITHIN.iter().any(|part| word.plain.contains(part)) {
            return Some(word.raw.clone());
        }
        if let Some(phrase) = NEGATIONS.iter().find(|phrase| begins_with(rest, phrase.split(' '))) {
            return Some((*phrase).to_owned());
        }
        let part = &rest[..rest.iter().take_while(|other| other.clause == word.clause).count()];
        if let Some(said) = without(part, lexicon).or_else(|| leave(part, at == 0)).or_else(|| keep(part)) {
            return Some(said);
        }
        at += 1;
    }
    None
}

/// "Without lifting it" says how. "Without touching it", or with a thing that is named behind it, says what not to do.
fn without(part: &[Word], lexicon: Option<&Lexicon>) -> Option<String> {
    let next = part.get(1).filter(|_| part[0].is("without"))?;
    let names = |l: &Lexicon| (1..part.len()).any(|from| l.object_at(&part[from..]) > 0);
    (TOUCHING.iter().any(|touching| next.is(touching)) || lexicon.is_some_and(names))
        .then(|| format!("without {}", next.raw))
}

/// "Leave the cube on the line" says where to; "leave the cube" says to do nothing with it. (`first`: it begins the sentence.)
fn leave(part: &[Word], first: bool) -> Option<String> {
    if !["leave", "leaving"].iter().any(|leave| part[0].is(leave)) {
        return None;
    }
    let rest = &part[1..];
    let to_a_place = rest.iter().any(|word| PLACES.iter().any(|place| word.is(place)));
    let only_it = rest.iter().all(|word| is_filler(word) || word.is("them"));
    (!to_a_place && (first || !only_it)).then(|| "leave".to_owned())
}

/// "Keep the cube from falling", but not "keep the cube on the table".
fn keep(part: &[Word]) -> Option<String> {
    let keeps = ["keep", "stop", "hold"].iter().any(|keep| part[0].is(keep));
    (keeps && part[1..].iter().any(|word| word.is("from"))).then(|| format!("{} ... from", part[0].raw))
}
