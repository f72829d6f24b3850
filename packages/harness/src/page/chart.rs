//! Charts as inline SVG.

use crate::report::Rate;
use maud::{Markup, html};

/// Width of the drawing, in its own units: about the pixels of a phone, so that letters keep their size there.
const WIDTH: f64 = 420.0;
/// Where bars begin and end.
const LEFT: f64 = 118.0;
const RIGHT: f64 = 330.0;
/// Height of a bar's row, and of a group's head.
const ROW: f64 = 19.0;
const HEAD: f64 = 24.0;
const BAR: f64 = 12.0;

/// A rate to be drawn.
pub(super) struct Bar {
    /// Before it.
    pub(super) label: String,
    /// How long, and its whisker.
    pub(super) rate: Rate,
    /// Class that gives its colour.
    pub(super) class: &'static str,
}

fn x(share: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * share.clamp(0.0, 1.0)
}

/// One decimal is a tenth of a pixel.
fn f(value: f64) -> String {
    format!("{value:.1}")
}

/// Groups of horizontal bars from 0 to 100 %, with whiskers.
pub(super) fn bars(groups: &[(String, Vec<Bar>)]) -> Markup {
    let mut y = 0.0;
    let mut placed = Vec::new();
    for (name, bars) in groups {
        let top = y;
        y += HEAD;
        let rows: Vec<(f64, &Bar)> = bars.iter().enumerate().map(|(i, bar)| (y + ROW * i as f64, bar)).collect();
        y += ROW * bars.len() as f64;
        placed.push((top, name, rows));
    }
    let bottom = y + 4.0;
    html! {
        svg.chart viewBox=(format!("0 0 {WIDTH} {}", f(bottom + 16.0))) role="img" aria-label="success rates with 95 % intervals" {
            @for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
                line.grid x1=(f(x(share))) x2=(f(x(share))) y1="0" y2=(f(bottom)) {}
                text.tick x=(f(x(share))) y=(f(bottom + 12.0)) text-anchor="middle" { (format!("{:.0} %", 100.0 * share)) }
            }
            @for (top, name, rows) in &placed {
                text.head x="0" y=(f(top + 17.0)) { (name) }
                @for (y, bar) in rows { (one(*y, bar)) }
            }
        }
    }
}

fn one(y: f64, bar: &Bar) -> Markup {
    let (low, high) = (x(bar.rate.wilson95.low), x(bar.rate.wilson95.high));
    let (middle, cap) = (y + BAR / 2.0, 3.0);
    html! {
        text.label x=(f(LEFT - 6.0)) y=(f(y + 10.0)) text-anchor="end" { (cut(&bar.label, 19)) }
        rect class=(bar.class) x=(f(LEFT)) y=(f(y)) width=(f(x(bar.rate.success_rate) - LEFT)) height=(f(BAR)) {
            title { (bar.label) ": " (bar.rate.in_words()) }
        }
        @if bar.rate.n > 0 {
            path.whisker d=(format!(
                "M{l} {m}H{h}M{l} {a}V{b}M{h} {a}V{b}",
                l = f(low), h = f(high), m = f(middle), a = f(middle - cap), b = f(middle + cap)
            )) {}
        }
        text.value x=(f(RIGHT + 8.0)) y=(f(y + 10.0)) {
            (bar.rate.percent())
            tspan.tick { " " (bar.rate.successes) "/" (bar.rate.n) }
        }
    }
}

/// A label that fits before the bars.
fn cut(label: &str, letters: usize) -> String {
    if label.chars().count() <= letters {
        return label.to_owned();
    }
    label.chars().take(letters - 1).chain(['…']).collect()
}

/// Background of a cell: from orange (never) over white to blue (always), for the colour-blind too. None without episodes.
pub(super) fn colour_of_rate(rate: &Rate) -> Option<String> {
    const NEVER: [f64; 3] = [240.0, 150.0, 90.0];
    const ALWAYS: [f64; 3] = [110.0, 165.0, 225.0];
    if rate.n == 0 {
        return None;
    }
    let (end, share) = if rate.success_rate < 0.5 {
        (NEVER, 1.0 - 2.0 * rate.success_rate)
    } else {
        (ALWAYS, 2.0 * rate.success_rate - 1.0)
    };
    let [r, g, b] = end.map(|c| (250.0 + (c - 250.0) * share).round());
    Some(format!("background:rgb({r},{g},{b})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_rate_and_its_whisker_spans_the_interval() {
        let bar = Bar { label: "policy".into(), rate: Rate::new(15, 20), class: "own" };
        let svg = bars(&[("heldout".into(), vec![bar])]).into_string();
        let width = 0.75 * (RIGHT - LEFT);
        assert!(svg.contains(&format!("width=\"{}\"", f(width))), "{svg}");
        let interval = Rate::new(15, 20).wilson95;
        assert!(svg.contains(&format!("d=\"M{} ", f(x(interval.low)))), "{svg}");
        assert!(svg.contains(&format!("H{}", f(x(interval.high)))) && svg.contains("15/20"), "{svg}");
    }

    #[test]
    fn colours_run_from_orange_to_blue_and_nothing_tried_has_none() {
        assert_eq!(colour_of_rate(&Rate::new(0, 0)), None);
        assert_eq!(colour_of_rate(&Rate::new(0, 9)).as_deref(), Some("background:rgb(240,150,90)"));
        assert_eq!(colour_of_rate(&Rate::new(9, 9)).as_deref(), Some("background:rgb(110,165,225)"));
        assert_eq!(colour_of_rate(&Rate::new(1, 2)).as_deref(), Some("background:rgb(250,250,250)"));
    }

    #[test]
    fn a_long_label_is_cut_between_letters() {
        assert_eq!(cut("räumt auf", 20), "räumt auf");
        assert_eq!(cut("üüüüüü", 4), "üüü…");
    }
}
