//! Texts as words that can be compared: case, accents, look-alikes, stretched and spaced letters.
//!
//! Each word is kept in two forms. `plain` is what a sentence encoder would read: lower case, without accents. `skeleton` is what a person would
//! read: letters of other scripts and of ornament (`ѕtор`, `ｓｔｏｐ`, `𝐬𝐭𝐨𝐩`, `st0p`) as the Latin letters that they look like. What stops or forbids is looked for
//! in both, what is to be done only in the first: a policy that is told `rеd` with a Cyrillic letter does not know what it is told.

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As it was written, without what cannot be seen.
    pub(super) raw: String,
    /// Lower case, without accents.
    pub(super) plain: String,
    /// With letters as they look.
    pub(super) skeleton: String,
    /// Letters of one script that look like those of another stand among Latin ones.
    pub(super) mixed: bool,
    /// Ends in `n't`.
    pub(super) contracted: bool,
    /// Which part of the text it belongs to: parts are separated by punctuation.
    pub(super) clause: usize,
}

impl Word {
    fn push(&mut self, c: char) {
        self.raw.push(c);
        for lower in c.to_lowercase() {
            unaccented(lower, &mut self.plain);
            match look(lower) {
                Some(latin) => {
                    self.mixed |= !lower.is_ascii();
                    self.skeleton.push(latin);
                }
                None => unaccented(lower, &mut self.skeleton),
            }
        }
    }

    /// Whether it is this folded word.
    pub(super) fn is(&self, folded: &str) -> bool {
        self.plain == folded
            || self.skeleton == folded
            || (is_stretched(&self.skeleton) && squeezed(&self.skeleton) == squeezed(folded))
    }
}

/// The words of a text.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut found: Vec<Word> = Vec::new();
    let (mut clause, mut open) = (0, false);
    let mut characters = text.chars().filter(|c| !is_unseen(*c)).peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied();
        // Some apostrophes are letters by their kind.
        if c.is_alphanumeric() && !is_apostrophe(c) {
            if !open {
                found.push(Word {
                    raw: String::new(),
                    plain: String::new(),
                    skeleton: String::new(),
                    mixed: false,
                    contracted: false,
                    clause,
                });
            }
            if let Some(word) = found.last_mut() {
                word.push(c);
            }
            open = true;
        } else if open && is_apostrophe(c) && next.is_some_and(char::is_alphanumeric) {
            // It joins: don't. What `n't` is at the end of the word is a negation whatever stands before it.
            if let Some(word) = found.last_mut() {
                word.contracted = word.skeleton.ends_with('n') && next.is_some_and(is_t);
                word.raw.push(c);
            }
        } else if open
            && c.is_control()
            && !c.is_whitespace()
            && !ends_a_line(c)
            && next.is_some_and(char::is_alphanumeric)
        {
            // Whatever made this, it is no space: such a word is no other word.
            if let Some(word) = found.last_mut() {
                word.push(c);
            }
        } else if matches!(c, '\u{1F6D1}' | '\u{26D4}' | '\u{270B}' | '\u{1F91A}' | '\u{1F590}') {
            // A stop sign, no entry, raised hands.
            let (raw, stop) = (c.to_string(), "stop".to_owned());
            clause += 1;
            found.push(Word { raw, plain: stop.clone(), skeleton: stop, mixed: false, contracted: false, clause });
            clause += 1;
            open = false;
        } else if is_crossed_out(c) {
            let (raw, no) = (c.to_string(), "no".to_owned());
            found.push(Word { raw, plain: no.clone(), skeleton: no, mixed: false, contracted: false, clause });
            open = false;
        } else {
            open = false;
            let quiet = (c.is_whitespace() || c.is_control()) && !ends_a_line(c);
            let quiet = quiet || is_apostrophe(c) || is_quote(c);
            clause += usize::from(!quiet && c != '-' && c != '_');
        }
    }
    for word in &mut found {
        // Letters alone are another script; among Latin ones they are a disguise.
        word.mixed &= word.raw.chars().any(|c| c.is_ascii_alphabetic());
        word.contracted &= word.skeleton.ends_with("nt");
        if word.skeleton.chars().any(|c| c.is_ascii_alphabetic()) {
            word.skeleton = word.skeleton.chars().map(digit_as_letter).collect();
        }
    }
    joined(found)
}

