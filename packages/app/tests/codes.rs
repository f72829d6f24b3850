//! The codes of reasons: each declared once, none given away twice, and the page says what is declared.
//!
//! After one was added, `EFM_UPDATE=1 cargo test -p efm_app --test codes` writes the page anew.
#![allow(clippy::unwrap_used)]

use efm_app::reasons;
use efm_core::Code;
use efm_core::limited::LIMITED_BY;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

fn all() -> BTreeMap<&'static str, Code> {
    reasons::all().map(|code| (code.code, *code)).collect()
}

#[test]
fn no_code_is_declared_twice_and_all_are_in_snake_case() {
    assert_eq!(all().len(), reasons::all().count());
    for code in all().values() {
        assert!(Code::is_well_formed(code.code), "{code:?}");
        assert!(!code.means.is_empty() && !code.means.ends_with('.'), "{code:?}");
        assert!(reasons::is_listed(code.code));
    }
    assert!(!reasons::is_listed("") && !reasons::is_listed("whim"));
    assert_eq!(reasons::SILENT, efm_core::health::SILENT);
}

#[test]
fn the_page_says_what_is_declared() {
    let mut page = "# Codes\n\n\
        Why nothing moves, or why something is refused, as a word for machines. The words of a message may\n\
        change, and figures in them do; a code does not. Diagnostics have it under the key `code`:\n\
        `motion` of `trajectory_publisher` (what the arm does; that of the last refused action chunk is\n\
        under `last refusal code`), and all tasks of `vla_inference`, `camera_ingest` and `goal_intake`.\n\
        `goal_status` has it in the field `code` where a goal is refused, held or aborted. Monitors and\n\
        proposers of your own have codes of their own, which are not in this list.\n\n\
        Written from the declarations by `EFM_UPDATE=1 cargo test -p efm_app --test codes`; a test fails\n\
        where they differ.\n\n\
        | Code | What it means |\n|---|---|\n"
        .to_owned();
    for code in all().values() {
        writeln!(page, "| `{}` | {} |", code.code, code.means).unwrap();
    }
    page += "\n## What the arm is slowed down by\n\n\
        The number is `limited_by` of `~/filter_state`; the words are those of the diagnostics, of\n\
        `efm-replay` and of the drawing of a bag.\n\n\
        | Number | Code | Words |\n|---|---|---|\n";
    for (number, limit) in LIMITED_BY.iter().enumerate() {
        writeln!(page, "| {number} | `{}` | {} |", limit.code, limit.words).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/codes.md");
    if std::env::var_os("EFM_UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/codes.md differs from the declarations; EFM_UPDATE=1 writes it anew");
}
