//! Curves over the latency, a line a mode: how much motion suffers from a policy that is slow. One SVG file without anything from
//! elsewhere.

use crate::flow::{ScheduleFigures, Spread};
use crate::report::{Document, Run};
use maud::{Markup, PreEscaped, html};
use std::collections::BTreeMap;

const STYLE: &str = "text { font: 11px system-ui, sans-serif; fill: #1c2430; } .title { font-weight: 700; font-size: 13px; } \
    .tick { fill: #5a6675; font-size: 10px; } .grid { stroke: #e3e8ee; } .line { fill: none; stroke-width: 2; } \
    .spread { stroke-width: 1; } .median { stroke-dasharray: 3 3; stroke-width: 1.2; fill: none; }";

/// A panel's place for data, in units of the drawing.
const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 150.0;
/// Room around it.
const LEFT: f64 = 52.0;
const TOP: f64 = 30.0;
const CELL: (f64, f64) = (340.0, 230.0);
const LEGEND: f64 = 26.0;

/// One value, with the ends of its whisker and a second value beneath it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    latency: f64,
    value: f64,
    whisker: Option<(f64, f64)>,
    median: Option<f64>,
}

/// A value, the ends of its whisker, and a second value beneath it.
type Figure = (f64, Option<(f64, f64)>, Option<f64>);

struct Panel {
    title: &'static str,
    /// What a unit of the axis is, in words.
    unit: &'static str,
    /// Factor from the figures to the axis.
    scale: f64,
    of: fn(&Run, &ScheduleFigures) -> Figure,
    /// The axis ends here at least.
    least: f64,
}

fn spread(s: &Spread) -> Figure {
    (s.p95, None, Some(s.p50))
}

const PANELS: [Panel; 4] = [
    Panel {
        title: "Success",
        unit: "%",
        scale: 100.0,
        of: |run, _| (run.success_rate, Some((run.wilson95.low, run.wilson95.high)), None),
        least: 100.0,
    },
    Panel {
        title: "Leap of the reference at seams",
        unit: "mrad",
        scale: 1.0e3,
        of: |_, s| spread(&s.seam_jump),
        least: 1.0,
    },
    Panel {
        title: "Jerk of the reference at seams",
        unit: "1000 rad/s³",
        scale: 1.0e-3,
        of: |_, s| spread(&s.seam_jerk),
        least: 1.0,
    },
    Panel { title: "Time standing still", unit: "%", scale: 100.0, of: |_, s| (s.idle, None, None), least: 5.0 },
];

/// Line colours by mode; others take what is left.
fn colour(name: &str) -> &'static str {
    match name.split([' ', ',']).next() {
        Some("blend") => "#2f78c4",
        Some("fifo") => "#b4441a",
        Some("temporal_ensemble") => "#8a5fb5",
        Some("rtc") => "#1d7a43",
        _ => "#5a6675",
    }
}

