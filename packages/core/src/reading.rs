//! Files that somebody names, read within a bound. This is the one place that opens what a person, a parameter or a package names.
//!
//! A name may be that of a pipe that nobody writes to, of a device without an end or of a sparse file that is larger than the memory: so it is seen that
//! there is a plain file, and how long it is, before anything is read. `tests/reading.rs` looks for readers elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// What a description of a robot (URDF, SRDF) may be at most, bytes.
pub const DESCRIPTION: u64 = 16 << 20;
/// What a file of settings may be at most, bytes: joint limits, obstacles, manifests, wiring.
pub const SETTINGS: u64 = 4 << 20;
/// What a mesh may be at most, bytes.
pub const MESH: u64 = 128 << 20;
/// What a report, a picture or a list that this suite wrote may be at most, bytes.
pub const REPORT: u64 = 256 << 20;
/// What the operating system tells of itself may be at most, bytes (`/proc`).
pub const SYSTEM: u64 = 4 << 20;

/// Opens a plain file of `most` bytes at most.
///
/// # Errors
/// When it cannot be opened, is no plain file or is longer.
pub fn open(path: impl AsRef<Path>, most: u64) -> Result<File> {
    let path = path.as_ref();
    // Looked at twice: opening a pipe or a device may do something already, and what is opened may be another one by then.
    plain(&std::fs::metadata(path)?, most)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(target_os = "linux")]
    {
        /// Linux's O_NONBLOCK: opening a pipe does not wait for who writes.
        const NONBLOCK: i32 = 0o4000;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, NONBLOCK);
    }
    let file = options.open(path)?;
    plain(&file.metadata()?, most)?;
    Ok(file)
}

/// The bytes of a plain file, `most` at most.
///
/// # Errors
/// When it cannot be read, is no plain file or is longer.
pub fn bytes(path: impl AsRef<Path>, most: u64) -> Result<Vec<u8>> {
    let file = open(path, most)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // What grows meanwhile, and what tells no length (`/proc`), has the same bound.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        found if found > most => Err(too_long(found, most)),
        _ => Ok(bytes),
    }
}

/// The text of a plain file, `most` bytes at most.
///
/// # Errors
/// When it cannot be read, is no plain file, is longer or is not UTF-8.
pub fn text(path: impl AsRef<Path>, most: u64) -> Result<String> {
    let no_text = |error: std::string::FromUtf8Error| {
        let at = error.utf8_error().valid_up_to();
        Error::new(ErrorKind::InvalidData, format!("is not UTF-8 text from byte {at} on"))
    };
    String::from_utf8(bytes(path, most)?).map_err(no_text)
}

fn plain(about: &std::fs::Metadata, most: u64) -> Result<()> {
    if about.is_dir() {
        return Err(Error::new(ErrorKind::IsADirectory, "is a folder; a file is wanted"));
    }
    if !about.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "is a pipe, a socket or a device; a plain file is wanted"));
    }
    if about.len() > most {
        return Err(too_long(about.len(), most));
    }
    Ok(())
}

fn too_long(found: u64, most: u64) -> Error {
    Error::new(ErrorKind::FileTooLarge, format!("has {found} bytes or more; at most {most} are read"))
}

/// Brackets that YAML may open: its parser looks at all that are open for each of them.
pub const MOST_BRACKETS: usize = 20_000;

/// What keeps a text from being read as YAML, in words. Wherever brackets stand they count: who is to be kept from opening them knows how to quote.
pub fn too_many_brackets(yaml: &str) -> Option<String> {
    let found = yaml.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    (found > MOST_BRACKETS).then(|| format!("has {found} opening brackets; at most {MOST_BRACKETS} are read"))
}

/// Whether a text has elements of xacro, comments left out: a program makes a description of them.
pub fn is_xacro(xml: &str) -> bool {
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if rest.starts_with("<xacro:") {
            return true;
        }
        let skip = if rest.starts_with("<!--") { rest.find("-->").unwrap_or(rest.len()) } else { 1 };
        rest = &rest[skip..];
    }
    false
}

/// Longest name that is taken: of a joint, a link, a tensor, an object.
pub const LONGEST_NAME: usize = 1024;

