//! What `efm-bench lerobot` tells.

use crate::image::command::{Blocks, Ratio};
use crate::lerobot::command::{AGREE, Found, Side, Sizes};
use crate::policy::quantiles;
use crate::section::{Section, Table, Target};
use serde_json::{Value, json};

/// What was found.
pub fn section(found: &Found) -> Section {
    Section {
        name: "lerobot".into(),
        title: "Beside LeRobot's own loop".into(),
        text: words(found),
        targets: vec![Target {
            asked: format!("the same first action as LeRobot's, to {AGREE:.0e}"),
            measured: format!(
                "{:.1e} apart at most; other observations move it by {:.3} at least",
                found.difference, found.moved
            ),
            met: found.difference <= AGREE,
        }],
        tables: vec![table(found)],
        plots: Vec::new(),
        figures: json!({
            "versions": found.versions, "threads": found.threads, "random_weights": found.random,
            "rounds": found.rounds.0, "chunks_a_round": found.rounds.1, "hollow_chunks_a_round": found.rounds.2,
            "cameras": found.cameras, "joints": found.chunk.0, "rows": found.chunk.1, "graphs_mb": found.graphs_mb,
            "difference": found.difference, "moved": found.moved, "ours_camera_ingest_ms": quantiles(&found.ours.resized_ms).0,
            "lerobot": figures(&found.theirs), "ours": figures(&found.ours),
            "lerobot_by_ours": {
                "whole": found.theirs.whole.ratio(&found.ours.whole), "bare": found.theirs.bare.ratio(&found.ours.bare),
                "hollow": found.theirs.hollow.ratio(&found.ours.hollow),
            },
        }),
    }
}

fn words(found: &Found) -> String {
    let (rounds, count, hollow) = found.rounds;
    let versions: Vec<String> = found.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let camera = |camera: &Sizes| format!("{} {}x{}", camera.name, camera.sent.0, camera.sent.1);
    let cameras: Vec<String> = found.cameras.iter().map(camera).collect();
    let resized = if found.cameras.iter().all(|camera| camera.sent == camera.seen) {
        "The policy sees pictures of the cameras' size, as it learned from such, so neither side resizes (ours copies them)"
    } else {
        "The policy sees pictures of another size than the cameras', which ours resizes and LeRobot's loop takes as they are"
    };
    let weights =
        if found.random { "with random weights, made by LeRobot's classes at ACT's default size" } else { "as given" };
    format!(
        "An ACT checkpoint {weights} ({:.0} MB of graph, {} joints, chunks of {} rows), imported by `./efm import lerobot`; cameras: {}, raw rgb8. {resized}. \
         Beside it LeRobot's own functions in the order of its `record_loop` ({}): `build_dataset_frame`, `predict_action` (which is \
         `prepare_observation_for_inference`, the pre-processor, `select_action` with its queue emptied, and the post-processor, in `inference_mode`), \
         `make_robot_action`. Ours is the nodes' code in one process: the picture as `camera_ingest` makes it, the policy as `vla_inference` runs it with the \
         whole chunk decoded. Neither the messages between our nodes nor LeRobot's robot drivers are in it. {} thread{} each, torch's and ONNX Runtime's, on the CPU; wall time.\n\n\
         The network alone runs on prepared tensors right behind each chunk. What lies around it is small beside it and partly lost in its noise, so it is told \
         twice: as what a chunk took more than the network behind it (median of the pairs; warm caches make the second run faster, so that it can be below nothing), \
         and as the whole time of the same code around a network that does nothing, of which ours spends {:.2} ms \
         (median) on what `camera_ingest` does. The two take turns, {count} chunk{} each and {hollow} without a network, in {rounds} \
         rounds; a ratio is the median of the rounds' (least to greatest). With {} chunks p99 is nearly the greatest. \
         Memory is each process's proportional share after a few chunks; LeRobot's has loaded all that its loop imports. The time to the first action was seen once, \
         from the start of the process, with files in the page cache.",
        found.graphs_mb,
        found.chunk.0,
        found.chunk.1,
        cameras.join(", "),
        versions.join(", "),
        found.threads,
        if found.threads == 1 { "" } else { "s" },
        quantiles(&found.ours.resized_ms).0,
        if count == 1 { "" } else { "s" },
        rounds * count,
    )
}

