//! The filter once more: each event of the recording, at its time, gives what is sent.

use crate::policy::seconds;
use crate::recorded::NodeTrace;
use crate::scenes::Scenes;
use anyhow::{Result, anyhow};
use efm_app::Failure;
use efm_app::publisher::motion_report::{Around, Phase, explain};
use efm_app::publisher::streaming::{Event, Files, Outlet, Streaming, Ticked};
use efm_app::reasons;
use efm_config::Params;
use efm_core::{Reason, Stamp, Trajectory, TrajectoryPoint};
use efm_safety::{Execution, Untold, VerifiedWindow};
use std::collections::BTreeMap;

/// What was sent, and why.
#[derive(Debug, Default)]
pub struct Filtered {
    /// By controller: what was sent, in order.
    pub commands: Vec<(String, Vec<Trajectory>)>,
    /// By the stamp of the chunk in ns: taken, or why not. The last word on it.
    pub verdicts: BTreeMap<i64, Result<(), Reason>>,
    /// Ticks in which a limit slowed the arm down, by what it was.
    pub slowed: BTreeMap<String, u64>,
    /// What the arm was doing and, at rest, why: from when on (ns), and in the words of the diagnostics.
    pub phases: Vec<(i64, String)>,
    /// Stamps of the commands that the trace tells of, ns: from a period before its first decision to a period before its last.
    pub span: Option<(i64, i64)>,
    /// What stands in the way of doing the run again as it was.
    pub problems: Vec<String>,
}

/// Keeps what is sent.
#[derive(Debug)]
pub struct Collected {
    /// By controller, in the order of their windows.
    pub commands: Vec<(String, Vec<Trajectory>)>,
}

impl Collected {
    /// Nothing yet.
    pub fn of(streaming: &Streaming) -> Self {
        Self { commands: streaming.controllers().iter().map(|c| (c.name.clone(), Vec::new())).collect() }
    }
}

impl Outlet for Collected {
    fn send(&mut self, windows: &[VerifiedWindow], _: Stamp) -> Result<usize, Failure> {
        for ((_, sent), window) in self.commands.iter_mut().zip(windows) {
            let point = |k| TrajectoryPoint {
                positions: window.positions(k).to_vec(),
                velocities: window.velocities(k).to_vec(),
                accelerations: Vec::new(),
                effort: Vec::new(),
                time_from_start: window.time_from_start(k),
            };
            sent.push(Trajectory {
                stamp: window.stamp(),
                frame_id: String::new(),
                joint_names: window.joints().as_slice().to_vec(),
                points: (0..window.len()).map(point).collect(),
            });
        }
        // What left too late then is told by an event of its own.
        Ok(windows.len())
    }

