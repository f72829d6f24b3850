//! A part of the report of `./efm bench`: what one measurement found, in the form that every part has.

use anyhow::{Context, Result};
use efm_core::reading;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What one measurement found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Short name, which is also that of its plots' files.
    pub name: String,
    /// Heading.
    pub title: String,
    /// What is measured and how, in Markdown.
    pub text: String,
    /// What was to be reached.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Tables.
    #[serde(default)]
    pub tables: Vec<Table>,
    /// Pictures.
    #[serde(default)]
    pub plots: Vec<Plot>,
    /// Every figure, for programs.
    #[serde(default)]
    pub figures: serde_json::Value,
}

/// What was to be reached, and what was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// What is asked, in words, e.g. "raw pictures at least 2 times as fast as OpenCV".
    pub asked: String,
    /// What was measured, in words, e.g. "2.4 times".
    pub measured: String,
    /// Whether that is enough.
    pub met: bool,
}

/// A table of words and figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Heads of the columns, with units.
    pub columns: Vec<String>,
    /// As many cells a row as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// A picture of lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What lies to the right, with its unit.
    pub x: String,
    /// What lies upwards, with its unit.
    pub y: String,
    /// Whether x is drawn by its logarithm.
    #[serde(default)]
    pub log_x: bool,
    /// Whether y is drawn by its logarithm.
    #[serde(default)]
    pub log_y: bool,
    /// Lines.
    pub lines: Vec<Line>,
}

/// A line of a plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its points: x, y.
    pub points: Vec<(f64, f64)>,
}

impl Section {
    /// Reads one.
    ///
    /// # Errors
    /// Names the file that cannot be read, or is none.
    pub fn load(file: &Path) -> Result<Self> {
        let text = reading::text(file, reading::REPORT).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{}: not a part of a report", file.display()))
    }

    /// Writes it.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        std::fs::write(file, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Shows it, and writes it where a file is named; whether everything that was to be reached is.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn deliver(&self, file: Option<&Path>) -> Result<bool> {
        print!("{}", self.text());
        if let Some(file) = file {
            self.save(file)?;
        }
        Ok(self.targets.iter().all(|target| target.met))
    }

    /// For a terminal, without its plots.
    pub fn text(&self) -> String {
        let mut out = format!("{}\n\n{}\n\n", self.title, self.text);
        for target in &self.targets {
            let met = if target.met { "met   " } else { "MISSED" };
            out += &format!("{met} {}: {}\n", target.asked, target.measured);
        }
        for table in &self.tables {
            out += &format!("\n{}\n{}", table.title, table.aligned());
        }
        out
    }

    /// In Markdown, without its plots.
    pub fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}\n", self.title, self.text);
        if !self.targets.is_empty() {
            text += "\n| to be reached | measured | |\n|---|---|---|\n";
            for target in &self.targets {
                let met = if target.met { "yes" } else { "**no**" };
                text += &format!("| {} | {} | {met} |\n", target.asked, target.measured);
            }
        }
        for table in &self.tables {
            text += "\n";
            text += &table.markdown();
        }
        text
    }
}

impl Table {
    /// In Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.columns.len()));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("**{}**\n\n{}{rule}{rows}", self.title, line(&self.columns))
    }

    /// Its cells under each other, without its title.
    fn aligned(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| &row[column]).chain([&self.columns[column]]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &Vec<String>| {
            let cells: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            format!("  {}\n", cells.join("  ").trim_end())
        };
        std::iter::once(&self.columns).chain(&self.rows).map(line).collect()
    }
}
