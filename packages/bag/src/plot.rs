//! A [`Timeline`] as a drawing: one SVG file without anything from elsewhere.

use crate::timeline::{Camera, Chunk, Filtered, Joint, Range, Timeline};
use base64::Engine;
use maud::{Markup, PreEscaped, html};

/// Columns of the drawing that hold data; a timeline has as many steps.
pub const COLUMNS: usize = 1000;

const WIDTH: f64 = COLUMNS as f64;
const LEFT: f64 = 180.0;
const RIGHT: f64 = 24.0;
const STYLE: &str = "text { font: 11px system-ui, sans-serif; fill: #1c2430; } .title { font-weight: 700; font-size: 14px; } \
    .head { font-weight: 600; } .tick { fill: #5a6675; font-size: 10px; } .grid { stroke: #e3e8ee; } \
    .measured { fill: none; stroke: #2f78c4; stroke-width: 1.4; } .commanded { fill: none; stroke: #b4441a; stroke-width: 1; } \
    .chunk { stroke: #8a5fb5; stroke-width: 2; stroke-opacity: 0.75; } .waited { stroke: #c9b6de; stroke-width: 2; } .came { fill: #4b2a73; } \
    .frame { fill: #7d8a99; } .gap, .blocked { fill: #c0392b; } .disarmed { fill: #d5dbe2; } .change { stroke: #1d7a43; stroke-dasharray: 3 3; } \
    .asked { fill: #1d7a43; } .panel { fill: #f8fafc; }";

/// What slows the arm down, by the number in `filter_state`, and its colour.
const LIMITS: [(&str, &str); 10] = [
    ("nothing", "#9aa5b1"),
    ("velocity", "#e2b33c"),
    ("acceleration", "#e08e2b"),
    ("jerk", "#c8642a"),
    ("speed of the tool", "#7aa74f"),
    ("speed scale", "#4f7fb0"),
    ("old observation", "#8a5fb5"),
    ("obstacle, itself or workspace", "#c0392b"),
    ("finding back to the path", "#3f9a8f"),
    ("a monitor", "#5d4037"),
];

/// Draws a timeline.
pub fn svg(timeline: &Timeline, title: &str) -> String {
    let mut page = Page { y: 44.0, parts: Vec::new(), seconds: timeline.seconds };
    let instructions = instructions(timeline, &mut page);
    for camera in &timeline.cameras {
        page.camera(camera);
    }
    if !timeline.chunks.is_empty() {
        page.chunks(&timeline.chunks, timeline.all_chunks);
    }
    if let Some(filter) = &timeline.filter {
        page.filter(filter, timeline.slowed);
    }
    for (i, joint) in timeline.joints.iter().enumerate() {
        page.joint(joint, i == 0);
    }
    let bottom = page.y;
    let notes: Vec<String> = timeline
        .problems
        .iter()
        .take(12)
        .cloned()
        .chain(
            (timeline.malformed > 0).then(|| format!("{} messages are not what their type says", timeline.malformed)),
        )
        .collect();
    let (width, height) = (LEFT + WIDTH + RIGHT, bottom + 34.0 + 14.0 * notes.len() as f64);
    let tick = tick(timeline.seconds);
    let (sec, nanosec) = timeline.begin.to_sec_nanosec();
    let drawing = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) role="img" aria-label="a bag along time" {
            style { (PreEscaped(STYLE)) }
            rect width=(width) height=(height) fill="#fff" {}
            text.title x="12" y="20" { (title) }
            text.tick x=(width - RIGHT) y="20" text-anchor="end" {
                (format!("{:.1} s from {sec}.{:03} s on", timeline.seconds, nanosec / 1_000_000))
            }
            @for k in 0..=(timeline.seconds / tick + 1.0e-9) as usize {
                @let second = k as f64 * tick;
                @let x = format!("{:.1}", page.x(second));
                line.grid x1=(x) x2=(x) y1="34" y2=(bottom) {}
                text.tick x=(x) y=(bottom + 14.0) text-anchor="middle" { (format!("{}", (1e3 * second).round() / 1e3)) " s" }
            }
            @for part in &page.parts { (part) }
            @for (second, _) in &timeline.instructions {
                @let x = format!("{:.1}", page.x(*second));
                line.change x1=(x) x2=(x) y1="34" y2=(bottom) {}
            }
            (instructions)
            @for (i, note) in notes.iter().enumerate() {
                text.tick x="12" y=(bottom + 32.0 + 14.0 * i as f64) { "! " (cut(note, 200)) }
            }
        }
    };
    drawing.into_string() + "\n"
}

