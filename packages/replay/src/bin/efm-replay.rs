//! `efm replay`: does a recorded run again and tells whether it came out as it was.

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use efm_app::publisher::streaming::Files;
use efm_app::publisher::streaming_params;
use efm_app::trace::Setup;
use efm_config::{Params, Spec};
use efm_core::Reason;
use efm_replay::compare::Comparison;
use efm_replay::policy::{How, Thought, think};
use efm_replay::recorded::Recorded;
use efm_replay::report::{OtherVerdict, Report};
use efm_replay::safety::{Filtered, filter};
use efm_replay::{changes, picture};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Does a recorded run again, from its bag: policy and safety filter, at the times of the trace, as fast as the machine can.
///
/// With the policy and the parameters of the recording the commands must come out bit by bit as they were recorded (same ONNX Runtime,
/// provider and kind of processor; elsewhere see --tolerance). With others it tells what would have been different: open loop, since
/// what the robot saw and measured stays what it was. Exit code: 0 as it was recorded, 1 not, 2 when it cannot be done again.
#[derive(Parser)]
#[command(name = "efm-replay", version)]
struct Args {
    /// Bag folder or file with the topics <node>/trace, observation/<camera>/image, action_chunk and <controller>/joint_trajectory.
    bag: PathBuf,
    /// Another policy package.
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Other parameters: a ROS parameter file; what it does not name stays as recorded.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Leave the policy out: the recorded chunks are what is proposed.
    #[arg(long, conflicts_with = "policy")]
    without_model: bool,
    /// Threads of the policy (default: as recorded).
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Difference of a position (rad, m) or velocity up to which commands and chunks count as the same.
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    tolerance: f64,
    /// Writes everything there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws both runs there.
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("efm replay: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn params(setup: &Setup, specs: Vec<Spec>) -> Result<Params> {
    Params::from_json(specs, &setup.params).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow!("parameters of {}: {}", setup.node, lines.join("; "))
    })
}