/// The drawing, of all runs that were measured and are no controls; `None` where there is none.
pub fn svg(document: &Document) -> Option<String> {
    let measured: Vec<(&Run, &ScheduleFigures)> = document
        .runs
        .iter()
        .filter(|run| run.control.is_none())
        .filter_map(|run| Some((run, run.schedule.as_ref()?)))
        .collect();
    let (first, _) = measured.first()?;
    let several = |of: fn(&Run) -> &str| measured.iter().any(|(run, _)| of(run) != of(first));
    let (policies, splits) = (several(|run| &run.policy), several(|run| &run.split));
    let mut lines: BTreeMap<String, Vec<(&Run, &ScheduleFigures)>> = BTreeMap::new();
    for (run, figures) in &measured {
        let mut name = figures.in_mode().to_owned();
        for (shown, part) in [(policies, &run.policy), (splits, &run.split)] {
            if shown {
                name += &format!(", {part}");
            }
        }
        lines.entry(name).or_default().push((run, figures));
    }
    for line in lines.values_mut() {
        line.sort_by(|a, b| a.1.latency_ms.total_cmp(&b.1.latency_ms));
    }
    let longest = measured.iter().map(|(_, figures)| figures.latency_ms).fold(1.0, f64::max);
    let episodes: Vec<usize> = measured.iter().map(|(run, _)| run.episodes).collect();
    let (few, many) = (episodes.iter().min()?, episodes.iter().max()?);
    let about = if few == many { few.to_string() } else { format!("{few} to {many}") };
    let (width, height) = (2.0 * CELL.0, LEGEND + 2.0 * CELL.1 + 22.0 + 16.0 * lines.len().saturating_sub(4) as f64);
    let drawing = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) role="img"
            aria-label="success, leaps, jerk and idle time over the latency of the policy" {
            style { (PreEscaped(STYLE)) }
            rect width=(width) height=(height) fill="#fff" {}
            @for (i, name) in lines.keys().enumerate() {
                // Four side by side.
                @let (x, y) = (LEFT + 150.0 * (i % 4) as f64, 16.0 + 16.0 * (i / 4) as f64);
                line class="line" x1=(x) x2=(x + 18.0) y1=(y - 4.0) y2=(y - 4.0) stroke=(colour(name)) {}
                text x=(x + 23.0) y=(y) { (name) }
            }
            @for (i, panel) in PANELS.iter().enumerate() {
                @let (x, y) = (CELL.0 * (i % 2) as f64, LEGEND + CELL.1 * (i / 2) as f64);
                g transform=(format!("translate({x} {y})")) { (one(panel, &lines, longest)) }
            }
            text.tick x=(LEFT) y=(height - 8.0) {
                (about) " episodes a point. Leap and jerk: 95th percentile of all seams, dashed the median, before the safety filter. "
                "Success: 95 % intervals."
            }
        }
    };
    Some(drawing.into_string() + "\n")
}

fn one(panel: &Panel, lines: &BTreeMap<String, Vec<(&Run, &ScheduleFigures)>>, longest: f64) -> Markup {
    let points: Vec<(&String, Vec<Point>)> = lines
        .iter()
        .map(|(name, line)| {
            let point = |(run, figures): &(&Run, &ScheduleFigures)| {
                let (value, whisker, median) = (panel.of)(run, figures);
                let s = panel.scale;
                let whisker = whisker.map(|(low, high)| (s * low, s * high));
                Point { latency: figures.latency_ms, value: s * value, whisker, median: median.map(|m| s * m) }
            };
            (name, line.iter().map(point).collect())
        })
        .collect();
    let most = points.iter().flat_map(|(_, line)| line).map(|p| p.value).fold(panel.least, f64::max);
    let tick = tick(most);
    // Success ends at 100 %; the others at a whole tick.
    let top = (most / tick - 1.0e-9).ceil() * tick;
    let x = |latency: f64| LEFT + WIDTH * latency / longest;
    let y = |value: f64| TOP + HEIGHT * (1.0 - value / top);
    let path = |values: &mut dyn Iterator<Item = (f64, f64)>| {
        let mut d = String::new();
        for (i, (at, value)) in values.enumerate() {
            d += &format!("{}{:.1} {:.1}", if i == 0 { "M" } else { "L" }, x(at), y(value));
        }
        d
    };
    let mut latencies: Vec<f64> = points.iter().flat_map(|(_, line)| line).map(|p| p.latency).collect();
    latencies.sort_by(f64::total_cmp);
    latencies.dedup();
    let shown = spaced(&latencies, longest);
    html! {
        text.title x=(LEFT) y="14" { (panel.title) }
        text.tick x=(LEFT) y=(TOP - 4.0) text-anchor="end" { (panel.unit) }
        @for k in 0..=(top / tick).round() as usize {
            @let value = k as f64 * tick;
            line.grid x1=(LEFT) x2=(LEFT + WIDTH) y1=(format!("{:.1}", y(value))) y2=(format!("{:.1}", y(value))) {}
            text.tick x=(LEFT - 5.0) y=(format!("{:.1}", y(value) + 3.5)) text-anchor="end" { (format!("{}", (1e6 * value).round() / 1e6)) }
        }
        @for latency in &shown {
            text.tick x=(format!("{:.1}", x(*latency))) y=(TOP + HEIGHT + 14.0) text-anchor="middle" { (format!("{latency:.0}")) }
        }
        text.tick x=(LEFT + WIDTH) y=(TOP + HEIGHT + 27.0) text-anchor="end" { "latency, ms" }
        @for (name, line) in &points {
            @let stroke = colour(name);
            @for point in line {
                @if let Some((low, high)) = point.whisker {
                    @let at = format!("{:.1}", x(point.latency));
                    line.spread x1=(at) x2=(at) y1=(format!("{:.1}", y(low))) y2=(format!("{:.1}", y(high))) stroke=(stroke) {}
                }
            }
            @if line.iter().any(|p| p.median.is_some()) {
                path.median stroke=(stroke) d=(path(&mut line.iter().filter_map(|p| Some((p.latency, p.median?))))) {}
            }
            path.line stroke=(stroke) d=(path(&mut line.iter().map(|p| (p.latency, p.value)))) {}
            @for point in line {
                circle cx=(format!("{:.1}", x(point.latency))) cy=(format!("{:.1}", y(point.value))) r="2.6" fill=(stroke) {
                    title { (name) ", " (format!("{:.0}", point.latency)) " ms: " (format!("{:.1}", point.value)) " " (panel.unit) }
                }
            }
        }
    }
}