/// What was asked for, in as many lines as it takes that no text runs into the next.
fn instructions(timeline: &Timeline, page: &mut Page) -> Markup {
    let mut ends: Vec<f64> = Vec::new();
    let mut placed = Vec::new();
    for (second, text) in &timeline.instructions {
        let text = cut(if text.is_empty() { "(nothing)" } else { text }, 60);
        let length = 6.2 * text.chars().count() as f64 + 12.0;
        // Near the end it stands on the left of its line.
        let x = page.x(*second);
        let begin = if x + length > LEFT + WIDTH { x - length } else { x };
        let line = ends.iter().position(|end| *end <= begin).unwrap_or(ends.len()).min(7);
        if line == ends.len() {
            ends.push(0.0);
        }
        ends[line] = begin + length;
        placed.push((begin + 4.0, page.y + 11.0 + 14.0 * line as f64, text));
    }
    let top = page.y;
    if !placed.is_empty() {
        page.y += 14.0 * ends.len() as f64 + 8.0;
    }
    html! {
        @if !placed.is_empty() { text.head x="12" y=(top + 11.0) { "instruction" } }
        @for (x, y, text) in &placed { text.asked x=(format!("{x:.1}")) y=(y) { (text) } }
    }
}

struct Page {
    /// Where the next part begins.
    y: f64,
    parts: Vec<Markup>,
    seconds: f64,
}

impl Page {
    fn x(&self, second: f64) -> f64 {
        LEFT + WIDTH * second / self.seconds
    }