/// What keeps a text from being a name, in words: it is too long, or holds what does not show or shows as something else (control characters, marks that
/// turn the direction of writing).
pub fn wrong_name(name: &str) -> Option<String> {
    if name.len() > LONGEST_NAME {
        let begin: String = name.chars().take(24).flat_map(char::escape_default).collect();
        return Some(format!("'{begin}...' has {} bytes; at most {LONGEST_NAME} are taken", name.len()));
    }
    hidden(name, false).map(|character| {
        let shown = beginning(name, 80);
        format!("'{shown}' holds {character:?}, which does not show as what it is; leave it out")
    })
}

/// The beginning of a text from elsewhere, for people: so many characters of it in one line, what does not show written out; `...` where there is more.
pub fn beginning(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut told = 0;
    for c in text.chars() {
        let before = out.len();
        match hidden(c.encode_utf8(&mut [0; 4]), false) {
            None => out.push(c),
            Some('\0') => out.push_str("\\0"),
            Some(c) => out.extend(c.escape_default()),
        }
        told += out[before..].chars().count();
        if told > most {
            out.truncate(before);
            out.push_str("...");
            break;
        }
    }
    out
}

/// What a parser says of a text, within bounds: it quotes what it did not expect.
pub fn said_by_parser(error: &impl std::fmt::Display) -> String {
    beginning(&error.to_string(), 300)
}

/// Names that are told of a list at most.
const MOST_TOLD: usize = 12;

/// Names one after the other, as many as people read: of a longer list the first, and how many more there are. `none`: what is said of an empty one.
pub fn listed<S: AsRef<str>>(names: &[S], none: &str) -> String {
    let told: Vec<String> = names.iter().take(MOST_TOLD).map(|name| beginning(name.as_ref(), 80)).collect();
    match names.len() {
        0 => none.to_owned(),
        all if all > MOST_TOLD => format!("{} and {} more", told.join(", "), all - MOST_TOLD),
        _ => told.join(", "),
    }
}

/// What is told of several things that are wrong, at most.
const MOST_WRONG: usize = 40;

/// All that is wrong, in one text: where it is one thing, that; of more each with its number, and of very many how many more there are.
pub fn all_told<E: std::fmt::Display>(wrong: &[E]) -> String {
    if let [one] = wrong {
        return one.to_string();
    }
    let told: Vec<String> =
        wrong.iter().take(MOST_WRONG).enumerate().map(|(k, one)| format!("({}) {one}", k + 1)).collect();
    let more =
        if wrong.len() > MOST_WRONG { format!("; and {} more", wrong.len() - MOST_WRONG) } else { String::new() };
    format!("{} things are wrong: {}{more}", wrong.len(), told.join("; "))
}

/// Longest text that is told, bytes.
pub const LONGEST_TOLD: usize = 16 << 10;

/// A text as it may be told: what does not show is written out, and one that is too long is cut. It is the text itself for almost every one.
pub fn shown(text: String) -> String {
    let long = text.len() > LONGEST_TOLD;
    if !long && hidden(&text, true).is_none() {
        return text;
    }
    let mut out = String::with_capacity(text.len().min(LONGEST_TOLD));
    for c in text.chars() {
        if out.len() > LONGEST_TOLD {
            out += &format!("... ({} bytes)", text.len());
            break;
        }
        match hidden(c.encode_utf8(&mut [0; 4]), true) {
            None => out.push(c),
            Some(c) => out.extend(c.escape_default()),
        }
    }
    out
}

