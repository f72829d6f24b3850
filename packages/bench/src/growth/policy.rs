//! What a policy costs beside its model.

use crate::policy::{Measured, allowed_ms, measure, quantiles};
use crate::section::{Table, Target};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::Path;

/// Packages that can be compared with nothing but their graphs; both look through two cameras.
const PACKAGES: [&str; 2] = ["panda_tabletop_flow", "panda_tabletop_diffusion"];
/// Parts that the turns are cut into, to see how far they are apart.
const PARTS: usize = 3;

/// All of them, measured.
pub struct Policies(Vec<Measured>);

impl Policies {
    /// So many chunks of each.
    ///
    /// # Errors
    /// When a package cannot be run.
    pub fn measure(root: &Path, chunks: usize) -> Result<Self> {
        Ok(Self(PACKAGES.iter().map(|name| measure(root, name, chunks)).collect::<Result<_>>()?))
    }

    fn name(m: &Measured) -> String {
        m.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Median of the own part in milliseconds, and the least and the greatest of those of the parts of the turns.
    fn own(m: &Measured) -> (f64, f64, f64) {
        let parts = m.own_cpu_ms.chunks(m.own_cpu_ms.len().div_ceil(PARTS).max(1)).map(|part| quantiles(part).0);
        let (low, high) = parts.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), ms| (l.min(ms), h.max(ms)));
        (quantiles(&m.own_cpu_ms).0, low, high)
    }

    /// A row a package.
    pub fn table(&self) -> Table {
        let row = |m: &Measured| {
            let (chunk, graphs, own) = (quantiles(&m.chunk_ms), quantiles(&m.graphs_ms), Self::own(m));
            vec![
                Self::name(m),
                m.cameras.to_string(),
                format!("{:.3}, {:.3}", graphs.0, graphs.1),
                format!("{:.3}, {:.3}", chunk.0, chunk.1),
                format!("{:.3} ({:.3} to {:.3})", own.0, own.1, own.2),
                format!("{:.3}", quantiles(&m.own_cpu_ms).1),
                format!("{:.1}", 100.0 * own.0 / quantiles(&m.graphs_cpu_ms).0),
                m.graphs_allocations.to_string(),
                m.chunk_allocations.to_string(),
            ]
        };
        let columns = [
            "policy",
            "cameras",
            "graphs alone, ms: p50, p99",
            "a chunk, ms: p50, p99",
            "own part, ms of CPU: p50 (thirds of the turns)",
            "own part, ms of CPU: p99",
            "share, %",
            "allocations: graphs alone",
            "allocations: a chunk",
        ];
        Table {
            title: "Policy: what a chunk costs beside the calls to ONNX Runtime".into(),
            columns: columns.map(str::to_owned).to_vec(),
            rows: self.0.iter().map(row).collect(),
        }
    }

    /// What `efm-bench policy` fails by.
    pub fn targets(&self) -> Vec<Target> {
        let target = |m: &Measured| {
            let (own, graphs) = (Self::own(m).0, quantiles(&m.graphs_cpu_ms).0);
            Target {
                asked: format!(
                    "{}: own part at most 3 % of the graphs' time, or 0.3 ms, by thread CPU time",
                    Self::name(m)
                ),
                measured: format!("{own:.3} ms, {:.1} %", 100.0 * own / graphs),
                met: own <= allowed_ms(graphs),
            }
        };
        self.0.iter().map(target).collect()
    }

    /// Every figure.
    pub fn to_json(&self) -> Value {
        let one = |m: &Measured| {
            let (chunk, graphs, own) = (quantiles(&m.chunk_ms), quantiles(&m.graphs_ms), Self::own(m));
            json!({
                "policy": Self::name(m), "cameras": m.cameras, "chunks": m.chunk_ms.len(),
                "graphs_ms": { "p50": graphs.0, "p99": graphs.1 }, "chunk_ms": { "p50": chunk.0, "p99": chunk.1 },
                "own_cpu_ms": { "p50": own.0, "least": own.1, "greatest": own.2, "p99": quantiles(&m.own_cpu_ms).1 },
                "own_share": own.0 / quantiles(&m.graphs_cpu_ms).0,
                "allocations": { "graphs": m.graphs_allocations, "chunk": m.chunk_allocations },
            })
        };
        self.0.iter().map(one).collect()
    }
}
