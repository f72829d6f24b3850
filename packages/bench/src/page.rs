//! The page that `./efm bench` writes: what every part found, what was to be reached first, with the machine it was found on.

use crate::section::{Plot, Section};
use anyhow::{Context, Result, bail};
use maud::{PreEscaped, html};
use std::path::{Path, PathBuf};

/// Options of `efm-bench page`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Parts, as the other commands write them by --section.
    #[arg(required = true)]
    pub sections: Vec<PathBuf>,
    /// The page (Markdown); its plots lie beside it.
    #[arg(long)]
    pub out: PathBuf,
    /// Every figure of every part, for programs.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// What it was measured on: NAME=VALUE, as often as wanted.
    #[arg(long)]
    pub about: Vec<String>,
}

/// Writes the page; whether everything that was to be reached is.
///
/// # Errors
/// Names the file that cannot be read or written.
pub fn write(args: &Args) -> Result<bool> {
    let sections = args.sections.iter().map(|file| Section::load(file)).collect::<Result<Vec<_>>>()?;
    let about = args
        .about
        .iter()
        .map(|pair| pair.split_once('=').with_context(|| format!("--about '{pair}': NAME=VALUE is wanted")));
    let about = about.collect::<Result<Vec<_>>>()?;
    let stem = args.out.file_stem().with_context(|| format!("--out {}: no file name", args.out.display()))?;
    let stem = stem.to_string_lossy().into_owned();
    let folder = args.out.parent().unwrap_or(Path::new("."));
    let mut plots = Vec::new();
    for section in &sections {
        for (number, plot) in section.plots.iter().enumerate() {
            let name = format!("{stem}_{}_{}.svg", section.name, number + 1);
            let file = folder.join(&name);
            std::fs::write(&file, draw(plot)? + "\n").with_context(|| format!("cannot write {}", file.display()))?;
            plots.push((section.name.clone(), plot.title.clone(), name));
        }
    }
    let page = markdown(&sections, &about, &plots);
    std::fs::write(&args.out, page).with_context(|| format!("cannot write {}", args.out.display()))?;
    if let Some(file) = &args.json {
        let document = serde_json::json!({
            "about": about.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
            "sections": sections,
        });
        std::fs::write(file, serde_json::to_string_pretty(&document)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(sections.iter().flat_map(|section| &section.targets).all(|target| target.met))
}

fn markdown(sections: &[Section], about: &[(&str, &str)], plots: &[(String, String, String)]) -> String {
    let mut text = "# Benchmarks\n\nWritten by `./efm bench`; not edited by hand. Everything in a table was measured side by side in one run; \
                    ratios say more than times, as other work on a machine moves both.\n\n"
        .to_owned();
    text += "| measured on | |\n|---|---|\n";
    for (name, value) in about {
        text += &format!("| {name} | {value} |\n");
    }
    let all = || sections.iter().flat_map(|section| &section.targets);
    let met = all().filter(|target| target.met).count();
    text += &format!("\n{met} of {} that were to be reached are.\n", all().count());
    for section in sections {
        text += "\n";
        text += &section.markdown();
        for (_, title, file) in plots.iter().filter(|(name, ..)| *name == section.name) {
            text += &format!("\n![{title}]({file})\n");
        }
    }
    text
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 80.0;
const TOP: f64 = 48.0;
const COLOURS: [&str; 8] = ["#2f78c4", "#d9402f", "#2a9d57", "#8a5bc0", "#d68a1a", "#128a9c", "#a84f7b", "#5a6675"];
const STYLE: &str = "text { font: 11px system-ui, sans-serif; fill: #1c2430; } .tick { fill: #5a6675; font-size: 10px; } .grid { stroke: #e3e8ee; }";

/// An axis: from its values to places between 0 and 1, and where its ticks are.
struct Axis {
    log: bool,
    low: f64,
    high: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone, log: bool) -> Result<Self> {
        if values.clone().any(|value| !value.is_finite() || (log && value <= 0.0)) {
            bail!("a plot has a point that cannot be drawn");
        }
        let scaled = values.map(|value| if log { value.log10() } else { value });
        let (mut low, mut high) = scaled.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if !log {
            low = low.min(0.0);
        }
        if high - low < 1e-9 {
            high = low + 1.0;
        }
        Ok(Self { log, low, high })
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let decades = (self.low.floor() as i32..=self.high.ceil() as i32).map(|power| 10f64.powi(power));
            let marks = decades.flat_map(|decade| [decade, 2.0 * decade, 5.0 * decade]);
            return marks.filter(|mark| (-1e-9..=1.0 + 1e-9).contains(&self.place(*mark))).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let unit = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * unit).find(|step| *step >= rough).unwrap_or(unit);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|k| k as f64 * step).take_while(|mark| *mark <= self.high + 1e-9).collect()
    }
}