fn run(args: &Args) -> Result<bool> {
    let began = Instant::now();
    let recorded = Recorded::read(&args.bag)?;
    let mut report = Report {
        bag: args.bag.display().to_string(),
        recorded_s: recorded.seconds,
        reading_s: began.elapsed().as_secs_f64(),
        tolerance: args.tolerance,
        problems: recorded.damage.clone(),
        ..Report::default()
    };
    let began = Instant::now();
    let thought = match &recorded.inference {
        Some(trace) if !args.without_model => {
            let mut setup = trace.setup.clone();
            if let Some(file) = &args.params {
                let specs = efm_app::inference::inference_params::specs();
                report.changes.extend(changes::apply(&mut setup, &trace.node, &specs, file)?);
            }
            let how = How { policy: args.policy.clone(), threads: args.threads };
            Some(think(
                &recorded,
                trace,
                &setup.files,
                &params(&setup, efm_app::inference::inference_params::specs())?,
                &how,
            )?)
        }
        None if args.policy.is_some() => {
            return Err(anyhow!(
                "{}: there is no trace of vla_inference, so a policy cannot be run on it",
                args.bag.display()
            ));
        }
        _ => None,
    };
    if let Some(thought) = &thought {
        chunks(&mut report, &recorded, thought, args.tolerance);
    }
    let again = safety(args, &recorded, thought.as_ref(), &mut report)?;
    report.took_s = (began.elapsed().as_secs_f64(), thought.as_ref().map_or(0.0, |t| t.seconds));
    print!("{}", report.in_words());
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let (Some(file), Some(again)) = (&args.svg, &again) {
        let marks: Vec<i64> = report.verdicts.iter().map(|other| other.stamp).collect();
        let drawn = picture::draw(&report.bag, &recorded.commands, &again.commands, &marks);
        std::fs::write(file, drawn).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(report.holds())
}

fn chunks(report: &mut Report, recorded: &Recorded, thought: &Thought, tolerance: f64) {
    let span = thought.chunks.keys().next().copied().zip(thought.chunks.keys().next_back().copied());
    let mut comparison = Comparison::default();
    let (then, now): (Vec<_>, Vec<_>) =
        (recorded.chunks.values().cloned().collect(), thought.chunks.values().cloned().collect());
    comparison.add("action_chunk", &then, &now, span, tolerance);
    report.chunks = Some(comparison);
    report.pictures = (thought.pictures, thought.found);
    report.changes.extend(thought.other_package.iter().cloned());
    report.problems.extend(thought.problems.iter().chain(&thought.differences).cloned());
}

/// The filter's half; none where the recording has no trace of it.
fn safety(
    args: &Args,
    recorded: &Recorded,
    thought: Option<&Thought>,
    report: &mut Report,
) -> Result<Option<Filtered>> {
    let Some(trace) = &recorded.streaming else {
        report.problems.push("there is no trace of trajectory_publisher: commands are not done again".to_owned());
        return Ok(None);
    };
    let then = |stamp: i64| recorded.chunks.get(&stamp).cloned();
    let now = |stamp: i64| thought.and_then(|t| t.chunks.get(&stamp).cloned()).or_else(|| then(stamp));
    let mut setup = trace.setup.clone();
    if let Some(file) = &args.params {
        report.changes.extend(changes::apply(&mut setup, &trace.node, &streaming_params::specs(), file)?);
    }
    let (node, files) = (params(&setup, streaming_params::specs())?, Files::from_record(&setup.files));
    let again = filter(trace, &node, &files, &recorded.scenes, now)?;
    report.compared = compared(recorded, &again, args.tolerance);
    (report.commands, report.identical) = (report.compared.commands, report.compared.identical);
    report.problems.extend(again.problems.iter().cloned());
    report.phases.clone_from(&again.phases);
    if report.changes.is_empty() && report.chunks.as_ref().is_none_or(Comparison::holds) {
        let taken = again.verdicts.values().filter(|verdict| verdict.is_ok()).count();
        report.taken = (taken, taken);
        report.slowed = again.slowed.iter().map(|(limit, ticks)| (limit.clone(), (*ticks, *ticks))).collect();
        return Ok(Some(again));
    }
    // As it was: what is changed is held against that, since the recording itself has no verdicts.
    let unchanged = filter(
        trace,
        &params(&trace.setup, streaming_params::specs())?,
        &Files::from_record(&trace.setup.files),
        &recorded.scenes,
        then,
    )?;
    if !report.changes.is_empty() {
        report.unchanged = Some(compared(recorded, &unchanged, args.tolerance));
    }
    let word = |verdict: &Result<(), Reason>| {
        verdict.as_ref().map_or_else(|why| format!("refused: {why}"), |()| "taken".to_owned())
    };
    for (stamp, verdict) in &again.verdicts {
        match unchanged.verdicts.get(stamp) {
            Some(before) if before.is_ok() == verdict.is_ok() => {}
            Some(before) => {
                report.verdicts.push(OtherVerdict { stamp: *stamp, recorded: word(before), again: word(verdict) });
            }
            None => {}
        }
    }
    let taken = |run: &Filtered| run.verdicts.values().filter(|verdict| verdict.is_ok()).count();
    report.taken = (taken(&unchanged), taken(&again));
    let count = |run: &Filtered, limit: &String| run.slowed.get(limit).copied().unwrap_or_default();
    let limits = unchanged.slowed.keys().chain(again.slowed.keys());
    report.slowed = limits.map(|l| (l.clone(), (count(&unchanged, l), count(&again, l)))).collect::<BTreeMap<_, _>>();
    Ok(Some(again))
}

fn compared(recorded: &Recorded, run: &Filtered, tolerance: f64) -> Comparison {
    let mut comparison = Comparison::default();
    for (controller, again) in &run.commands {
        let then = recorded.commands.get(controller).map_or(&[][..], Vec::as_slice);
        comparison.add(controller, then, again, run.span, tolerance);
    }
    comparison
}