    fn camera(&mut self, camera: &Camera) {
        const STRIP: f64 = 26.0;
        let tallest = camera.thumbnails.iter().map(|(_, _, height, _)| f64::from(*height)).fold(0.0, f64::max);
        let (top, strip) = (self.y, self.y + tallest + 6.0);
        // An interval of six usual ones or more fills the strip.
        let full = 6.0 * camera.usual_s;
        let hertz = if camera.usual_s > 0.0 { format!("{:.1} Hz, ", 1.0 / camera.usual_s) } else { String::new() };
        self.parts.push(html! {
            text.head x="12" y=(top + 12.0) { (cut_front(&camera.topic, 26)) }
            text.tick x="12" y=(top + 27.0) { (camera.frames) " frames" }
            text.tick x="12" y=(top + 40.0) { (hertz) (camera.gaps) " gaps" }
            text.tick x="12" y=(top + 53.0) { "longest " (format!("{:.0}", 1e3 * camera.longest_s)) " ms" }
            @for (k, (second, width, height, png)) in camera.thumbnails.iter().enumerate() {
                // Beside each other, each with a line to its moment.
                @let place = LEFT + WIDTH / 10.0 * k as f64 + 2.0;
                @let moment = self.x(*second);
                image x=(format!("{place:.1}")) y=(top) width=(width) height=(height)
                    href=(format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(png))) {
                    title { (format!("{second:.2} s")) }
                }
                line.grid x1=(format!("{moment:.1}")) x2=(format!("{moment:.1}")) y1=(top + tallest) y2=(strip) stroke="#7d8a99" {}
            }
            rect.panel x=(LEFT) y=(strip) width=(WIDTH) height=(STRIP) {}
            @for (step, interval) in camera.intervals.iter().enumerate() {
                @if let Some(interval) = interval {
                    @let height = if full > 0.0 { (interval / full).clamp(0.02, 1.0) * STRIP } else { 1.0 };
                    @let is_gap = *interval > 2.5 * camera.usual_s;
                    rect class=(if is_gap { "gap" } else { "frame" }) x=(LEFT + step as f64) y=(format!("{:.1}", strip + STRIP - height))
                        width=(if is_gap { 2 } else { 1 }) height=(format!("{height:.1}")) {
                        @if is_gap { title { (format!("{:.0} ms without a frame", 1e3 * interval)) } }
                    }
                }
            }
        });
        self.y = strip + STRIP + 12.0;
    }

    fn chunks(&mut self, chunks: &[Chunk], all: u64) {
        const LANE: f64 = 5.0;
        let top = self.y;
        // As many lanes as chunks lie over each other, within reason.
        let mut ends: Vec<f64> = Vec::new();
        let lanes: Vec<usize> = chunks
            .iter()
            .map(|chunk| {
                let (observed, end) = (chunk.observed, chunk.ends.max(chunk.came));
                let lane = ends.iter().position(|end| *end <= observed).unwrap_or(ends.len());
                let lane = if lane < 16 { lane } else { earliest(&ends) };
                if lane == ends.len() {
                    ends.push(end);
                }
                ends[lane] = end;
                lane
            })
            .collect();
        let inside = |second: f64| format!("{:.1}", self.x(second.clamp(0.0, self.seconds)));
        let part = html! {
            text.head x="12" y=(top + 12.0) { "action chunks" }
            text.tick x="12" y=(top + 27.0) {
                (all) @if all != chunks.len() as u64 { ", " (chunks.len()) " drawn" }
            }
            text.tick x="12" y=(top + 40.0) { "pale: until it came" }
            @for (chunk, lane) in chunks.iter().zip(&lanes) {
                @let y = top + 6.0 + LANE * *lane as f64;
                line.waited x1=(inside(chunk.observed)) x2=(inside(chunk.came)) y1=(y) y2=(y) {}
                line.chunk x1=(inside(chunk.came)) x2=(inside(chunk.ends.max(chunk.came))) y1=(y) y2=(y) {
                    title {
                        (format!("observed {:.3} s, came {:.0} ms later, ends {:.3} s", chunk.observed, 1e3 * (chunk.came - chunk.observed), chunk.ends))
                    }
                }
                circle.came cx=(inside(chunk.came)) cy=(y) r="1.7" {}
            }
        };
        self.parts.push(part);
        self.y += (LANE * ends.len() as f64 + 8.0).max(48.0) + 8.0;
    }

    fn filter(&mut self, filter: &[Option<Filtered>], (slowed, all): (u64, u64)) {
        const HEIGHT: f64 = 44.0;
        let (top, bottom) = (self.y + 16.0, self.y + 16.0 + HEIGHT);
        let known: Vec<&Filtered> = filter.iter().flatten().collect();
        let mut legend = Vec::new();
        let mut x = LEFT;
        for (i, (name, colour)) in LIMITS.iter().enumerate().skip(1) {
            if known.iter().any(|f| usize::from(f.limited_by) == i) {
                legend.push((x, *name, *colour));
                x += 6.0 * name.len() as f64 + 28.0;
            }
        }
        self.parts.push(html! {
            text.head x="12" y=(top + 2.0) { "safety filter" }
            text.tick x="12" y=(top + 16.0) { "slowed in " (format!("{:.1}", 100.0 * slowed as f64 / all.max(1) as f64)) " %" }
            text.tick x="12" y=(top + 29.0) { "hanging: speed taken" }
            text.tick x="12" y=(top + 42.0) { "red below: refused" }
            @for (x, name, colour) in &legend {
                rect x=(x) y=(top - 13.0) width="9" height="9" fill=(colour) {}
                text.tick x=(x + 13.0) y=(top - 5.0) { (name) }
            }
            rect.panel x=(LEFT) y=(top) width=(WIDTH) height=(HEIGHT) {}
            @for (begin, length, f) in runs(filter) {
                @let (x, w) = (LEFT + begin as f64, length);
                @let taken = HEIGHT * (1.0 - f.rate);
                @let (name, colour) = LIMITS.get(usize::from(f.limited_by)).unwrap_or(&("unknown", "#9aa5b1"));
                @if f.disarmed { rect.disarmed x=(x) y=(top) width=(w) height=(HEIGHT) { title { "disarmed" } } }
                // What is limited by nothing and slow is slow because the path ends.
                @if taken > 0.4 || f.limited_by != 0 {
                    rect x=(x) y=(top) width=(w) height=(format!("{:.1}", taken.max(2.0))) fill=(colour) {
                        title { (format!("{:.0} % of the speed, limited by {name}", 100.0 * f.rate)) }
                    }
                }
                @if f.blocked { rect.blocked x=(x) y=(bottom) width=(w) height="5" { title { "a plan was refused" } } }
            }
        });
        self.y = bottom + 16.0;
    }

    fn joint(&mut self, joint: &Joint, first: bool) {
        const HEIGHT: f64 = 56.0;
        if first {
            let y = self.y + 10.0;
            self.parts.push(html! {
                text.head x="12" y=(y) { "joints" }
                line.measured x1=(LEFT) x2=(LEFT + 18.0) y1=(y - 4.0) y2=(y - 4.0) {}
                text.tick x=(LEFT + 23.0) y=(y) { "measured" }
                line.commanded x1=(LEFT + 90.0) x2=(LEFT + 108.0) y1=(y - 4.0) y2=(y - 4.0) {}
                text.tick x=(LEFT + 113.0) y=(y) { "commanded" }
            });
            self.y += 18.0;
        }
        let all = || joint.measured.iter().chain(&joint.commanded).flatten();
        let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), r| (a.min(r.low), b.max(r.high)));
        if low > high {
            return;
        }
        // What stands still is a line in the middle, not noise.
        let (middle, half) = ((low + high) / 2.0, ((high - low) / 2.0).max(0.01));
        let top = self.y;
        let y = |value: f64| top + HEIGHT / 2.0 - (value - middle) / half * (HEIGHT / 2.0 - 3.0);
        self.parts.push(html! {
            text x="12" y=(top + 12.0) { (cut(&joint.name, 22)) }
            text.tick x=(LEFT - 5.0) y=(top + 10.0) text-anchor="end" { (format!("{high:.2}")) }
            text.tick x=(LEFT - 5.0) y=(top + HEIGHT - 2.0) text-anchor="end" { (format!("{low:.2}")) }
            rect.panel x=(LEFT) y=(top) width=(WIDTH) height=(HEIGHT) fill-opacity="0.6" {}
            path.measured d=(path(&joint.measured, y)) {}
            path.commanded d=(path(&joint.commanded, y)) {}
        });
        self.y += HEIGHT + 4.0;
    }
}

