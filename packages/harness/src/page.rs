//! The report page: one HTML file without anything from elsewhere, for a reader with a minute.
//!
//! Top down: a sentence for each split, success with its controls, which object for which goal, then for each split what went
//! wrong and what that looked like; times and identity at the end. Everything that comes from outside (names, sentences, reasons) is
//! escaped by the template.

mod chart;
mod words;

use crate::control::Control;
use crate::failure::Category;
use crate::report::{Comparison, Document, Quantiles, Rate, Run, by_count, p_value};
use crate::strip::Strip;
use chart::{Bar, bars, colour_of_rate};
use efm_sim::ObjectKind;
use efm_sim::tasks::{GOALS, Split, Task};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::collections::BTreeMap;

const STYLE: &str = include_str!("page/style.css");

/// The page of what was found; `strips` lie beside it.
pub fn html(document: &Document, strips: &[Strip]) -> String {
    let report = Report::new(document, strips);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (report.title()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (report.title()) }
                p.sub { (report.subtitle()) }
                (report.verdicts())
                (report.success())
                (report.comparisons())
                (report.matrices())
                (report.splits())
                (report.times())
                (report.identity())
            }
        }
    }
    .into_string()
}

struct Report<'a> {
    document: &'a Document,
    strips: &'a [Strip],
    /// Every actor that is no control, in order, by name and hash.
    actors: Vec<(&'a str, Option<&'a str>)>,
    splits: Vec<&'a str>,
}

impl<'a> Report<'a> {
    fn new(document: &'a Document, strips: &'a [Strip]) -> Self {
        let mut actors = Vec::new();
        let mut splits = Vec::new();
        for run in &document.runs {
            let actor = (run.policy.as_str(), run.policy_sha256.as_deref());
            if !actors.contains(&actor) && !matches!(run.control, Some(Control::Nothing | Control::Random)) {
                actors.push(actor);
            }
            if !splits.contains(&run.split.as_str()) {
                splits.push(&run.split);
            }
        }
        splits.sort_by_key(|name| name.parse::<Split>().map_or(Split::ALL.len(), |split| split as usize));
        Self { document, strips, actors, splits }
    }

