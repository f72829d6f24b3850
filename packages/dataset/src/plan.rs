//! Which messages of a bag become which frame, decided from stamps alone, before any picture is unpacked.

use crate::DatasetError;
use crate::align::{Missing, Stamped};
use crate::clock::{Clock, Tick, camera_ticks, grid_ticks, pace};
use crate::command::in_force;
use crate::layout::{Action, EpisodeBy, Layout, Options, commands_of, pictures_of};
use crate::survey::{Survey, Topic};
use efm_core::Stamp;
use std::collections::BTreeMap;
use std::ops::Range;

/// In place of the ordinal of a message that a frame does not need.
pub(crate) const NOTHING: u32 = u32::MAX;

/// One wrong stamp must not make a grid of years: a week.
const MAX_GRID_S: f64 = 7.0 * 86_400.0;

/// A frame that will be written. Its messages are in [`Plan::parts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedFrame {
    /// The moment it stands for.
    pub at: Stamp,
    /// Its sentence, a place in [`Plan::tasks`].
    pub task: u32,
    /// Whether the task is done when the next frame comes.
    pub success: bool,
    /// The instruction that is in force, counted through the bag.
    instruction: u32,
    /// Whether it is one period after the frame before it, with nothing left out between.
    follows: bool,
}

/// An episode that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedEpisode {
    /// Its frames.
    pub frames: Range<usize>,
    /// What was said of the instruction of its last frame; none: nothing.
    pub success: Option<bool>,
}

/// What a bag gives.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// In the order of their moments; those of no episode are not written.
    pub frames: Vec<PlannedFrame>,
    /// In order.
    pub episodes: Vec<PlannedEpisode>,
    /// The sentences.
    pub tasks: Vec<String>,
    /// The messages of each frame: [`Self::stride`] places among the messages of a topic, as [`Part`] names them.
    parts: Vec<u32>,
    stride: usize,
    /// Moments of the clock.
    pub ticks: u64,
    /// How much longer the time between frames is in the mean than the data set says of it, 0.01 for 1 %.
    pub slow: Option<f64>,
    /// Moments that gave no frame, and frames that are not written, by the reason.
    pub dropped: BTreeMap<String, u64>,
}

/// What a place among the parts of a frame stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The picture of a camera.
    Picture(usize),
    /// The joint state of the frame.
    State,
    /// The joint state that is the action.
    NextState,
    /// The command of a topic that is in force.
    Command(usize),
    /// The command of a topic that it replaced.
    CommandBefore(usize),
}

impl Part {
    /// Those of a frame, in order.
    pub fn of(layout: &Layout) -> Vec<Self> {
        let mut parts: Vec<Self> = (0..layout.cameras.len()).map(Self::Picture).collect();
        parts.push(Self::State);
        match &layout.action {
            Action::Measured(_) => parts.push(Self::NextState),
            Action::Commands(topics) => {
                parts.extend((0..topics.len()).flat_map(|i| [Self::Command(i), Self::CommandBefore(i)]));
            }
        }
        parts
    }
}

/// A sentence, from when until when it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instruction {
    from: Stamp,
    until: Stamp,
    /// When the next sentence begins: until then something may be said about this one.
    next: Stamp,
    text: String,
}

const END: Stamp = Stamp::from_nanos(i64::MAX);

/// The sentences of a bag. A latched one that is published again does not begin anew.
fn instructions(messages: &[(Stamp, String)], task: Option<&str>) -> Vec<Instruction> {
    if let Some(task) = task {
        let always = Instruction { from: Stamp::from_nanos(i64::MIN), until: END, next: END, text: task.to_owned() };
        return vec![always];
    }
    let mut all: Vec<Instruction> = Vec::new();
    let mut last = "";
    for (at, text) in messages {
        if text == last {
            continue;
        }
        if let Some(open) = all.last_mut() {
            open.until = open.until.min(*at);
            if !text.is_empty() {
                open.next = *at;
            }
        }
        if !text.is_empty() {
            all.push(Instruction { from: *at, until: END, next: END, text: text.clone() });
        }
        last = text;
    }
    all
}