/// The lane that ends first.
fn earliest(ends: &[f64]) -> usize {
    let first = ends.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
    first.map_or(0, |(lane, _)| lane)
}

/// A line through steps, from low to high within each; it breaks where nothing is known for longer than some steps.
fn path(values: &[Option<Range>], y: impl Fn(f64) -> f64) -> String {
    const BREAK: usize = 12;
    let mut d = String::new();
    let mut before: Option<usize> = None;
    for (step, range) in values.iter().enumerate().filter_map(|(step, value)| Some((step, (*value)?))) {
        let x = LEFT + step as f64 + 0.5;
        let pen = if before.is_some_and(|before| step - before <= BREAK) { 'L' } else { 'M' };
        let (low, high) = (y(range.low), y(range.high));
        if (low - high).abs() < 0.3 {
            d += &format!("{pen}{x} {:.1}", y(range.last));
        } else {
            d += &format!("{pen}{x} {low:.1}L{x} {high:.1}L{x} {:.1}", y(range.last));
        }
        if pen == 'M' {
            // A single point is seen, too.
            d += "h0.5";
        }
        before = Some(step);
    }
    d
}

/// Steps that are the same, as one.
fn runs(filter: &[Option<Filtered>]) -> Vec<(usize, usize, Filtered)> {
    let mut runs: Vec<(usize, usize, Filtered)> = Vec::new();
    let mut unknown = 0;
    for (step, known) in filter.iter().enumerate() {
        let Some(known) = known else {
            // Between two messages it holds, for a while.
            unknown += 1;
            if unknown <= 3
                && let Some(run) = runs.last_mut()
            {
                run.1 += 1;
            }
            continue;
        };
        unknown = 0;
        match runs.last_mut() {
            Some((begin, length, same)) if same == known && *begin + *length == step => *length += 1,
            _ => runs.push((step, 1, *known)),
        }
    }
    runs
}

/// Space between ticks: 1, 2 or 5 times a power of ten, for five to twelve of them.
fn tick(seconds: f64) -> f64 {
    let power = 10.0_f64.powf((seconds / 10.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|tick| seconds / tick <= 12.0).unwrap_or(10.0 * power)
}

/// The last letters of a text.
fn cut_front(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    ['…'].into_iter().chain(text.chars().skip(length + 1 - most)).collect()
}

/// A text of at most so many letters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_where_nothing_is_known_and_noise_is_seen_as_a_band() {
        let known = |low, high| Some(Range { low, high, last: low });
        let mut values = vec![known(0.0, 0.0), known(0.0, 5.0), None, known(1.0, 1.0)];
        values.resize(40, None);
        values.push(known(2.0, 2.0));
        let x = |step: usize| LEFT + step as f64 + 0.5;
        let expected = format!("M{} 0.0h0.5L{b} 0.0L{b} 5.0L{b} 0.0L{} 1.0M{} 2.0h0.5", x(0), x(3), x(40), b = x(1));
        assert_eq!(path(&values, |value| value), expected);
    }

    #[test]
    fn a_filter_state_holds_for_some_steps_and_equal_ones_are_one() {
        let state = |rate| Some(Filtered { rate, limited_by: 1, blocked: false, disarmed: false });
        let mut filter = vec![state(0.5), None, state(0.5), state(0.5), state(1.0)];
        filter.extend([None; 10]);
        let found: Vec<(usize, usize)> = runs(&filter).into_iter().map(|(begin, length, _)| (begin, length)).collect();
        assert_eq!(found, [(0, 4), (4, 4)]);
    }

    #[test]
    fn texts_are_cut_and_axes_have_some_round_ticks() {
        assert_eq!((cut("größer", 4), cut_front("größer", 4)), ("grö…".to_owned(), "…ßer".to_owned()));
        assert_eq!((cut("abc", 3), cut_front("abc", 3)), ("abc".to_owned(), "abc".to_owned()));
        for seconds in [0.001, 0.7, 10.0, 34.0, 3_600.0, 1.0e6] {
            let ticks = seconds / tick(seconds);
            assert!((4.0..=12.1).contains(&ticks), "{seconds}: {ticks}");
        }
    }
}