    /// Runs that are no control, with their places in the document.
    fn own(&self) -> impl Iterator<Item = (usize, &'a Run)> + '_ {
        self.document.runs.iter().enumerate().filter(|(_, run)| run.control.is_none())
    }

    fn own_of<'b>(&'b self, split: &'b str) -> impl Iterator<Item = (usize, &'a Run)> + 'b {
        self.own().filter(move |(_, run)| run.split == split)
    }

    fn shuffled_of(&self, run: &Run) -> Option<&'a Run> {
        let shuffled = |other: &&Run| {
            other.control == Some(Control::Shuffled)
                && (&other.split, &other.how) == (&run.split, &run.how)
                && other.same_policy(run)
        };
        self.document.runs.iter().find(shuffled)
    }

    fn title(&self) -> String {
        match self.actors[..] {
            [] => "What the controls do".to_owned(),
            [(name, _)] => format!("What {name} can do"),
            _ => "Policies beside each other".to_owned(),
        }
    }

    fn subtitle(&self) -> Markup {
        let first = self.document.runs.first();
        let benchmark = first.map(|run| format!("{} {}", run.benchmark, run.version)).unwrap_or_default();
        let episodes: usize = self.document.runs.iter().map(|run| run.episodes).sum();
        html! {
            "Benchmark " (benchmark) ": a simulated arm is told in a sentence to put one of eight objects left, right or on a plate, "
            "or to push it to a line. " (episodes) " episodes, none of them picked. Bars have 95 % intervals."
        }
    }

    /// A run's actor and way, where there are several.
    fn who(&self, run: &Run) -> String {
        let ways = self.own().any(|(_, other)| other.how != run.how);
        let name = match self.actors.iter().filter(|(name, _)| *name == run.policy).count() {
            0 | 1 => run.policy.clone(),
            _ => format!("{} ({})", run.policy, short(run.policy_sha256.as_deref())),
        };
        match (self.actors.len() > 1, ways) {
            (false, false) => "policy".to_owned(),
            (false, true) => run.how.clone(),
            (true, false) => name,
            (true, true) => format!("{name}, {}", run.how),
        }
    }

    fn verdicts(&self) -> Markup {
        html! {
            ul.verdicts {
                @for split in &self.splits {
                    @for (_, run) in self.own_of(split) {
                        li {
                            span.percent { (run.rate().percent()) }
                            div {
                                strong { (run.split) @if self.actors.len() > 1 || run.how != "in-process" { " — " (self.who(run)) } }
                                ": " (words::about(split)) ". "
                                (words::verdict(run))
                                @if let Some(shuffled) = self.shuffled_of(run) { " " (words::listens(run, shuffled)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn success(&self) -> Markup {
        let order = |run: &&Run| run.control.map_or(0, |control| 1 + control as usize);
        let groups: Vec<(String, Vec<Bar>)> = self
            .splits
            .iter()
            .map(|split| {
                let mut runs: Vec<&Run> = self.document.runs.iter().filter(|run| run.split == **split).collect();
                runs.sort_by_key(order);
                let bar = |run: &&Run| Bar {
                    label: match run.control {
                        None => self.who(run),
                        Some(Control::Shuffled) if self.actors.len() > 1 || run.how != "in-process" => {
                            format!("shuffled: {}", self.who(run))
                        }
                        Some(control) if run.how != "in-process" => format!("{control}, {}", run.how),
                        Some(control) => control.to_string(),
                    },
                    rate: run.rate(),
                    class: match run.control {
                        None => "own",
                        Some(Control::Shuffled) => "shuffled",
                        Some(Control::Random | Control::Nothing) => "idle",
                    },
                };
                ((*split).to_owned(), runs.iter().map(bar).collect())
            })
            .collect();
        let has = |control| self.document.runs.iter().any(|run| run.control == Some(control));
        html! {
            h2 { "Success by split" @if self.document.runs.iter().any(|run| run.control.is_some()) { ", with controls" } }
            (bars(&groups))
            p.note {
                @if has(Control::Shuffled) {
                    strong { "shuffled" } ": every episode hears another one's sentence and is judged by its own; a policy that listens "
                    "fails here. "
                }
                @if has(Control::Random) { strong { "random" } ": the arm wanders at random. " }
                @if has(Control::Nothing) { strong { "nothing" } ": the arm never moves." }
            }
        }
    }

    fn comparisons(&self) -> Markup {
        let all = &self.document.comparisons;
        html! {
            @if !all.is_empty() {
                h2 { "Compared scene by scene" }
                div.wide { table {
                    tr { th { "split" } th { "A" } th { "B" } th.n { "both" } th.n { "only A" } th.n { "only B" } th.n { "neither" } th.n { "p" } }
                    @for c in all { (comparison(c)) }
                } }
                p.note {
                    "p: McNemar's exact test, two-sided: how likely so uneven a split of the scenes on which the two differ would be, were "
                    "both equally good. Below 0.05 usually counts as a difference."
                }
            }
        }
    }

    /// Object by goal. Heldout and novel together have every combination; without them, all there is.
    fn matrices(&self) -> Markup {
        let mut shown: Vec<(String, Vec<&Run>)> = Vec::new();
        for (_, run) in self.own() {
            let who = self.who(run);
            match shown.iter_mut().find(|(name, _)| *name == who) {
                Some((_, runs)) => runs.push(run),
                None => shown.push((who, vec![run])),
            }
        }
        for (_, runs) in &mut shown {
            if runs.iter().any(|run| is_plain(run)) {
                runs.retain(|run| is_plain(run));
            }
        }
        html! {
            @if !shown.is_empty() { h2 { "Which object, for which goal" } }
            @for (who, runs) in &shown {
                @let outcomes: Vec<_> = runs.iter().flat_map(|run| &run.outcomes).collect();
                @let cell = |object: ObjectKind, goal: &str| {
                    Rate::of(outcomes.iter().copied().filter(|o| o.object == object.words() && o.target == goal))
                };
                @if shown.len() > 1 { h3 { (who) } }
                div.wide { table.matrix {
                    tr { th {} @for goal in GOALS { th { (words::goal(goal)) } } }
                    @for object in ObjectKind::ALL {
                        tr {
                            th { (object.words()) }
                            @for task in Task::all().filter(|task| task.object() == object) {
                                @let rate = cell(object, task.goal());
                                td.novel[task.is_novel()] style=[colour_of_rate(&rate)] {
                                    @if rate.n > 0 { (rate.successes) "/" (rate.n) }
                                }
                            }
                        }
                    }
                } }
                p.note {
                    "Successes of episodes; from " (runs.iter().map(|run| run.split.as_str()).collect::<Vec<_>>().join(" and ")) ". "
                    "Dashed: object and goal never come together in training. Few episodes a cell say little: 3 of 4 may be "
                    (interval(&Rate::new(3, 4))) "."
                }
            }
        }
    }

    fn splits(&self) -> Markup {
        html! {
            @for split in &self.splits {
                @for (place, run) in self.own_of(split) {
                    section {
                        h2 { "Where it fails: " (run.split) @if self.actors.len() > 1 || run.how != "in-process" { " — " (self.who(run)) } }
                        p { (run.episodes - run.successes) " of " (run.episodes) " failed: " (words::about(split)) "." }
                        (failures(run))
                        @for strip in self.strips.iter().filter(|strip| strip.run == place) { (figure(run, strip)) }
                        details {
                            summary { "By kind, goal and object" }
                            (groups("kind", &run.by_kind))
                            (groups("goal", &run.by_goal))
                            (groups("object", &run.by_object))
                        }
                    }
                }
            }
        }
    }

    fn times(&self) -> Markup {
        let ms = |q: Option<Quantiles>| q.map(|q| format!("{:.1} / {:.1} / {:.1}", q.p50, q.p90, q.p99));
        html! {
            h2 { "Times" }
            div.wide { table {
                tr { th { "run" } th.n { "inference, ms" } th.n { "to success, s" } th.n { "times real time" } }
                @for run in &self.document.runs {
                    tr {
                        td { @if self.actors.len() > 1 && run.control.is_none_or(|c| c == Control::Shuffled) { (self.who(run)) ", " } (run.title()) }
                        td.n { (ms(run.latency_ms).unwrap_or_default()) }
                        td.n { (ms(run.seconds_to_success).unwrap_or_default()) }
                        td.n { @if let Some(x) = run.times_real_time { (format!("{x:.1}")) } }
                    }
                }
            } }
            p.note {
                "Median / 90th / 99th percentile. Inference: wall time of one chunk, resizing not included; through the graph, from the "
                "observation to the command. Times real time: simulated seconds a second of one worker."
            }
        }
    }

    fn identity(&self) -> Markup {
        html! {
            h2 { "What was run" }
            dl {
                @for (name, hash) in &self.actors {
                    dt { (name) }
                    dd { @if let Some(hash) = hash { code { "sha256 " (hash) } } @else { "not a package" } }
                }
                dt { "benchmark, seeds" }
                dd {
                    @for run in &self.document.runs {
                        div {
                            (run.benchmark) " " (run.version) ", " (run.title()) ": " (run.policy)
                            @if let (Some(first), Some(last)) = (run.outcomes.first(), run.outcomes.last()) {
                                ", scenes of seeds " (first.seed) " to " (last.seed)
                            }
                            @if let Some(delay) = run.delay_ms { ", " (format!("{delay:.0}")) " ms from observation to streamer" }
                        }
                    }
                }
                dt { "command" }
                dd { @for line in self.document.command.lines() { code { (line) } br; } }
            }
            p.note {
                "Success: the object is within 4 cm of its target, upright, let go and at rest for half a second, within 25 s; no other object "
                "was moved by 3 cm. Intervals: Wilson, 95 %. The same seeds give the same episodes."
            }
        }
    }
}

fn is_plain(run: &Run) -> bool {
    run.split == Split::Heldout.name() || run.split == Split::Novel.name()
}

fn short(hash: Option<&str>) -> &str {
    hash.map_or("", |hash| hash.get(..8).unwrap_or(hash))
}

fn interval(rate: &Rate) -> String {
    format!("{:.0} to {:.0} %", 100.0 * rate.wilson95.low, 100.0 * rate.wilson95.high)
}

fn comparison(c: &Comparison) -> Markup {
    let (a, b) = c.names();
    html! {
        tr {
            td { (c.split) }
            td { (a) }
            td { (b) }
            td.n { (c.both) }
            td.n { (c.only_a) }
            td.n { (c.only_b) }
            td.n { (c.neither) }
            td.n { (p_value(c.p)) }
        }
    }
}

/// What went wrong, as bars.
fn failures(run: &Run) -> Markup {
    let failed = run.episodes - run.successes;
    html! {
        @for (category, n) in by_count(&run.failures) {
            @let share = 100.0 * n as f64 / failed.max(1) as f64;
            div.failure {
                div.bar style=(format!("width:{:.1}%", share.max(1.0))) {}
                span { b { (n) } " " (category.words()) }
            }
        }
    }
}

fn groups(what: &str, groups: &BTreeMap<String, Rate>) -> Markup {
    html! {
        table {
            tr { th { (what) } th.n { "successes" } th.n { "share" } th.n { "95 % interval" } }
            @for (name, rate) in groups {
                tr {
                    td { (name) }
                    td.n { (rate.successes) " of " (rate.n) }
                    td.n { (rate.percent()) }
                    td.n { (interval(rate)) }
                }
            }
        }
    }
}

fn figure(run: &Run, strip: &Strip) -> Markup {
    let Some(outcome) = run.outcomes.get(strip.episode) else { return html! {} };
    let times: Vec<String> = strip.times.iter().map(|t| format!("{t:.1}")).collect();
    html! {
        figure {
            img src=(strip.file) width="643" height="322" loading="lazy" alt={ "six pictures of the episode: " (outcome.goal) };
            figcaption {
                q { (outcome.goal) }
                " "
                @match outcome.failure {
                    None => { b.good { "done" } " in " (format!("{:.1}", outcome.seconds)) " s" },
                    Some(category) => {
                        b.bad { (category.words()) }
                        @if !outcome.reason.is_empty() && category != Category::NotReached { ": " (outcome.reason) }
                        ", after " (format!("{:.1}", outcome.seconds)) " s"
                        @if 10 * outcome.refused >= outcome.looks.max(1) {
                            "; " (outcome.refused) " of " (outcome.looks) " chunks were out of reach or refused"
                        }
                    },
                }
                span.small {
                    " Pictures at " (times.join(", ")) " s. Seed " (outcome.seed) "."
                    @if !strip.same { " Run again, this episode ended differently: the pictures are not of what was counted." }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{outcomes, run, subject};

    fn page(runs: Vec<Run>, strips: &[Strip]) -> String {
        html(&Document::new("efm-eval --policy x".into(), runs), strips)
    }

    fn everything() -> Vec<Run> {
        let failed: Vec<u64> = (0..30).collect();
        let mut runs = Vec::new();
        for split in Split::EVALUATION {
            runs.push(run(split, None, 40, &[1, 2, 3]));
            runs.push(run(split, Some(Control::Shuffled), 40, &failed));
            for control in [Control::Random, Control::Nothing] {
                runs.push(Run {
                    policy: control.to_string(),
                    policy_sha256: None,
                    ..run(split, Some(control), 40, &failed)
                });
            }
        }
        runs
    }

    #[test]
    fn every_split_has_its_sentence_first_and_the_policy_stands_in_the_title() {
        let page = page(everything(), &[]);
        assert!(page.contains("<h1>What p 1 can do</h1>"));
        let top = page.split("<h2>").next().unwrap_or_default();
        for split in Split::EVALUATION {
            assert!(top.contains(&format!("<strong>{split}")), "{split}: {top}");
        }
        assert!(top.contains("37 of 40"), "{top}");
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let page = page(everything(), &[]);
        for word in ["http://", "https://", "//cdn", "<script", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn what_comes_from_outside_is_text_and_never_markup() {
        let evil = "<script>alert('x')</script>\"&";
        let mut all = outcomes(Split::Heldout, 3, &[0]);
        for outcome in &mut all {
            outcome.goal = evil.into();
            outcome.reason = evil.into();
            outcome.object = evil.into();
        }
        let mut subject = subject(Split::Heldout, None);
        subject.policy = evil.into();
        let strips = [Strip { run: 0, episode: 0, file: "\"><script>.jpg".into(), times: vec![0.0], same: false }];
        let mut run = Run::new(subject, all);
        run.split = evil.into();
        run.policy_sha256 = Some(evil.into());
        let page = html(&Document::new(evil.into(), vec![run.clone(), Run { how: evil.into(), ..run }]), &strips);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert"), "{page}");
        assert!(!page.contains("src=\"\">"), "{page}");
    }

    #[test]
    fn the_matrix_has_every_combination_and_marks_the_novel_ones() {
        let page = page(vec![run(Split::Heldout, None, 60, &[])], &[]);
        let matrix = page.split("class=\"matrix\"").nth(1).and_then(|rest| rest.split("</table>").next()).unwrap_or("");
        assert_eq!(matrix.matches("<td").count(), 32);
        assert_eq!(matrix.matches("class=\"novel\"").count(), 8);
    }

    #[test]
    fn a_strip_stands_with_its_sentence_and_what_went_wrong_and_says_when_it_could_not_be_repeated() {
        let run = run(Split::Novel, None, 4, &[2]);
        let goal = run.outcomes[2].goal.clone();
        let strip = |same| Strip { run: 0, episode: 2, file: "a.jpg".into(), times: vec![0.0, 5.0], same };
        let page_of = |same| page(vec![run.clone()], &[strip(same)]);
        let text = page_of(true);
        assert!(text.contains("src=\"a.jpg\"") && text.contains(&goal) && text.contains("close, but not in"), "{text}");
        assert!(!text.contains("ended differently") && page_of(false).contains("ended differently"));
    }

    #[test]
    fn two_policies_are_told_apart_even_with_one_name() {
        let mut other = run(Split::Heldout, None, 10, &[0, 1, 2, 3, 4, 5]);
        other.policy_sha256 = Some("0123456789".into());
        let page = page(vec![run(Split::Heldout, None, 10, &[]), other], &[]);
        assert!(page.contains("Policies beside each other") && page.contains("p 1 (01234567)"), "{page}");
        assert!(page.contains("0.0313"), "the comparison");
    }

    #[test]
    fn a_page_of_controls_alone_or_of_nothing_is_a_page_too() {
        assert!(page(vec![run(Split::Heldout, Some(Control::Nothing), 3, &[0, 1, 2])], &[]).contains("nothing"));
        assert!(page(vec![], &[]).contains("</html>"));
    }
}