impl Plan {
    /// Of a bag that fits the layout.
    ///
    /// # Errors
    /// When it does not fit after all.
    pub fn of(layout: &Layout, options: &Options, survey: &Survey) -> Result<Self, DatasetError> {
        let period_s = layout.period_s();
        let clock = &pictures_of(survey, &layout.cameras[0].topic)?.stamped;
        let ticks = match (options.clock, clock.first(), clock.last()) {
            (Clock::Grid, Some(first), Some(last)) => {
                let span_s = last.stamp.seconds_since(first.stamp);
                if span_s > MAX_GRID_S {
                    return Err(survey.topic_error(
                        &layout.cameras[0].topic,
                        format!("its stamps span {span_s:.0} s, too many for a grid; is one of them wrong? --clock camera bears that"),
                    ));
                }
                grid_ticks(first.stamp, last.stamp, period_s)
            }
            _ => camera_ticks(clock, period_s),
        };
        let sentences = instructions(&survey.instructions, options.task.as_deref());
        let sources = Sources::of(layout, survey)?;
        let slow = pace(ticks.iter().copied(), period_s).map(|pace| pace - 1.0);
        let mut plan = Self { ticks: ticks.len() as u64, slow, stride: Part::of(layout).len(), ..Self::default() };
        let mut whole = false;
        for tick in ticks {
            let before = plan.parts.len();
            match plan.frame(layout, &sources, &sentences, tick, whole) {
                Ok(frame) => {
                    plan.frames.push(frame);
                    whole = true;
                }
                Err(reason) => {
                    plan.parts.truncate(before);
                    plan.drop(reason, 1);
                    whole = false;
                }
            }
        }
        let outcomes = plan.outcomes(&sentences, survey, period_s);
        plan.episodes(options, &outcomes);
        plan.tasks = sentences.into_iter().map(|sentence| sentence.text).collect();
        Ok(plan)
    }

    fn drop(&mut self, reason: String, frames: u64) {
        *self.dropped.entry(reason).or_default() += frames;
    }

    /// The messages of a frame that will be written, as [`Part::of`] names them.
    pub fn parts(&self, frame: usize) -> &[u32] {
        &self.parts[frame * self.stride..(frame + 1) * self.stride]
    }

    /// Finds the messages of a moment; in words why there is no frame otherwise.
    fn frame(
        &mut self,
        layout: &Layout,
        sources: &Sources,
        sentences: &[Instruction],
        tick: Tick,
        whole: bool,
    ) -> Result<PlannedFrame, String> {
        let at = tick.at;
        let begun = sentences.partition_point(|sentence| sentence.from <= at);
        let instruction = begun.checked_sub(1).filter(|i| at < sentences[*i].until);
        let instruction = instruction.ok_or_else(|| "no instruction was in force".to_owned())?;
        let missing = |topic: &str, what: &str, missing| match missing {
            Missing::None => format!("{topic}: no {what} yet"),
            Missing::TooFar => format!("{topic}: the {what} is too far away"),
        };
        for (camera, pictures) in layout.cameras.iter().zip(&sources.pictures) {
            let picture = camera.rule.pick(pictures, at).map_err(|m| missing(&camera.topic, "picture", m))?;
            self.parts.push(picture.ordinal);
        }
        let state = layout.state_rule.pick(&sources.states, at);
        let state = state.map_err(|m| missing(&layout.joint_states, "joint state", m))?;
        self.parts.push(state.ordinal);
        let due = at.offset_seconds(layout.lead_s);
        match &layout.action {
            Action::Measured(rule) => {
                let next = rule.pick(&sources.states, due);
                let next = next.map_err(|m| missing(&layout.joint_states, "joint state for the action", m))?;
                self.parts.push(next.ordinal);
            }
            Action::Commands(topics) => {
                for (topic, spans) in topics.iter().zip(&sources.commands) {
                    let command = in_force(spans, &topic.rule, due, Some(sentences[instruction].from));
                    let command = command.map_err(|m| match m {
                        Missing::None => format!("{}: no command since the instruction", topic.topic),
                        Missing::TooFar => format!("{}: the last command is over for too long", topic.topic),
                    })?;
                    self.parts.extend([command.ordinal, command.before.unwrap_or(NOTHING)]);
                }
            }
        }
        let instruction = instruction as u32;
        Ok(PlannedFrame { at, task: instruction, success: false, instruction, follows: tick.follows && whole })
    }