/// Letters that stand alone, three or more in a row, are a word: `s t o p`, `S.T.O.P.`.
fn joined(words: Vec<Word>) -> Vec<Word> {
    let single = |word: &Word| word.plain.chars().count() == 1 && word.plain.chars().all(char::is_alphabetic);
    let mut kept: Vec<Word> = Vec::with_capacity(words.len());
    let mut rest = words.as_slice();
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|word| single(word)).count();
        if run < 3 {
            kept.push(first.clone());
            rest = &rest[1..];
            continue;
        }
        let of = |part: fn(&Word) -> &str| rest[..run].iter().map(part).collect::<String>();
        kept.push(Word {
            raw: of(|w| &w.raw),
            plain: of(|w| &w.plain),
            skeleton: of(|w| &w.skeleton),
            mixed: rest[..run].iter().any(|w| w.mixed),
            contracted: false,
            clause: first.clause,
        });
        rest = &rest[run..];
    }
    kept
}

fn is_stretched(word: &str) -> bool {
    let letters: Vec<char> = word.chars().collect();
    letters.windows(3).any(|w| w[0] == w[1] && w[1] == w[2])
}

/// Each letter once where it is repeated.
fn squeezed(word: &str) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    letters.dedup();
    letters.into_iter().collect()
}

/// Apostrophes, and what is typed or drawn for one: primes, accents that stand alone, modifier letters.
fn is_apostrophe(c: char) -> bool {
    matches!(
        c,
        '\'' | '`'
            | '\u{B4}'
            | '\u{2018}'
            | '\u{2019}'
            | '\u{201B}'
            | '\u{2032}'
            | '\u{2035}'
            | '\u{FF07}'
            | '\u{FF40}'
            | '\u{275B}'
            | '\u{275C}'
            | '\u{02B9}'
            | '\u{02BB}'
            ..='\u{02BF}'
                | '\u{02C8}'
                | '\u{02CA}'
                | '\u{02CB}'
                | '\u{02F4}'
                | '\u{0374}'
                | '\u{0384}'
                | '\u{055A}'
                | '\u{05F3}'
                | '\u{07F4}'
                | '\u{07F5}'
                | '\u{1FBD}'
                | '\u{1FBF}'
                | '\u{1FEF}'
                | '\u{1FFD}'
                | '\u{1FFE}'
                | '\u{A78B}'
                | '\u{A78C}'
    )
}

/// What separates as a line's end does: with it new words begin.
fn ends_a_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{1C}'..='\u{1F}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Crosses and signs of what is not allowed.
fn is_crossed_out(c: char) -> bool {
    matches!(
        c,
        '\u{274C}' | '\u{274E}' | '\u{2716}' | '\u{2718}' | '\u{1F6AB}' | '\u{1F6C7}' | '\u{1F44E}' | '\u{1F645}'
    )
}

/// Whether it is a t, or looks like one.
fn is_t(c: char) -> bool {
    c.to_lowercase().any(|lower| lower == 't' || look(lower) == Some('t'))
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\u{AB}' | '\u{BB}' | '\u{201C}'..='\u{201F}' | '\u{2039}' | '\u{203A}' | '\u{300C}'..='\u{300F}' | '\u{FF02}')
}

/// Characters that are not seen, or that change the order in which others are shown: they may hide a word in another.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF9}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Characters that have no part in a word: those that are not seen, accents that stand after their letter, variants of emoji.
fn is_unseen(c: char) -> bool {
    is_invisible(c)
        || matches!(c,
            '\u{300}'..='\u{36F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FE20}'..='\u{FE2F}')
}

/// A letter without its accent.
fn unaccented(c: char, out: &mut String) {
    let plain = match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' => "o",
        'œ' => "oe",
        'ŕ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ț' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' => "u",
        'ý' | 'ÿ' | 'ŷ' => "y",
        // Vietnamese.
        '\u{1EA0}'..='\u{1EB7}' => "a",
        '\u{1EB8}'..='\u{1EC7}' => "e",
        '\u{1EC8}'..='\u{1ECB}' => "i",
        '\u{1ECC}'..='\u{1EE3}' => "o",
        '\u{1EE4}'..='\u{1EF1}' => "u",
        '\u{1EF2}'..='\u{1EF9}' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'ё' => "е",
        'ά' => "α",
        'έ' => "ε",
        'ή' => "η",
        'ί' | 'ϊ' | 'ΐ' => "ι",
        'ό' => "ο",
        'ύ' | 'ϋ' | 'ΰ' => "υ",
        'ώ' => "ω",
        'ς' => "σ",
        other => return out.push(other),
    };
    out.push_str(plain);
}