/// The first character of a text that does not show, or that makes others show as something else. Ends of lines and tabulators count where `lines` does
/// not allow them.
pub fn hidden(text: &str, lines: bool) -> Option<char> {
    text.chars().find(|c| match c {
        '\n' | '\r' | '\t' => !lines,
        // Marks of direction, what joins nothing, invisible operators, tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' => true,
        '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        c => c.is_control(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    fn folder(of: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("efm_reading_{of}_{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_a_plain_file_within_its_bound_is_read() {
        let folder = folder("plain");
        let file = folder.join("a");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!((bytes(&file, 3).unwrap(), text(&file, 3).unwrap()), (b"abc".to_vec(), "abc".to_owned()));
        std::os::unix::fs::symlink(&file, folder.join("link")).unwrap();
        assert_eq!(text(folder.join("link"), 3).unwrap(), "abc");
        // Tells no length.
        assert!(!text("/proc/self/status", SYSTEM).unwrap().is_empty());
        assert!(text("/proc/self/status", 10).unwrap_err().to_string().contains("at most 10"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_has_no_end_or_is_too_long_or_is_no_file_is_refused_at_once() {
        let folder = folder("odd");
        let (pipe, sparse, empty) = (folder.join("pipe"), folder.join("sparse"), folder.join("none"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        File::create(&sparse).unwrap().set_len(6 << 30).unwrap();
        std::fs::write(folder.join("latin"), [0x66, 0xfc]).unwrap();
        let why = |path: &Path| bytes(path, REPORT).unwrap_err().to_string();
        assert!(why(&pipe).contains("plain file is wanted"));
        assert!(why(Path::new("/dev/zero")).contains("plain file is wanted"));
        assert!(why(&sparse).contains("6442450944 bytes"), "{}", why(&sparse));
        assert!(why(&folder).contains("folder"));
        assert_eq!(bytes(&empty, 1).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(text(folder.join("latin"), 9).unwrap_err().to_string().contains("byte 1"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_told_is_seen_as_it_is_and_has_an_end() {
        for same in ["joint 'panda_joint1' is at 0.1 rad", "öl\n机器人", ""] {
            assert_eq!(shown(same.to_owned()), same);
        }
        assert_eq!(shown("a\u{202e}b\0".to_owned()), "a\\u{202e}b\\u{0}");
        let long = shown("ö".repeat(10 << 20));
        assert!(long.len() < LONGEST_TOLD + 100 && long.ends_with("... (20971520 bytes)"));
    }

    #[test]
    fn the_beginning_of_a_text_and_of_a_list_is_told_within_bounds() {
        assert_eq!((beginning("pick it", 7).as_str(), beginning("pick it", 6).as_str()), ("pick it", "pick i..."));
        assert_eq!(beginning("a\u{202e}b\0", 99), "a\\u{202e}b\\0");
        for piece in ["\u{202e}", "\u{1b}[2J", "e\u{301}", "\0", "a", "\u{10ffff}"] {
            let told = beginning(&piece.repeat(100_000), 80);
            assert!(told.chars().count() <= 83 && told.ends_with("...") && hidden(&told, true).is_none(), "{told}");
        }
        let names: Vec<String> = (0..1000).map(|k| format!("j{k}")).collect();
        assert_eq!((listed(&names[..0], "none").as_str(), listed(&names[..2], "none").as_str()), ("none", "j0, j1"));
        assert!(listed(&names, "").ends_with("j11 and 988 more"), "{}", listed(&names, ""));
        assert!(listed(&["n".repeat(1000)], "").len() < 90);
        assert!(said_by_parser(&format!("invalid type: string \"{}\"", "n".repeat(4000))).len() < 310);
    }

    #[test]
    fn names_show_what_they_are() {
        for good in ["panda_joint1", "öl", "机器人", "a b-c.d/e:0", "", &"n".repeat(LONGEST_NAME)] {
            assert_eq!(wrong_name(good), None);
        }
        for (bad, said) in [
            ("a\u{202e}b", "u{202e}"),
            ("a\u{2066}b", "u{2066}"),
            ("a\u{200b}b", "u{200b}"),
            ("a\nb", "\\n"),
            ("a\0b", "\\0"),
            ("a\u{1b}[31mb", "u{1b}"),
            ("a\u{85}b", "u{85}"),
        ] {
            let told = wrong_name(bad).unwrap();
            assert!(told.contains(said) && hidden(&told, false).is_none(), "{told}");
        }
        let long = wrong_name(&"x".repeat(10 << 20)).unwrap();
        assert!(long.len() < 200 && long.contains("10485760 bytes"), "{long}");
        assert_eq!((hidden("a\nb", true), hidden("a\u{7f}", true)), (None, Some('\u{7f}')));
    }
}
