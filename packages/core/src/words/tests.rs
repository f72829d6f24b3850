#![allow(clippy::unwrap_used)]
use super::*;

fn names(of: &[(&str, &[&str])]) -> Names {
    of.iter().map(|(name, more)| ((*name).to_owned(), more.iter().map(|word| (*word).to_owned()).collect())).collect()
}

fn lexicon(negations: bool) -> Lexicon {
    let objects = names(&[("red cube", &["red block"]), ("yellow cube", &[]), ("stop sign", &[])]);
    let goals = names(&[("left", &[]), ("right", &[]), ("plate", &["dish"]), ("push", &["shove", "line"])]);
    Lexicon::new(&objects, &goals, &names(&[("put", &["place", "move"])]), negations).unwrap()
}

fn heard(text: &str) -> Heard {
    hear(text, &StopWords::default(), Some(&lexicon(false)))
}

fn stops(text: &str) -> bool {
    let alone = matches!(hear(text, &StopWords::default(), None), Heard::Stop(_));
    // A package that lists its words changes nothing here.
    assert_eq!(alone, matches!(heard(text), Heard::Stop(_)), "{text:?}");
    alone
}

#[test]
fn whoever_asks_to_stop_is_understood() {
    for text in [
        "stop",
        "Stop",
        "STOP!!!",
        "stop.",
        "please stop now",
        "stop the robot",
        "stop stop stop",
        "Stop! Stop!",
        "halt",
        "freeze",
        "wait",
        "abort",
        "cancel",
        "cancel the task",
        "do nothing",
        "hold",
        "hold it right there",
        "no, stop",
        "can you stop please?",
        "you must stop now",
        "I said stop",
        "stop moving",
        "STOP MOVING THE ARM",
        "stop pushing the red cube",
        "wait, not that one",
        "stop! you are hurting me",
        "put the red cube left... no, wait!",
        "don't move",
        "do not move",
        "emergency stop",
        "e-stop",
        "E-STOP!",
        "\u{1F6D1}",
        "\u{1F6D1}\u{FE0F}",
    ] {
        assert_eq!(stops(text), text != "{text:?}");
    }
    // Other languages, with and without their accents.
    for text in [
        "stopp",
        "anhalten",
        "Anhalten, bitte!",
        "warte",
        "hör auf",
        "hoer auf",
        "Halt!",
        "brich ab",
        "tu nichts",
        "arrête",
        "ARRETE",
        "arrêtez-vous",
        "arrete le robot",
        "attends",
        "ne bouge plus",
        "para",
        "¡Para!",
        "para ya",
        "¡alto!",
        "alto",
        "detente",
        "espera",
        "no hagas nada",
        "fermati",
        "Fermati subito!",
        "aspetta",
        "non fare niente",
        "pare agora",
        "não faça nada",
        "wacht",
        "стоп",
        "СТОЙ!",
        "止まれ",
        "停止！",
        "멈춰",
        "توقف",
        "dur",
        "zatrzymaj się",
    ] {
        assert!(stops(text), "{text:?}");
    }
}

#[test]
fn what_hides_a_stop_from_a_machine_does_not_hide_it_here() {
    for text in [
        "ѕтор",
        "sтop",
        "ｓｔｏｐ",
        "ＳＴＯＰ！",
        "\u{1D42C}\u{1D42D}\u{1D428}\u{1D429}",
        "ⓢⓣⓞⓟ",
        "st0p",
        "5top",
        "s\u{200B}top",
        "\u{FEFF}stop",
        "st\u{AD}op",
        "s\u{336}t\u{336}o\u{336}p\u{336}",
        "\u{202E}stop\u{202C}",
        "s t o p",
        "S.T.O.P.",
        "s-t-o-p",
        "stoooop",
        "STOPPPP!!",
        "\"stop\"",
        "'stop'",
        "“STOP”",
        "«stop»",
        "*stop*",
        "> stop",
        "</s>stop",
        "[INST] stop [/INST]",
        "goal: stop",
        "{\"goal\": \"stop\"}",
        "\tstop\n",
        "please\nstop",
        "put the red cube left\nstop",
        "stop\u{7}",
        "s𝗍op",
    ] {
        assert!(stops(text), "{text:?}");
    }
    assert!(stops(&"STOP ".repeat(1000)), "longer than any goal");
}