/// Space between grid lines: 1, 2 or 5 times a power of ten, for three to six of them.
fn tick(most: f64) -> f64 {
    let power = 10.0_f64.powf((most / 5.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|tick| most / tick <= 5.0 + 1e-9).unwrap_or(10.0 * power)
}

/// Latencies whose labels do not run into each other.
fn spaced(latencies: &[f64], longest: f64) -> Vec<f64> {
    let mut shown: Vec<f64> = Vec::new();
    for latency in latencies {
        if shown.last().is_none_or(|last| (latency - last) * WIDTH / longest >= 22.0) {
            shown.push(*latency);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::control::Control;
    use crate::report::tests::run;
    use efm_schedule::Mode;
    use efm_sim::tasks::Split;

    fn point(mode: Mode, latency_ms: f64, jump: f64) -> Run {
        let mut figures = ScheduleFigures::new(mode, latency_ms, &[], 3);
        figures.seam_jump = Spread { p50: 0.5 * jump, p95: jump, max: 2.0 * jump };
        let mut run = run(Split::Heldout, None, 10, &[1]);
        run.schedule = Some(figures);
        run
    }

    #[test]
    fn each_mode_is_a_line_through_its_latencies_in_order() {
        let runs = vec![
            point(Mode::Fifo, 350.0, 0.08),
            point(Mode::Fifo, 0.0, 0.01),
            point(Mode::Rtc, 0.0, 0.002),
            point(Mode::Rtc, 350.0, 0.004),
        ];
        let drawing = svg(&Document::new("c".into(), runs)).unwrap();
        assert!(drawing.starts_with("<svg xmlns") && drawing.contains("fifo") && drawing.contains("rtc"), "{drawing}");
        // Four panels, two lines in each; two of them have medians.
        assert_eq!(drawing.matches("class=\"line\" stroke").count(), 8);
        assert_eq!(drawing.matches("class=\"median\"").count(), 4);
        assert!(drawing.contains("fifo, 350 ms: 80.0 mrad"), "{drawing}");
        // From left to right.
        let line = drawing.split("class=\"line\" stroke=\"#b4441a\" d=\"M").nth(1).unwrap();
        assert!(line.starts_with("52.0"), "{line}");
    }

    #[test]
    fn names_from_outside_are_escaped_and_controls_are_not_drawn() {
        let mut evil = point(Mode::Blend, 100.0, 0.0);
        evil.policy = "<script>".into();
        let other = point(Mode::Blend, 100.0, 0.0);
        let drawing = svg(&Document::new("c".into(), vec![evil, other])).unwrap();
        assert!(!drawing.contains("<script>") && drawing.contains("&lt;script&gt;"));
        let mut shuffled = point(Mode::Blend, 100.0, 0.0);
        shuffled.control = Some(Control::Shuffled);
        let unmeasured = run(Split::Heldout, None, 3, &[]);
        assert_eq!(svg(&Document::new("c".into(), vec![shuffled, unmeasured])), None);
    }

    #[test]
    fn axes_have_a_few_round_numbers() {
        for (most, expected) in [(100.0, 20.0), (1.0, 0.2), (7.3, 2.0), (23.0, 5.0), (0.04, 0.01)] {
            assert!((tick(most) - expected).abs() < 1e-12, "{most}: {}", tick(most));
        }
        assert_eq!(spaced(&[0.0, 100.0, 110.0, 420.0], 420.0), [0.0, 100.0, 420.0]);
    }
}
