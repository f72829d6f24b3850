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
        line.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect::<Vec<_>>().join(" ")
    };
    html! {
        text x="12" y=(top + HEIGHT / 2.0) { (name) }
        text x=(LEFT - 6.0) y=(top + 8.0) class="tick" text-anchor="end" { (format!("{high:.3}")) }
        text x=(LEFT - 6.0) y=(top + HEIGHT) class="tick" text-anchor="end" { (format!("{low:.3}")) }
        line x1=(LEFT) x2=(LEFT + WIDTH) y1=(top + HEIGHT) y2=(top + HEIGHT) class="grid" {}
        @for mark in marks { line x1=(x(*mark)) x2=(x(*mark)) y1=(top) y2=(top + HEIGHT) stroke="#d9402f" stroke-opacity="0.5" {} }
        polyline points=(path(then)) class="then" {}
        polyline points=(path(now)) class="now" {}
    }
}

fn line(commands: &[Trajectory], joint: usize) -> Line {
    let every = commands.len().div_ceil(POINTS).max(1);
    let value = |command: &Trajectory| Some((command.stamp.nanos(), *command.points.first()?.positions.get(joint)?));
    commands.iter().step_by(every).filter_map(value).collect()
}