fn table(found: &Found) -> Table {
    let (theirs, ours) = (&found.theirs, &found.ours);
    let row = |what: &str, ratio: String, theirs: String, ours: String| vec![what.to_owned(), ratio, theirs, ours];
    let times = |what: &str, blocks: fn(&Side) -> &Blocks| {
        let (theirs, ours) = (blocks(theirs), blocks(ours));
        row(what, ratio(theirs.ratio(ours)), spread(theirs), spread(ours))
    };
    let more = |side: &Side| {
        let (more, bare) = (quantiles(&side.more_ms).0, side.bare.quantile(0.5) * 1e-6);
        format!("{more:.2} ({:.1} % of the network)", 100.0 * more / bare)
    };
    let plain = |what: &str, figure: fn(&Side) -> f64, digits: usize| {
        let (theirs, ours) = (figure(theirs), figure(ours));
        row(what, format!("{:.1}", theirs / ours), format!("{theirs:.digits$}"), format!("{ours:.digits$}"))
    };
    Table {
        title: "From an observation in memory to the first action in the robot's units".into(),
        columns: ["", "LeRobot / ours", "LeRobot's loop", "ours"].map(Into::into).to_vec(),
        rows: vec![
            times("a whole chunk, ms (p50 / p99 / most)", |side| &side.whole),
            times("the network alone, ms (p50 / p99 / most)", |side| &side.bare),
            row("overhead: more than the network alone, ms (p50)", "-".into(), more(theirs), more(ours)),
            times("overhead: around a network that does nothing, ms (p50 / p99 / most)", |side| &side.hollow),
            plain("memory, MB", |side| side.memory_mb, 0),
            plain("start of the process to its first action, s", |side| side.first_s, 2),
        ],
    }
}

fn ratio(r: Ratio) -> String {
    format!("{:.2} ({:.2} to {:.2})", r.median, r.least, r.greatest)
}

fn spread(blocks: &Blocks) -> String {
    [0.5, 0.99, 1.0].map(|part| format!("{:.2}", blocks.quantile(part) * 1e-6)).join(" / ")
}

fn figures(side: &Side) -> Value {
    let times = |blocks: &Blocks| {
        let ms = |part: f64| blocks.quantile(part) * 1e-6;
        json!({ "p50": ms(0.5), "p99": ms(0.99), "max": ms(1.0) })
    };
    json!({
        "whole_ms": times(&side.whole), "bare_ms": times(&side.bare), "hollow_ms": times(&side.hollow),
        "more_than_bare_ms": quantiles(&side.more_ms).0, "memory_mb": side.memory_mb, "first_action_s": side.first_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(ms: u64) -> Side {
        let blocks = |ms: u64| {
            let mut blocks = Blocks::default();
            blocks.push(vec![ms * 1_000_000; 2]);
            blocks
        };
        let (whole, bare, hollow) = (blocks(11 * ms), blocks(10 * ms), blocks(ms));
        Side {
            whole,
            bare,
            hollow,
            more_ms: vec![ms as f64; 2],
            resized_ms: vec![],
            memory_mb: 100.0 * ms as f64,
            first_s: ms as f64,
        }
    }

    #[test]
    fn ratios_are_theirs_by_ours_and_come_first() {
        let camera = Sizes { name: "front".to_owned(), sent: (640, 480), seen: (640, 480) };
        let cameras = vec![camera.clone()];
        let found = Found { theirs: side(6), ours: side(2), cameras, threads: 1, difference: 1e-6, ..Found::default() };
        let section = section(&found);
        let rows = &section.tables[0].rows;
        assert!(rows.iter().all(|row| row.len() == section.tables[0].columns.len()));
        assert_eq!(rows[0][1..], ["3.00 (3.00 to 3.00)", "66.00 / 66.00 / 66.00", "22.00 / 22.00 / 22.00"]);
        assert_eq!(rows[2][1..], ["-", "6.00 (10.0 % of the network)", "2.00 (10.0 % of the network)"]);
        assert_eq!(rows[4][1..], ["3.0", "600", "200"]);
        assert!(section.targets[0].met && section.text.contains("so neither side resizes"));
        let other = Found { cameras: vec![Sizes { seen: (224, 224), ..camera }], ..found };
        assert!(super::section(&other).text.contains("which ours resizes"));
    }
}