    fn tell(&mut self, _: &Execution, _: &[VerifiedWindow]) -> Result<(), Failure> {
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Has the filter decide again. `scenes` are the planning scenes that came, in their order; `chunks` are what is proposed, by stamp in ns.
///
/// # Errors
/// When a parameter or a file is wrong.
pub fn filter(
    trace: &NodeTrace<Event<'static>>,
    params: &Params,
    files: &Files,
    scenes: &[Vec<u8>],
    chunks: impl Fn(i64) -> Option<Trajectory>,
) -> Result<Filtered> {
    let streaming = Streaming::new(params, files).map_err(|e| anyhow!("{e}"))?;
    filter_with(streaming, trace, params, scenes, chunks)
}

/// As [`filter`], with a filter that is given: one that the run's own monitors watch.
///
/// # Errors
/// When the filter refuses to decide.
pub fn filter_with(
    mut streaming: Streaming,
    trace: &NodeTrace<Event<'static>>,
    params: &Params,
    scenes: &[Vec<u8>],
    chunks: impl Fn(i64) -> Option<Trajectory>,
) -> Result<Filtered> {
    let mut outlet = Collected::of(&streaming);
    let mut filtered = Filtered::default();
    if !trace.gaps.is_empty() {
        let (first, last) = trace.gaps[0];
        filtered.problems.push(format!(
            "{} parts of the trace of '{}' are not in the bag, the first are messages {first} to {last}: from there on the run cannot be \
             done again as it was{}",
            trace.gaps.len(),
            trace.node,
            if first == 0 { " (the recording began more than a minute after the node)" } else { "" }
        ));
    }
    let mut scenes = Scenes::of(scenes);
    let mut phase = None;
    for event in &trace.events {
        let at = time_of(event);
        if let Some(at) = at {
            filtered.span = Some(filtered.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        }
        match event {
            Event::Tick { now, joints, others, unreadable } => {
                if let Some(joints) = joints {
                    scenes.stands(joints, others);
                }
                let waited = streaming.description_waits() != (false, false);
                let untold = if *unreadable { Untold::Invalid } else { Untold::Missing };
                let told = joints.as_ref().ok_or(untold);
                let ticked = streaming.tick_told(Stamp::from_nanos(*now), told, others, &mut outlet);
                let ticked = ticked.map_err(|e| anyhow!("{e}"))?;
                note(&mut filtered, &ticked, &streaming);
                if waited && streaming.description_waits() == (false, false) {
                    scenes.described(&mut streaming);
                }
                if let Ticked::Decided { phase: now_is, .. } = ticked {
                    tell(&mut filtered, *now, &mut phase, now_is, &streaming);
                }
            }
            Event::Chunk { now, stamp, sender } => {
                let verdict = match chunks(*stamp) {
                    Some(chunk) => streaming.on_chunk(&chunk, *sender, Stamp::from_nanos(*now)),
                    None => {
                        let problem = format!("the action_chunk stamped {} is not in the bag", seconds(*stamp));
                        filtered.problems.push(problem.clone());
                        Err(reasons::refused(reasons::NOT_RECORDED, problem, ""))
                    }
                };
                filtered.verdicts.insert(*stamp, verdict);
            }
            Event::SceneTaken => scenes.taken(&mut streaming),
            Event::Description { .. } | Event::Semantics { .. } => {
                let _ = streaming.on(event);
                scenes.described(&mut streaming);
            }
            Event::NotSent { left, .. } => {
                outlet.commands.iter_mut().skip(*left).for_each(|(_, sent)| drop(sent.pop()));
                let _ = streaming.on(event);
            }
            // What it says to who asked was said then.
            other => drop(streaming.on(other)),
        }
    }
    filtered.problems.extend(scenes.problem());
    filtered.commands = outlet.commands;
    // A window may be stamped a period before the decision; what was decided after the last part of the trace is not in it.
    let period = (1e9 / params.double("rate")) as i64;
    filtered.span = filtered.span.map(|(first, last)| (first - period, last - period));
    Ok(filtered)
}

fn time_of(event: &Event<'_>) -> Option<i64> {
    match event {
        Event::Tick { now, .. } | Event::Chunk { now, .. } => Some(*now),
        _ => None,
    }
}

fn tell(filtered: &mut Filtered, at: i64, phase: &mut Option<Phase>, now_is: Phase, streaming: &Streaming) {
    if phase.as_ref().is_none_or(|before| !before.is_like(&now_is)) {
        let around = Around { obstacle: streaming.obstacle(&now_is), ..Around::default() };
        filtered.phases.push((at, explain(&now_is, &around, streaming.joints()).text.to_string()));
        *phase = Some(now_is);
    }
}

fn note(filtered: &mut Filtered, ticked: &Ticked, streaming: &Streaming) {
    if let Ticked::Decided { report: Some(report), .. } = ticked
        && let Some(limit) = report.limited
    {
        let joints = streaming.joints().as_slice();
        let name = |joint: usize| joints.get(joint).map_or("?", String::as_str);
        *filtered.slowed.entry(limit.in_words(name)).or_default() += 1;
    }
}