/// A plot as SVG, without anything from elsewhere.
///
/// # Errors
/// When it has no point, or one that cannot be drawn.
pub fn draw(plot: &Plot) -> Result<String> {
    let points = || plot.lines.iter().flat_map(|line| line.points.iter().copied());
    if points().next().is_none() {
        bail!("the plot '{}' has no points", plot.title);
    }
    let named = |axis: Result<Axis>| axis.with_context(|| format!("plot '{}'", plot.title));
    let across = named(Axis::of(points().map(|(x, _)| x), plot.log_x))?;
    let upwards = named(Axis::of(points().map(|(_, y)| y), plot.log_y))?;
    let x = |value: f64| LEFT + WIDTH * across.place(value);
    let y = |value: f64| TOP + HEIGHT * (1.0 - upwards.place(value));
    let path = |line: &crate::section::Line| {
        let step =
            |(k, (a, b)): (usize, &(f64, f64))| format!("{}{:.1},{:.1}", if k == 0 { 'M' } else { 'L' }, x(*a), y(*b));
        line.points.iter().enumerate().map(step).collect::<String>()
    };
    let (width, height) = (LEFT + WIDTH + 190.0, TOP + HEIGHT + 48.0);
    let number = |value: f64| {
        if value.abs() >= 1e4 || (value != 0.0 && value.abs() < 1e-3) {
            format!("{value:.0e}")
        } else {
            format!("{value}")
        }
    };
    let markup = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox=(format!("0 0 {width} {height}")) {
            style { (PreEscaped(STYLE)) }
            rect width="100%" height="100%" fill="white" {}
            text x="12" y="20" style="font-weight:700;font-size:13px" { (plot.title) }
            text x="12" y="38" class="tick" { (plot.y) }
            @for mark in across.ticks() {
                line x1=(x(mark)) x2=(x(mark)) y1=(TOP) y2=(TOP + HEIGHT) class="grid" {}
                text x=(x(mark)) y=(TOP + HEIGHT + 14.0) class="tick" text-anchor="middle" { (number(mark)) }
            }
            @for mark in upwards.ticks() {
                line x1=(LEFT) x2=(LEFT + WIDTH) y1=(y(mark)) y2=(y(mark)) class="grid" {}
                text x=(LEFT - 6.0) y=(y(mark) + 3.0) class="tick" text-anchor="end" { (number(mark)) }
            }
            text x=(LEFT + WIDTH / 2.0) y=(TOP + HEIGHT + 34.0) text-anchor="middle" { (plot.x) }
            @for (k, line) in plot.lines.iter().enumerate() {
                @let colour = COLOURS[k % COLOURS.len()];
                path d=(path(line)) fill="none" stroke=(colour) stroke-width="1.8" {}
                @for (a, b) in &line.points { circle cx=(format!("{:.1}", x(*a))) cy=(format!("{:.1}", y(*b))) r="2.5" fill=(colour) {} }
                text x=(LEFT + WIDTH + 12.0) y=(TOP + 12.0 + 16.0 * k as f64) style=(format!("fill:{colour}")) { (line.name) }
            }
        }
    };
    Ok(markup.into_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::section::{Line, Table, Target};

    fn section() -> Section {
        let line = Line { name: "ours".into(), points: vec![(6.0, 0.02), (28.0, 0.2)] };
        Section {
            name: "tick".into(),
            title: "A tick".into(),
            targets: vec![Target { asked: "fast".into(), measured: "3 ms".into(), met: false }],
            tables: vec![Table {
                title: "times".into(),
                columns: vec!["a".into(), "b".into()],
                rows: vec![vec!["1".into(), "2".into()]],
            }],
            plots: vec![Plot {
                title: "growth".into(),
                x: "joints".into(),
                y: "ms".into(),
                log_x: true,
                log_y: true,
                lines: vec![line],
            }],
            ..Section::default()
        }
    }

    #[test]
    fn a_page_shows_what_was_missed_and_its_plots_lie_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("part.json");
        section().save(&part).unwrap();
        let args = Args {
            sections: vec![part],
            out: folder.path().join("page.md"),
            json: Some(folder.path().join("all.json")),
            about: vec!["machine=two cores".into()],
        };
        assert!(!write(&args).unwrap(), "a target is missed");
        let page = std::fs::read_to_string(&args.out).unwrap();
        for words in ["0 of 1", "| fast | 3 ms | **no** |", "| machine | two cores |", "| 1 | 2 |", "(page_tick_1.svg)"]
        {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(std::fs::read_to_string(folder.path().join("page_tick_1.svg")).unwrap().starts_with("<svg"));
        let all: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(args.json.unwrap()).unwrap()).unwrap();
        assert_eq!(all["sections"][0]["targets"][0]["met"], false);
    }

    #[test]
    fn what_cannot_be_drawn_is_named_instead_of_drawn_wrongly() {
        let mut plot = section().plots.remove(0);
        plot.lines[0].points[0].1 = 0.0;
        assert!(draw(&plot).unwrap_err().to_string().contains("growth"));
        plot.lines[0].points.clear();
        assert!(draw(&plot).unwrap_err().to_string().contains("no points"));
    }
}