    /// What became of each sentence. Marks the frames that success comes with: from when it is reported on, or else, where the report comes after
    /// the sentence was taken back, the last.
    fn outcomes(&mut self, sentences: &[Instruction], survey: &Survey, period_s: f64) -> Vec<Option<bool>> {
        let reports = survey.reports().unwrap_or_default();
        let mut outcomes = Vec::with_capacity(sentences.len());
        for (i, sentence) in sentences.iter().enumerate() {
            let about = |report: &&crate::survey::Report| {
                report.at >= sentence.from && report.at < sentence.next && report.task == sentence.text
            };
            let done = reports.iter().filter(about).find(|report| report.success).map(|report| report.at);
            outcomes.push(done.map(|_| true).or_else(|| reports.iter().any(|r| about(&r)).then_some(false)));
            let Some(done) = done else { continue };
            let begin = self.frames.partition_point(|frame| (frame.instruction as usize) < i);
            let end = self.frames.partition_point(|frame| (frame.instruction as usize) <= i);
            let frames = &mut self.frames[begin..end];
            for frame in frames.iter_mut() {
                frame.success = done <= frame.at.offset_seconds(period_s);
            }
            if let Some(last) = frames.last_mut() {
                last.success = true;
            }
        }
        outcomes
    }

    /// Cuts the frames into episodes, and leaves out those that are not wanted.
    fn episodes(&mut self, options: &Options, outcomes: &[Option<bool>]) {
        let mut cuts: Vec<usize> = Vec::new();
        for (i, frame) in self.frames.iter().enumerate() {
            let other = i > 0
                && options.episode == EpisodeBy::Instruction
                && self.frames[i - 1].instruction != frame.instruction;
            if !frame.follows || other {
                cuts.push(i);
            }
        }
        cuts.push(self.frames.len());
        for pair in cuts.windows(2) {
            let frames = pair[0]..pair[1];
            let last = self.frames[pair[1] - 1];
            // Success of a sentence belongs to the episode in which it was seen.
            let said = outcomes[last.instruction as usize];
            let success = if said == Some(true) { last.success.then_some(true) } else { said };
            let length = frames.len() as u64;
            if length < u64::from(options.min_frames) {
                self.drop(format!("in an episode of fewer than {} frames", options.min_frames), length);
            } else if options.only_success && success != Some(true) {
                self.drop("in an episode that did not succeed".into(), length);
            } else {
                self.episodes.push(PlannedEpisode { frames, success });
            }
        }
    }

    /// Frames that will be written.
    pub fn written(&self) -> u64 {
        self.episodes.iter().map(|episode| episode.frames.len() as u64).sum()
    }
}

/// The stamps of the topics that frames are made of.
struct Sources<'a> {
    pictures: Vec<&'a [Stamped]>,
    states: Vec<Stamped>,
    commands: Vec<&'a [crate::command::Span]>,
}

impl<'a> Sources<'a> {
    fn of(layout: &Layout, survey: &'a Survey) -> Result<Self, DatasetError> {
        let pictures = layout.cameras.iter().map(|camera| Ok(&pictures_of(survey, &camera.topic)?.stamped[..]));
        let states = match survey.topics.get(&layout.joint_states) {
            Some(Topic::JointStates(states)) => states.with(&layout.joints),
            _ => Vec::new(),
        };
        let commands = match &layout.action {
            Action::Commands(topics) => topics
                .iter()
                .map(|topic| Ok(&commands_of(survey, &topic.topic)?.spans[..]))
                .collect::<Result<_, DatasetError>>()?,
            Action::Measured(_) => Vec::new(),
        };
        Ok(Self { pictures: pictures.collect::<Result<_, DatasetError>>()?, states, commands })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Stamp {
        Stamp::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_sentence_lasts_until_it_is_taken_back_or_replaced_and_saying_it_again_changes_nothing() {
        let said = [(0, ""), (10, "lift"), (20, "lift"), (30, ""), (40, "lift"), (50, "push")];
        let said: Vec<_> = said.iter().map(|(ms, text)| (at(*ms), (*text).to_owned())).collect();
        let found: Vec<_> = instructions(&said, None).into_iter().map(|i| (i.from, i.until, i.next, i.text)).collect();
        assert_eq!(
            found,
            [
                (at(10), at(30), at(40), "lift".to_owned()),
                (at(40), at(50), at(50), "lift".to_owned()),
                (at(50), END, END, "push".to_owned())
            ]
        );
    }
}