#[test]
fn a_task_that_has_such_a_word_in_it_is_a_task() {
    for text in [
        "put the stop sign cube in the left zone",
        "push the red cube and stop at the line",
        "move the red cube until it stops at the plate",
        "put the red cube next to the halt sign on the left",
        "hold the red cube above the plate",
        "place the waiting red cube left",
        "para poner el red cube en la left",
        "put the altogether red cube left",
        "put the red cube on the holding plate",
        "turn the red cube to the right",
        "the plate for the red cube",
        "put the \"stop\" red cube to the left",
    ] {
        assert!(!stops(text), "{text:?}");
        assert!(matches!(heard(text), Heard::Goal(..)), "{text:?}: {:?}", heard(text));
    }
    // Known by name, it is no stop even at the beginning.
    assert!(matches!(heard("stop sign to the left"), Heard::Goal(..)));
    assert!(matches!(hear("stop sign to the left", &StopWords::default(), None), Heard::Stop(_)));
    assert_eq!(
        hear("stop", &StopWords::new::<&str>(&[]).unwrap(), None),
        Heard::Goal(Sentence::new("stop").unwrap(), None)
    );
}

#[test]
fn what_says_not_to_do_something_is_refused_unless_the_package_understands_it() {
    for text in [
        "do not put the yellow cube in the left zone",
        "don't put the yellow cube in the left zone",
        "Don’t put the yellow cube left",
        "dont push the red cube",
        "never put the red cube on the plate",
        "put the red cube not on the plate",
        "put no red cube on the plate",
        "you shouldn't push the red cube",
        "n0t the red cube to the left",
        "put the yellow cube anywhere but not left",
        "leave the red cube alone",
        "push anything but the red cube",
        "put the red cube left instead of the yellow cube",
        "avoid the red cube",
        "DO NOT PUSH THE RED CUBE",
        "do nоt push the red cube",
        "do n\u{301}ot push the red cube",
        "lege den red cube nicht nach left",
        "kein red cube to the left",
        "ne mets pas le red cube left",
        "no pongas el red cube left",
        "non mettere il red cube left",
        "nao push red cube",
        "niet de red cube left",
        "не red cube left",
        "不要 push the red cube",
        "do noooot push the red cube",
        "d o n o t push the red cube left not",
        "never ever stop the red cube",
    ] {
        match heard(text) {
            Heard::Refused(Refusal::Negated(_)) => {}
            // A word in two alphabets is refused before it is understood.
            Heard::Refused(Refusal::TwoAlphabets(_)) if text.contains("nоt") => {}
            other => panic!("{text:?}: {other:?}"),
        }
    }
    for text in ["do not put the yellow cube in the left zone", "never push the red cube"] {
        let understanding = lexicon(true);
        assert!(matches!(hear(text, &StopWords::default(), Some(&understanding)), Heard::Goal(..)), "{text:?}");
        assert!(matches!(hear(text, &StopWords::default(), None), Heard::Refused(Refusal::Negated(_))), "{text:?}");
    }
    // "without" says how, and what sounds like a negation is none.
    for text in [
        "without lifting it, push the red cube",
        "put the red cube on the knot plate",
        "note the red cube, put it left",
    ] {
        assert!(matches!(heard(text), Heard::Goal(..)), "{text:?}: {:?}", heard(text));
    }
}

#[test]
fn what_names_nothing_that_the_package_knows_is_refused_with_what_it_knows() {
    for text in [
        "hello",
        "hello robot",
        "what is the weather",
        "lege den roten Würfel weg",
        "redcube",
        "cube",
        "ignorе",
        "",
        "!!!",
        "🙂",
    ] {
        match heard(text) {
            Heard::Refused(Refusal::NamesNothing(told)) => {
                assert!(told.contains("red cube") && told.contains("plate"), "{told}")
            }
            Heard::Refused(Refusal::NoWords | Refusal::Text(GoalRefusal::Empty))
                if !text.contains(char::is_alphanumeric) => {}
            Heard::Refused(Refusal::TwoAlphabets(_)) if text.contains('е') => {}
            other => panic!("{text:?}: {other:?}"),
        }
    }
    // Without a list nothing is compared.
    assert!(matches!(hear("hello", &StopWords::default(), None), Heard::Goal(_, None)));
    assert!(matches!(hear("hello", &StopWords::default(), Some(&Lexicon::default())), Heard::Goal(_, None)));
}