/// The Latin letter that a lower-case letter of another script, or an ornamental one, looks like.
fn look(c: char) -> Option<char> {
    let letter = |offset: u32| char::from_u32(u32::from('a') + offset % 26);
    let digit = |offset: u32| char::from_u32(u32::from('0') + offset % 10);
    let code = u32::from(c);
    match c {
        // Fullwidth.
        '\u{FF41}'..='\u{FF5A}' => return letter(code - 0xFF41),
        '\u{FF21}'..='\u{FF3A}' => return letter(code - 0xFF21),
        '\u{FF10}'..='\u{FF19}' => return digit(code - 0xFF10),
        // Mathematical alphabets: fifty-two letters each.
        '\u{1D400}'..='\u{1D6A3}' => return letter((code - 0x1D400) % 52),
        '\u{1D7CE}'..='\u{1D7FF}' => return digit(code - 0x1D7CE),
        // In circles, squares and brackets.
        '\u{24B6}'..='\u{24CF}' => return letter(code - 0x24B6),
        '\u{24D0}'..='\u{24E9}' => return letter(code - 0x24D0),
        '\u{249C}'..='\u{24B5}' => return letter(code - 0x249C),
        '\u{1F130}'..='\u{1F149}' => return letter(code - 0x1F130),
        '\u{1F150}'..='\u{1F169}' => return letter(code - 0x1F150),
        '\u{1F170}'..='\u{1F189}' => return letter(code - 0x1F170),
        _ => {}
    }
    Some(match c {
        'а' | 'α' | 'ɑ' | 'ᴀ' | 'ᵃ' => 'a',
        'в' | 'β' | 'ь' | 'ʙ' | 'ᵇ' => 'b',
        'с' | 'ϲ' | 'ᴄ' | 'ᶜ' => 'c',
        'ԁ' | 'ᴅ' | 'ᵈ' => 'd',
        'е' | 'ε' | 'ҽ' | 'ᴇ' | 'ᵉ' | 'є' => 'e',
        'ɡ' | 'ɢ' | 'ᵍ' => 'g',
        'н' | 'һ' | 'հ' | 'ʜ' | 'ʰ' => 'h',
        'і' | 'ι' | 'ɪ' | 'ⁱ' => 'i',
        'ј' | 'ᴊ' | 'ʲ' => 'j',
        'к' | 'κ' | 'ᴋ' | 'ᵏ' => 'k',
        'ӏ' | 'ʟ' | 'ˡ' | 'ⅼ' => 'l',
        'м' | 'ᴍ' | 'ᵐ' | 'ⅿ' => 'm',
        'п' | 'η' | 'ո' | 'ɴ' | 'ⁿ' => 'n',
        'о' | 'ο' | 'օ' | 'ᴏ' | 'ᵒ' => 'o',
        'р' | 'ρ' | 'ᴘ' | 'ᵖ' => 'p',
        'ԛ' => 'q',
        'г' | 'ʀ' | 'ʳ' => 'r',
        'ѕ' | 'ꜱ' | 'ˢ' | 'ʂ' => 's',
        'т' | 'τ' | 'ᴛ' | 'ᵗ' => 't',
        'υ' | 'ս' | 'ᴜ' | 'ᵘ' => 'u',
        'ν' | 'ѵ' | 'ᴠ' | 'ᵛ' | 'ⅴ' => 'v',
        'ԝ' | 'ω' | 'ᴡ' | 'ʷ' => 'w',
        'х' | 'χ' | 'ˣ' | 'ⅹ' => 'x',
        'у' | 'ү' | 'ʏ' | 'ʸ' | 'γ' => 'y',
        'ᴢ' | 'ᶻ' => 'z',
        _ => return None,
    })
}

/// Digits that stand for letters among letters: `st0p`.
fn digit_as_letter(c: char) -> char {
    match c {
        '0' => 'o',
        '1' => 'l',
        '3' => 'e',
        '4' => 'a',
        '5' => 's',
        '7' => 't',
        other => other,
    }
}
