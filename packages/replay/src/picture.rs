//! Both runs along time, as an SVG file without anything from elsewhere.

use efm_core::Trajectory;
use maud::{Markup, PreEscaped, html};
use std::collections::BTreeMap;

const STYLE: &str = "text { font: 11px system-ui, sans-serif; fill: #1c2430; } .tick { fill: #5a6675; font-size: 10px; } \
    .grid { stroke: #e3e8ee; } .then { fill: none; stroke: #9aa7b8; stroke-width: 3; } .now { fill: none; stroke: #2f78c4; stroke-width: 1.2; }";
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 70.0;
const LEFT: f64 = 150.0;
const STEP: f64 = 92.0;
const TOP: f64 = 54.0;
/// Over a longer pause, ns, no line is drawn: nothing was commanded.
const PAUSE: i64 = 200_000_000;
/// A line has no more points than can be seen.
const POINTS: usize = 1500;

/// A value along time, ns.
type Line = Vec<(i64, f64)>;

/// The joints' commands by controller: recorded and again. `marks`: chunks that are judged otherwise, ns.
pub fn draw(
    title: &str,
    recorded: &BTreeMap<String, Vec<Trajectory>>,
    again: &[(String, Vec<Trajectory>)],
    marks: &[i64],
) -> String {
    let mut rows: Vec<(String, Line, Line)> = Vec::new();
    for (controller, now) in again {
        let then = recorded.get(controller).map_or(&[][..], Vec::as_slice);
        let Some(any) = then.first().or(now.first()) else { continue };
        for (joint, name) in any.joint_names.iter().enumerate() {
            rows.push((name.clone(), line(then, joint), line(now, joint)));
        }
    }
    let times = || rows.iter().flat_map(|(_, then, now)| then.iter().chain(now)).map(|(at, _)| *at);
    let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(1));
    let x = |at: i64| LEFT + WIDTH * (at - first) as f64 / (last - first).max(1) as f64;
    let height = TOP + STEP * rows.len() as f64 + 24.0;
    let seconds = (last - first) as f64 * 1e-9;
    let markup = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(LEFT + WIDTH + 20.0) height=(height) viewBox=(format!("0 0 {} {height}", LEFT + WIDTH + 20.0)) {
            style { (PreEscaped(STYLE)) }
            rect width="100%" height="100%" fill="white" {}
            text x="12" y="20" style="font-weight:700;font-size:13px" { (title) }
            text x="12" y="38" class="tick" {
                "commanded positions: grey as recorded, blue now; red: chunks that are judged otherwise; " (format!("{seconds:.1}")) " s"
            }
            @for (place, (name, then, now)) in rows.iter().enumerate() {
                (row(TOP + STEP * place as f64, name, then, now, &x, marks))
            }
        }
    };
    markup.into_string()
}

fn row(top: f64, name: &str, then: &Line, now: &Line, x: &impl Fn(i64) -> f64, marks: &[i64]) -> Markup {
    let values = || then.iter().chain(now).map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let (low, high) = if high - low < 1e-3 { (low - 5e-4, high + 5e-4) } else { (low, high) };
    let y = |value: f64| top + HEIGHT * (1.0 - (value - low) / (high - low));
    let path = |line: &Line| {
        let pause = pause(line);
        let mut before = None;
        let step = |(at, value): &(i64, f64)| {
            let goes_on = before.replace(*at).is_some_and(|before: i64| at - before <= pause);
            format!("{}{:.1},{:.1}", if goes_on { 'L' } else { 'M' }, x(*at), y(*value))
        };
        line.iter().map(step).collect::<String>()
    };
    html! {
        text x="12" y=(top + HEIGHT / 2.0) { (name) }
        text x=(LEFT - 6.0) y=(top + 8.0) class="tick" text-anchor="end" { (format!("{high:.3}")) }
        text x=(LEFT - 6.0) y=(top + HEIGHT) class="tick" text-anchor="end" { (format!("{low:.3}")) }
        line x1=(LEFT) x2=(LEFT + WIDTH) y1=(top + HEIGHT) y2=(top + HEIGHT) class="grid" {}
        @for mark in marks { line x1=(x(*mark)) x2=(x(*mark)) y1=(top) y2=(top + HEIGHT) stroke="#d9402f" stroke-opacity="0.5" {} }
        path d=(path(then)) class="then" {}
        path d=(path(now)) class="now" {}
    }
}

/// What is longer between two points than usual, and long at all, ns.
fn pause(line: &Line) -> i64 {
    let mut steps: Vec<i64> = line.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).map_or(PAUSE, |usual| PAUSE.max(3 * usual))
}

fn line(commands: &[Trajectory], joint: usize) -> Line {
    let every = commands.len().div_ceil(POINTS).max(1);
    let value = |command: &Trajectory| Some((command.stamp.nanos(), *command.points.first()?.positions.get(joint)?));
    commands.iter().step_by(every).filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use efm_core::{Stamp, TrajectoryPoint};

    #[test]
    fn a_line_is_broken_where_nothing_was_commanded() {
        let command = |ms: i64| {
            let point = TrajectoryPoint { positions: vec![1e-3 * ms as f64], ..TrajectoryPoint::default() };
            let stamp = Stamp::from_nanos(ms * 1_000_000);
            Trajectory { stamp, joint_names: vec!["j<1>".into()], points: vec![point], ..Trajectory::default() }
        };
        let commands: Vec<_> = (0..50).chain(100..150).map(|k| command(10 * k)).collect();
        let recorded = BTreeMap::from([("arm".to_owned(), commands.clone())]);
        let drawn = draw("a & b", &recorded, &[("arm".to_owned(), commands)], &[500_000_000]);
        assert_eq!(drawn.matches('M').count(), 4, "two pieces, then and now");
        assert!(drawn.contains("j&lt;1&gt;") && drawn.contains("a &amp; b"));
    }
}