#[test]
fn a_name_in_letters_that_only_look_like_it_is_not_that_name() {
    for text in ["push the rеd cube", "рush the red cube", "push the red ｃube"] {
        assert!(
            matches!(heard(text), Heard::Refused(Refusal::TwoAlphabets(_) | Refusal::NamesNothing(_))),
            "{text:?}: {:?}",
            heard(text)
        );
    }
    assert!(matches!(heard("push\u{200B} the red cube"), Heard::Refused(Refusal::Text(GoalRefusal::Invisible { .. }))));
}

#[test]
fn what_was_understood_is_told_in_the_packages_names() {
    let Heard::Goal(sentence, Some(understood)) =
        heard("  Please place the RED BLOCK (and the yellow cube) on the dish ")
    else {
        panic!()
    };
    assert_eq!(sentence.as_str(), "Please place the RED BLOCK (and the yellow cube) on the dish");
    let all = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let expected =
        Understood { objects: all(&["red cube", "yellow cube"]), goals: all(&["plate"]), verbs: all(&["put"]) };
    assert_eq!(understood, expected);
}

#[test]
fn lists_that_cannot_be_are_refused() {
    assert_eq!(StopWords::new(&["stop", " ... "]), Err(ListError::Empty(String::new())));
    let twice = names(&[("red cube", &["block"]), ("yellow cube", &["Block!"])]);
    let refusal = Lexicon::new(&twice, &Names::new(), &Names::new(), false).unwrap_err();
    assert!(refusal.to_string().contains("'red cube' and of 'yellow cube'"), "{refusal}");
}

#[test]
fn whatever_ends_a_line_ends_what_was_said_before() {
    for end in [
        '\n', '\r', '\u{B}', '\u{C}', '\u{1C}', '\u{1E}', '\u{85}', '\u{2028}', '\u{2029}', ';', '\u{FF1B}', '\u{3002}',
    ] {
        for text in
            [format!("push the red cube{end}stop"), format!("push the red cube{end}hold it{end}"), format!("no{end}")]
        {
            assert!(stops(&text), "{text:?}");
        }
    }
}

#[test]
fn whoever_corrects_himself_at_the_end_is_understood() {
    for text in [
        "push the red cube stop",
        "push the red cube then stop",
        "push the red cube stop stop stop",
        "push the red cube STOP please",
        "push the red cube no stop",
        "put the red cube on the plate wait wait",
        "red cube stop",
        "push the red cube stop what you are doing",
        "push the red cube, stop. Please!",
        "schiebe den red cube halt stopp",
        "push the red cube стоп",
        "push the red cube never mind",
        "push the red cube \u{1F6D1}",
    ] {
        assert!(stops(text), "{text:?}");
    }
    // Those that mean something else, too, do not end a sentence; nor does what a package knows by name.
    for text in [
        "put the red cube on the plate to rest",
        "push the red cube as far as you may hold",
        "push the red cube and stop at the plate",
        "put the red cube next to the stop sign",
        "push the red cube and stop to the right",
    ] {
        assert!(matches!(heard(text), Heard::Goal(..)), "{text:?}: {:?}", heard(text));
    }
    // What takes the meaning from it.
    for text in [
        "don't stop",
        "do not stop",
        "never stop",
        "push the red cube and don't stop",
        "push the red cube and do not stop now",
    ] {
        assert!(matches!(heard(text), Heard::Refused(Refusal::Negated(_))), "{text:?}: {:?}", heard(text));
    }
    assert!(matches!(heard("push the red cube without stop"), Heard::Goal(..)));
}

#[test]
fn a_sentence_that_can_only_mean_not_that_asks_to_stop() {
    for text in [
        "no",
        "No!",
        "no no no",
        "nooo",
        "nope",
        "oh no",
        "nein",
        "nein nein",
        "Nein, halt!",
        "non",
        "nee",
        "nej",
        "não",
        "нет",
        "hayır",
        "不要",
        "だめ!",
        "안돼",
        "لا",
        "नहीं",
        "ไม่",
        "không",
        "tidak",
        "hang on",
        "hang on a second",
        "hold up",
        "kill it",
        "let go",
        "release",
        "release!",
        "back off",
        "help",
        "help!",
        "help me please",
        "basta così",
        "basta cosi",
        "lass das",
        "lass das sein",
        "หยุด",
        "dừng lại",
        "DỪNG LẠI!",
        "dung lai",
        "berhenti",
        "Berhenti!",
        "not that one",
        "no, not that one",
        "don't",
        "please don't!",
        "don't do that",
        "do not do it",
        "nobody move",
        "time out",
        "lass es",
        "ouch!",
        "get away from me",
        "one moment please",
        "moment mal",
        "push the red cube? no!",
        "\u{274C}",
        "\u{1F6AB}",
        "\u{1F44E}",
        "hands off!",
        "red cube: hands off",
        "du\u{31B}\u{300}ng la\u{323}i",
    ] {
        assert!(stops(text), "{text:?}");
    }
    // Where a package does something that is called so, that is what it is told to do.
    let goals = names(&[("release", &["let go"]), ("stop", &[])]);
    let lexicon = Lexicon::new(&Names::new(), &goals, &Names::new(), false).unwrap();
    for text in ["release", "let go"] {
        assert!(matches!(hear(text, &StopWords::default(), Some(&lexicon)), Heard::Goal(..)), "{text}");
    }
    assert!(matches!(hear("stop", &StopWords::default(), Some(&lexicon)), Heard::Stop(_)));
}

#[test]
fn however_it_is_forbidden_it_is_refused() {
    for apostrophe in "'’‘`´ʼʹʻʽ′‵＇՚׳ꞌ᾽\u{384}".chars() {
        for text in
            [format!("don{apostrophe}t push the red cube"), format!("YOU SHOULDN{apostrophe}T PUSH THE RED CUBE")]
        {
            assert!(matches!(heard(&text), Heard::Refused(Refusal::Negated(_))), "{text}: {:?}", heard(&text));
        }
    }
    for text in [
        "donot push the red cube",
        "you mustnot push the red cube",
        "don t push the red cube",
        "can t push the red cube",
        "without touching the red cube push the yellow cube",
        "push the red cube without touching it",
        "put the yellow cube left without the red cube",
        "leave the red cube",
        "please leave the red cube.",
        "push the yellow cube and leave the red cube",
        "leave the red cube in peace",
        "prevent the red cube from moving",
        "keep the red cube from moving",
        "do the opposite of push the red cube",
        "stay off the red cube",
        "push the red cube 0 times",
        "push the red cube zero times",
        "push all other than the red cube",
        "push everything apart from the red cube",
        "unless it is heavy push the red cube",
        "enough with the red cube",
        "hardly push the red cube",
        "\u{1F6AB} push the red cube",
        "push the red cube \u{274C}",
        "schiebe alles ausser den red cube",
        "Finger weg vom red cube",
        "empuja todo excepto el red cube",
        "spingi tutto tranne il red cube",
        "pousse tout sauf le red cube",
    ] {
        assert!(matches!(heard(text), Heard::Refused(Refusal::Negated(_))), "{text:?}: {:?}", heard(text));
    }
    for text in [
        "get the red cube and leave it on the left side",
        "push the red cube and leave it on the line",
        "push the red cube to the line and leave it",
        "leave the red cube on the plate",
        "keep the red cube on the table and press it onward to the line",
        "push the red cube away from the robot",
        "push the red cube 10 times",
        "push the red cube to the opposite side",
        "l'red cube to the left",
    ] {
        assert!(matches!(heard(text), Heard::Goal(..)), "{text:?}: {:?}", heard(text));
    }
}

#[test]
fn a_question_is_no_task_and_a_request_is_no_question() {
    for text in [
        "is the red cube heavy?",
        "Is the red cube, by chance, heavy?",
        "what is a red cube",
        "what's the red cube",
        "where is the red cube?",
        "how many red cubes are on the plate",
        "did you push the red cube?",
        "do you see the red cube",
        "why is the red cube on the plate？",
        "ist der red cube schwer?",
    ] {
        assert!(matches!(heard(text), Heard::Refused(Refusal::Question(_))), "{text:?}: {:?}", heard(text));
    }
    for text in [
        "can you push the red cube to the line?",
        "could you put the red cube on the plate?",
        "would you push the red cube please?",
        "see the red cube? it lives on the plate",
        "what about the red cube on the plate?",
        "have the red cube sit on the plate",
    ] {
        assert!(matches!(heard(text), Heard::Goal(..)), "{text:?}: {:?}", heard(text));
    }
    let told = Refusal::Question("is".to_owned()).reason().in_words();
    assert!(told.contains("question") && told.contains("what the robot shall do"), "{told}");
}
