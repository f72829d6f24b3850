//! What the arm is doing and, when it is at rest, why: in words, for diagnostics.

use crate::reasons;
use efm_core::figure::Figure;
use efm_core::{JointNames, Level, Reason, SenderId, Text};
use efm_safety::{
    Activity, Contradiction, ControllerFault, IdleReason, Intrusion, Latch, Names, StopReason, TrajectoryStreamer,
    codes,
};

/// What the publisher of trajectories is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// No robot description yet, or one that does not fit.
    NoRobot(Reason),
    /// Somebody else's goal runs on a controller.
    Owned(String),
    /// Nothing is sent.
    Idle(IdleReason),
    /// A chunk is followed.
    Following,
    /// The chunk leads where the robot may not be.
    Blocked(Intrusion),
    /// On the way to rest.
    Stopping(StopReason),
    /// At rest, and sent to where it stands, as it did not do what it was sent. Why, until that is resumed.
    Holding(Option<StopReason>),
}

impl Phase {
    /// Of a motion that is sent.
    pub fn of(activity: &Activity) -> Self {
        match activity {
            Activity::Following => Phase::Following,
            Activity::Blocked(intrusion) => Phase::Blocked(*intrusion),
            Activity::Stopping(reason) => Phase::Stopping(reason.clone()),
            Activity::Holding(reason) => Phase::Holding(reason.clone()),
        }
    }

    /// Whether both are the same but for figures: another one is worth a line in the log.
    pub fn is_like(&self, other: &Phase) -> bool {
        use std::mem::discriminant as kind;
        // Two monitors, or two things that one of them tells of, are no less different than two kinds of reasons.
        let stop = |reason: &StopReason| match reason {
            StopReason::Monitor { monitor, reason: why, .. } => (kind(reason), Some((*monitor, why.code))),
            _ => (kind(reason), None),
        };
        match (self, other) {
            (Phase::Idle(a), Phase::Idle(b)) => match (a, b) {
                (IdleReason::Latched(a), IdleReason::Latched(b)) => stop(a) == stop(b),
                (IdleReason::NoChunk(a), IdleReason::NoChunk(b)) => a.as_ref().map(stop) == b.as_ref().map(stop),
                (
                    IdleReason::Monitor { monitor: a, reason: why },
                    IdleReason::Monitor { monitor: b, reason: for_that },
                ) => (a, why.code) == (b, for_that.code),
                _ => kind(a) == kind(b),
            },
            (Phase::Stopping(a), Phase::Stopping(b)) => stop(a) == stop(b),
            (Phase::Holding(a), Phase::Holding(b)) => a.as_ref().map(stop) == b.as_ref().map(stop),
            (Phase::NoRobot(a), Phase::NoRobot(b)) => a == b,
            (Phase::Owned(a), Phase::Owned(b)) => a == b,
            _ => kind(self) == kind(other),
        }
    }
}

/// What keeps the arm from moving at the policy's own speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowBy {
    /// The parameter or the topic `speed_scale`.
    Operator,
    /// The parameter `task_limits`, for this instruction.
    Task,
    /// A monitor, by its name.
    Monitor(&'static str),
}

impl SlowBy {
    /// What slows a filter down now.
    pub fn now(streamer: &TrajectoryStreamer) -> Option<(f64, Self)> {
        let set = Self::of(streamer.speed_scale(), streamer.task_limits().speed_scale);
        let watched = || streamer.slowed_by_monitor().filter(|(rate, _)| *rate < Self::UNSEEN);
        set.or_else(|| watched().map(|(rate, name)| (rate, Self::Monitor(name))))
    }

    /// Below this nobody sees that it moves.
    const UNSEEN: f64 = 0.01;

    /// Of the scale that is set and that of the task, the one that holds, where it is below a hundredth.
    pub fn of(set: f64, task: f64) -> Option<(f64, Self)> {
        let (scale, by) = if set <= task { (set, Self::Operator) } else { (task, Self::Task) };
        (scale < Self::UNSEEN).then_some((scale, by))
    }
}

/// What is known beside the phase.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// What is wrong with the joint states.
    pub joints: Option<String>,
    /// What was wrong with them first since the robot moved last.
    pub lost: Option<String>,
    /// Part of the policy's own speed that is allowed, and what sets it, where that is so little that nothing seems to move.
    pub slow: Option<(f64, SlowBy)>,
    /// Names of the robot's joints that no controller moves.
    pub others: Vec<String>,
    /// Seconds since the last chunk came; `None` before the first.
    pub chunk_silence: Option<f64>,
    /// Why the last chunk was refused, if it was.
    pub refused: Option<Reason>,
    /// What is wrong with a controller, by name.
    pub controller: Option<String>,
    /// Names of the controllers, in their order.
    pub controllers: Vec<String>,
    /// Which controller does not follow, and by how much: the last that did not.
    pub not_following: Option<String>,
    /// Who else commands a controller, and where: the last that did.
    pub contested: Option<String>,
    /// Whether a stop lasts until somebody resumes.
    pub latched: bool,
    /// The last chunk that nobody could follow, in words.
    pub nonsense: Option<String>,
    /// What the emergency stop was for.
    pub emergency: Option<String>,
    /// What is in the way, by name, while something is.
    pub obstacle: Option<String>,
    /// What of the surroundings is not known, so that nothing may move.
    pub surroundings: Option<String>,
    /// Names of nodes that sent something that was contradictory.
    pub senders: Vec<(SenderId, String)>,
    /// The instruction: `None` when nobody publishes one, empty without a goal.
    pub instruction: Option<String>,
    /// Why the instruction was taken back, where who gave it is not heard any more.
    pub unsupervised: Option<Reason>,
}

/// What the arm does, how bad that is and, when it is at rest, why, and what to do.
pub fn explain(phase: &Phase, around: &Around, joints: &JointNames) -> Reason {
    let name = |place: usize| joints.as_slice().get(place).map_or("?", String::as_str);
    let other_name = |place: usize| around.others.get(place).map_or("?", String::as_str);
    let sender = |sender: SenderId| {
        let known = around.senders.iter().find(|(known, _)| *known == sender);
        known.map_or_else(|| format!("sender {sender}"), |(_, name)| name.clone())
    };
    let controller = |place: usize| {
        let known = around.controllers.get(place);
        known.map_or_else(|| format!("controller {place}"), |name| format!("controller '{name}'"))
    };
    let contradicted = |contradiction: &Contradiction| contradiction.in_words(name(contradiction.joint()), sender);
    // A gap that is not latched ends by itself.
    let latched = around.latched || matches!(phase, Phase::Idle(IdleReason::Latched(_)) | Phase::Holding(_));
    let gap = |what: String| match latched {
        true => (what, Text::from("call ~/resume when they are back")),
        false => {
            let then = "once they are back and the robot is where it was commanded, the next action chunk is followed";
            (format!("{what}; {then}"), Text::default())
        }
    };
    let stop = |reason: &StopReason| -> (String, Text) {
        match reason {
            StopReason::Tracking { joint, error } => {
                let text =
                    format!("joint '{}' is {:.4} from where it was commanded to be", name(*joint), Figure(*error));
                (text, "call ~/resume when it is safe".into())
            }
            StopReason::Silent { controller: place, seconds, .. } => silent(&controller(*place), *seconds),
            StopReason::Controller { fault: ControllerFault::Contested, .. } => {
                let who = around.contested.clone().unwrap_or_else(|| "somebody else commands a controller".to_owned());
                (format!("{who}, so nothing more is sent to the robot"), "end that, then call ~/resume".into())
            }
            StopReason::Controller { controller: place, fault } => {
                let told = match fault {
                    ControllerFault::Missing => &around.controller,
                    ControllerFault::NotFollowing | ControllerFault::Contested => &around.not_following,
                    ControllerFault::StandsStill => &Some(format!("{} {fault}", controller(*place))),
                };
                let what = told.clone().unwrap_or_else(|| format!("{} {fault}", controller(*place)));
                let text = format!("a controller has failed, so all stand still: {what}");
                (text, "call ~/resume when it is back".into())
            }
            StopReason::Emergency => {
                let why = around.emergency.as_deref().map_or(String::new(), |why| format!(" ({why})"));
                (format!("emergency stop{why}"), "call ~/arm when it is safe".into())
            }
            StopReason::BadChunks { count } => {
                let last = around.nonsense.as_deref().map_or(String::new(), |last| format!(" (the last one: {last})"));
                let text = format!("{count} action chunks in a row could not be used{last}");
                (text, "look at the policy, then call ~/resume".into())
            }
            StopReason::Requested => ("stopped on request".to_owned(), "call ~/resume".into()),
            StopReason::Monitor { monitor, reason, latch } => {
                let text = format!("monitor '{monitor}': {}", reason.text);
                let way_out = match latch {
                    Latch::UntilResume => "call ~/resume when it is safe",
                    Latch::UntilRest => "",
                };
                (text, and(&reason.remedy, way_out))
            }
            StopReason::Exhausted => {
                let (_, silence, remedy) = silence(around);
                (format!("the last action chunk is over; {silence}"), remedy)
            }
            StopReason::OtherJointLost { other } => {
                let lost = || {
                    format!("joint '{}', which no controller moves, was lost while the arm moved", other_name(*other))
                };
                gap(around.joints.clone().or_else(|| around.lost.clone()).unwrap_or_else(lost))
            }
            StopReason::JointStateMissing | StopReason::JointStateStale { .. } => {
                let told = around.joints.clone().or_else(|| around.lost.clone());
                gap(told.unwrap_or_else(|| "joint_states were lost while the arm moved".to_owned()))
            }
            StopReason::JointStateInvalid => {
                let told = around.joints.clone().or_else(|| around.lost.clone());
                let what = told.unwrap_or_else(|| "joint_states could not be read while the arm moved".to_owned());
                (what, "call ~/resume when they are right again".into())
            }
            StopReason::Contradiction(contradiction) => {
                (contradicted(contradiction), "call ~/resume when they are right again".into())
            }
            StopReason::Internal(violation) => {
                (format!("internal error, nothing was sent: {violation}"), "call ~/resume".into())
            }
            StopReason::Cancelled | StopReason::Disarmed | StopReason::ClockJump { .. } => {
                let names =
                    Names { joints: joints.as_slice(), others: &around.others, controllers: &around.controllers };
                (reason.in_words(&names), Text::default())
            }
        }
    };
    let plain = |text: &str| (text.to_owned(), Text::default());
    let with = |before: &str, (text, remedy): (String, Text)| (format!("{before}{text}"), remedy);
    let (code, level, (text, remedy)) = match phase {
        Phase::NoRobot(why) => (why.code, Level::Error, (format!("at rest: {}", why.text), why.remedy.clone())),
        Phase::Owned(controller) => (
            reasons::GOAL_OF_ANOTHER,
            Level::Warn,
            plain(&format!("not streaming: a goal of somebody else is active on {controller}/follow_joint_trajectory")),
        ),
        Phase::Following => match around.slow {
            None => (reasons::FOLLOWING, Level::Ok, plain("following action chunks")),
            Some((scale, by)) => {
                (reasons::FOLLOWING_SLOWLY, Level::Warn, with("following action chunks, but ", slow(scale, by)))
            }
        },
        Phase::Blocked(intrusion) => {
            let what = around.obstacle.clone().unwrap_or_else(|| intrusion.to_string());
            let goes_on = "it goes on as soon as an action chunk leads elsewhere".into();
            (codes::OBSTACLE, Level::Warn, (format!("stopped before an obstacle: {what}"), goes_on))
        }
        Phase::Stopping(StopReason::Cancelled) if around.surroundings.is_some() => (
            reasons::SURROUNDINGS_UNKNOWN,
            Level::Error,
            plain(&format!("coming to rest: {}", around.surroundings.as_deref().unwrap_or_default())),
        ),
        Phase::Stopping(reason @ StopReason::Cancelled) => {
            (reason.code(), Level::Ok, plain("coming to rest: the instruction has changed or ended"))
        }
        Phase::Stopping(reason) => (reason.code(), Level::Warn, with("coming to rest: ", stop(reason))),
        Phase::Holding(Some(reason)) => (reason.code(), Level::Error, with("at rest: ", stop(reason))),
        Phase::Holding(None) => (
            reasons::HELD_WHERE_IT_STANDS,
            Level::Warn,
            ("at rest: it is sent to where it stands".to_owned(), "the next action chunk begins from there".into()),
        ),
        Phase::Idle(why @ IdleReason::ControllerSilent { controller: place, seconds }) => {
            (why.code(), Level::Error, with("at rest: ", silent(&controller(*place), *seconds)))
        }
        Phase::Idle(why @ IdleReason::Latched(reason)) => (why.code(), Level::Error, with("at rest: ", stop(reason))),
        Phase::Idle(why @ IdleReason::Disarmed) => {
            (why.code(), Level::Warn, ("at rest: disarmed".to_owned(), "call ~/arm to allow motion".into()))
        }
        Phase::Idle(why @ IdleReason::Space(intrusion)) => {
            let what = around.obstacle.clone().unwrap_or_else(|| intrusion.to_string());
            let text = format!("at rest: {what}: the robot may not move from where it stands");
            (why.code(), Level::Error, (text, "move it by hand, or declare the contact".into()))
        }
        // Without joint states nothing will move, whatever else is missing.
        Phase::Idle(why) if around.joints.is_some() => {
            let code = match why {
                IdleReason::NoChunk(Some(gap)) if gap.is_gap() => gap.code(),
                why if is_of_joints(why) => why.code(),
                _ => reasons::JOINT_STATES_UNUSABLE,
            };
            (code, Level::Error, plain(&format!("at rest: {}", around.joints.as_deref().unwrap_or_default())))
        }
        Phase::Idle(why @ IdleReason::Monitor { monitor, reason }) => (
            why.code(),
            reason.severity.max(Level::Warn),
            (format!("at rest: monitor '{monitor}' lets no motion begin: {}", reason.text), reason.remedy.clone()),
        ),
        Phase::Idle(why @ IdleReason::OtherJointUnknown { other }) => (
            why.code(),
            Level::Error,
            plain(&format!("at rest: nobody tells where joint '{}' is, which no controller moves", other_name(*other))),
        ),
        Phase::Idle(why @ IdleReason::Settling) => (
            why.code(),
            Level::Warn,
            plain("at rest soon: the controllers come to the end of what they were sent last"),
        ),
        Phase::Idle(why @ IdleReason::Contradiction(contradiction)) => {
            let remedy = match contradiction {
                Contradiction::Frozen { .. } => "it begins when they change, or when it is disarmed and armed again",
                _ => "it begins when they agree again",
            };
            (why.code(), Level::Error, (format!("at rest: {}", contradicted(contradiction)), remedy.into()))
        }
        Phase::Idle(why @ IdleReason::Unconfirmed(doubt)) => {
            let because = doubt.because.as_ref().map(|because| format!(" since {}", contradicted(because)));
            (
                why.code(),
                Level::Warn,
                plain(&format!(
                    "at rest: joint '{}' has not stood still for long enough: {} joint states over {:.2} s agree, {:.2} s are needed{}",
                    name(doubt.joint),
                    doubt.states,
                    doubt.seconds,
                    doubt.needs_s,
                    because.unwrap_or_default()
                )),
            )
        }
        Phase::Idle(why @ IdleReason::Elsewhere { joint, measured, held }) => {
            let text = format!(
                "at rest: joint '{}' is told to be at {measured:.4}, but was left at {held:.4} and held",
                name(*joint)
            );
            (why.code(), Level::Error, (text, "call ~/resume to begin where it stands".into()))
        }
        Phase::Idle(why @ IdleReason::NotAtRest { joint, speed }) => {
            let text = format!("at rest: joint '{}' still moves at {:.3} a second", name(*joint), Figure(*speed));
            (why.code(), Level::Warn, (text, "motion begins from standstill".into()))
        }
        Phase::Idle(why @ IdleReason::OutsideLimits { joint, position }) => {
            let text =
                format!("at rest: joint '{}' stands at {position:.4}, outside of its position limits", name(*joint));
            (why.code(), Level::Error, (text, "move it back by hand".into()))
        }
        Phase::Idle(IdleReason::NoChunk(_)) if around.controller.is_some() => {
            let words = format!("at rest: {}", around.controller.as_deref().unwrap_or_default());
            (codes::CONTROLLER_MISSING, Level::Error, plain(&words))
        }
        Phase::Idle(IdleReason::NoChunk(_)) if around.surroundings.is_some() => {
            let words = format!("at rest: {}", around.surroundings.as_deref().unwrap_or_default());
            (reasons::SURROUNDINGS_UNKNOWN, Level::Error, plain(&words))
        }
        Phase::Idle(IdleReason::NoChunk(last)) => idle(last.as_ref(), around, stop),
        Phase::Idle(why @ IdleReason::JointStateMissing) => {
            (why.code(), Level::Error, plain("at rest: there are no joint_states"))
        }
        Phase::Idle(why @ IdleReason::JointStateStale { age_s }) => {
            (why.code(), Level::Error, plain(&format!("at rest: joint_states are {age_s:.2} s old")))
        }
        Phase::Idle(why @ IdleReason::JointStateInvalid) => {
            (why.code(), Level::Error, plain("at rest: joint_states have a value that is no number, or not all joints"))
        }
    };
    Reason::new(code, level, text, remedy)
}

/// Two things to do, of which each may be none.
fn and(one: &Text, other: &'static str) -> Text {
    match (&**one, other) {
        ("", other) => other.into(),
        (_, "") => one.clone(),
        (one, other) => format!("{one}; {other}").into(),
    }
}

/// Whether it is the joint states that are waited for.
fn is_of_joints(why: &IdleReason) -> bool {
    matches!(
        why,
        IdleReason::JointStateMissing
            | IdleReason::JointStateStale { .. }
            | IdleReason::JointStateInvalid
            | IdleReason::OtherJointUnknown { .. }
            | IdleReason::Contradiction(_)
            | IdleReason::Unconfirmed(_)
    )
}

fn slow(scale: f64, by: SlowBy) -> (String, Text) {
    let (what, raise) = match by {
        SlowBy::Monitor(name) => {
            let allowed = if scale == 0.0 { "nothing moves" } else { "hardly anything moves" };
            let text = format!("{allowed}: monitor '{name}' allows {scale:?} of its speed");
            return (text, "it goes on when that allows more".into());
        }
        SlowBy::Operator => ("the speed scale", "set the parameter speed_scale to raise it (the topic only lowers it)"),
        SlowBy::Task => ("the speed_scale in task_limits for this instruction", "raise it there"),
    };
    let text = match scale {
        0.0 => format!("nothing moves: {what} is 0"),
        scale => format!("hardly anything moves: {what} is {scale:?}"),
    };
    (text, raise.into())
}

fn silent(controller: &str, seconds: f64) -> (String, Text) {
    let text =
        format!("{controller} told its controller_state and was silent for {seconds:.3} s, as one that is deactivated");
    (text, "it goes on by itself when that comes again and the robot is where it was commanded".into())
}

fn silence(around: &Around) -> (&'static str, String, Text) {
    let plain = |code, text: String| (code, text, Text::default());
    match around.chunk_silence {
        None => plain(reasons::NO_CHUNK_YET, "no action_chunk has come yet".to_owned()),
        Some(s) if s < 1.0 => match &around.refused {
            Some(refused) => {
                let text = format!("action chunks are refused: {}", refused.text);
                (reasons::CHUNKS_REFUSED, text, refused.remedy.clone())
            }
            None => plain(reasons::NO_NEWER_CHUNK, "no newer one can be followed".to_owned()),
        },
        Some(s) => plain(reasons::CHUNKS_SILENT, format!("action_chunk (vla_inference) is silent for {s:.1} s")),
    }
}

/// At rest without a chunk.
fn idle(
    last: Option<&StopReason>,
    around: &Around,
    stop: impl Fn(&StopReason) -> (String, Text),
) -> (&'static str, Level, (String, Text)) {
    if around.instruction.as_deref() == Some("") {
        if let Some(why) = &around.unsupervised {
            return (why.code, why.severity, (format!("at rest: {}", why.text), why.remedy.clone()));
        }
        return (reasons::NO_GOAL, Level::Ok, ("at rest: no goal".to_owned(), Text::default()));
    }
    let goal = around.instruction.is_some();
    let level = if goal { Level::Error } else { Level::Warn };
    let (code, silence, remedy) = silence(around);
    let at_rest = |reason: &StopReason| {
        let (text, remedy) = stop(reason);
        (format!("at rest: {text}"), remedy)
    };
    match last {
        Some(reason @ StopReason::Exhausted) => (code, level, at_rest(reason)),
        Some(reason @ StopReason::ClockJump { .. }) => (reason.code(), level, at_rest(reason)),
        // A stop that is over does not tell why it does not go on: that is the silence of the chunks. What it asked for is done.
        Some(reason) if !matches!(reason, StopReason::Cancelled) => {
            let (text, _) = at_rest(reason);
            (code, level, (format!("{text}; {silence}"), remedy))
        }
        _ => (code, if goal { Level::Warn } else { Level::Ok }, (format!("at rest: {silence}"), remedy)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_safety::Violation;

    fn told(phase: Phase, around: Around) -> (Level, String) {
        let said = explain(&phase, &around, &JointNames::new(["a", "b"]).unwrap());
        assert!(reasons::is_listed(said.code), "{said:?}");
        (said.severity, said.in_words())
    }

    #[test]
    fn a_dead_inference_node_is_named_as_the_reason_for_rest() {
        let around = Around { chunk_silence: Some(3.2), instruction: Some("go".into()), ..Around::default() };
        let (level, text) = told(Phase::Idle(IdleReason::NoChunk(Some(StopReason::Exhausted))), around.clone());
        assert_eq!(level, Level::Error);
        assert!(text.contains("vla_inference") && text.contains("silent for 3.2 s"), "{text}");
        let (level, text) = told(Phase::Stopping(StopReason::Exhausted), around);
        assert!(level == Level::Warn && text.contains("silent for 3.2 s"), "{text}");
    }

    #[test]
    fn a_speed_of_nothing_is_told_with_the_way_out() {
        for (set, task, what, raise) in [
            (0.0, 1.0, "the speed scale is 0;", "parameter speed_scale"),
            (0.0, 0.0, "the speed scale is 0;", "parameter speed_scale"),
            (-0.0, 1.0, "the speed scale is 0;", "parameter speed_scale"),
            (1.0, 0.0, "task_limits for this instruction is 0;", "raise it there"),
            (1.0e-300, 1.0, "the speed scale is 1e-300;", "parameter speed_scale"),
            (0.5, 0.009, "task_limits for this instruction is 0.009;", "raise it there"),
        ] {
            let around = Around { slow: SlowBy::of(set, task), ..Around::default() };
            let (level, text) = told(Phase::Following, around);
            assert!(level == Level::Warn && text.contains(what) && text.contains(raise), "{text}");
            assert!(text.starts_with("following action chunks, but "), "{text}");
        }
        assert_eq!((SlowBy::of(0.01, 1.0), SlowBy::of(1.0, 0.02)), (None, None));
        assert_eq!(told(Phase::Following, Around::default()).0, Level::Ok);
    }

    #[test]
    fn what_was_wrong_with_joint_states_is_still_told_when_they_are_right_again() {
        let lost = Some("joint_states of node '/x' carry position NaN of joint 'b'".to_owned());
        let latched = Phase::Idle(IdleReason::Latched(StopReason::JointStateMissing));
        let (_, text) = told(latched.clone(), Around { lost: lost.clone(), ..Around::default() });
        assert!(text.contains("'/x'") && text.contains("'b'") && text.contains("~/resume"), "{text}");
        // What is wrong now comes first.
        let now = Around { joints: Some("joint_states are silent".to_owned()), lost, ..Around::default() };
        assert!(told(latched, now).1.contains("silent"));
    }

    #[test]
    fn without_a_goal_rest_is_as_it_should_be() {
        let around = Around { chunk_silence: Some(99.0), instruction: Some(String::new()), ..Around::default() };
        let (level, _) = told(Phase::Idle(IdleReason::NoChunk(Some(StopReason::Exhausted))), around);
        assert_eq!(level, Level::Ok);
    }

    #[test]
    fn a_missing_joint_comes_before_a_missing_chunk() {
        let around = Around { joints: Some("joint 'b' is missing from joint_states".into()), ..Around::default() };
        for phase in [
            Phase::Idle(IdleReason::NoChunk(None)),
            Phase::Idle(IdleReason::JointStateMissing),
            Phase::Stopping(StopReason::JointStateMissing),
        ] {
            let (level, text) = told(phase, around.clone());
            assert!(level >= Level::Warn && text.contains("'b'"), "{text}");
        }
    }

    #[test]
    fn joints_are_called_by_name_and_latched_stops_tell_the_way_out() {
        let (level, text) =
            told(Phase::Idle(IdleReason::Latched(StopReason::Tracking { joint: 1, error: 0.3 })), Around::default());
        assert!(level == Level::Error && text.contains("'b'") && text.contains("resume"), "{text}");
        let (_, text) = told(Phase::Idle(IdleReason::Disarmed), Around::default());
        assert!(text.contains("~/arm"), "{text}");
    }

    #[test]
    fn a_controller_that_does_not_follow_is_named_though_all_of_them_are_there() {
        let around = Around { not_following: Some("arm does not follow".into()), ..Around::default() };
        let reason = StopReason::Controller { controller: 0, fault: ControllerFault::NotFollowing };
        let (level, text) = told(Phase::Idle(IdleReason::Latched(reason.clone())), around.clone());
        assert!(level == Level::Error && text.contains("arm does not follow") && text.contains("~/resume"), "{text}");
        let (_, text) = told(Phase::Stopping(reason), Around { controller: Some("hand is gone".into()), ..around });
        assert!(text.contains("arm does not follow") && !text.contains("hand"), "{text}");
    }

    #[test]
    fn who_else_commands_the_robot_is_named_and_so_is_an_emergency_stop() {
        let around = Around {
            contested: Some("node '/teleop' sends on '/arm/joint_trajectory' too".into()),
            emergency: Some("topic emergency_stop, node '/button'".into()),
            ..Around::default()
        };
        let reason = StopReason::Controller { controller: 0, fault: ControllerFault::Contested };
        let (level, text) = told(Phase::Idle(IdleReason::Latched(reason)), around.clone());
        assert!(level == Level::Error && text.contains("'/teleop'") && text.contains("~/resume"), "{text}");
        let (level, text) = told(Phase::Idle(IdleReason::Latched(StopReason::Emergency)), around);
        assert!(level == Level::Error && text.contains("'/button'") && text.contains("~/arm"), "{text}");
    }

    #[test]
    fn surroundings_that_are_not_known_are_the_reason_for_rest() {
        let around =
            Around { surroundings: Some("object 'pallet': frame 'agv' is unknown".into()), ..Around::default() };
        for phase in [
            Phase::Stopping(StopReason::Cancelled),
            Phase::Idle(IdleReason::NoChunk(Some(StopReason::Cancelled))),
            Phase::Idle(IdleReason::NoChunk(None)),
        ] {
            let (level, text) = told(phase, around.clone());
            assert!(level == Level::Error && text.contains("'pallet'") && text.contains("'agv'"), "{text}");
        }
        // Who has stopped it otherwise has to end that first.
        let (_, text) = told(Phase::Idle(IdleReason::Disarmed), around);
        assert!(text.contains("~/arm"), "{text}");
    }

    #[test]
    fn a_joint_that_no_controller_moves_is_named_when_it_is_not_known() {
        let around = Around { others: vec!["rail".into()], ..Around::default() };
        let lost = StopReason::OtherJointLost { other: 0 };
        for phase in [
            Phase::Idle(IdleReason::OtherJointUnknown { other: 0 }),
            Phase::Idle(IdleReason::Latched(lost.clone())),
            Phase::Stopping(lost),
        ] {
            let (level, text) = told(phase.clone(), around.clone());
            assert!(level >= Level::Warn && text.contains("'rail'"), "{text}");
            let why = Around { joints: Some("joint 'rail' is stamped 2.00 s in the past".into()), ..around.clone() };
            let (_, text) = told(phase, why);
            assert!(text.contains("'rail' is stamped"), "{text}");
        }
    }

    #[test]
    fn figures_alone_make_no_new_phase() {
        let stale = |age_s| Phase::Stopping(StopReason::JointStateStale { age_s });
        assert!(stale(0.1).is_like(&stale(0.2)));
        assert!(!stale(0.1).is_like(&Phase::Stopping(StopReason::Exhausted)));
        assert!(
            !Phase::Idle(IdleReason::NoChunk(None))
                .is_like(&Phase::Idle(IdleReason::NoChunk(Some(StopReason::Exhausted))))
        );
    }

    const MONITOR: &str = "m";

    fn own(remedy: &'static str) -> Reason {
        Reason::new("of_its_own", Level::Error, "it is warm", remedy)
    }

    fn contradictions() -> [Contradiction; 3] {
        let senders = (SenderId([1; 16]), SenderId([2; 16]));
        [
            Contradiction::Jump { joint: 0, from: 0.0, to: 1.0, seconds: 0.1 },
            Contradiction::Senders { joint: 0, positions: (0.0, 1.0), senders },
            Contradiction::Frozen { joint: 0, position: 0.0, moved: 0.1, looped: false },
        ]
    }

    fn stops() -> Vec<StopReason> {
        let monitor = |latch, remedy| StopReason::Monitor { monitor: MONITOR, reason: own(remedy), latch };
        let faults = [
            ControllerFault::Missing,
            ControllerFault::NotFollowing,
            ControllerFault::StandsStill,
            ControllerFault::Contested,
        ];
        let mut all = vec![
            StopReason::Exhausted,
            StopReason::Cancelled,
            StopReason::Requested,
            StopReason::Disarmed,
            StopReason::JointStateMissing,
            StopReason::JointStateStale { age_s: 1.0 },
            StopReason::JointStateInvalid,
            StopReason::OtherJointLost { other: 0 },
            StopReason::Tracking { joint: 0, error: 0.1 },
            StopReason::ClockJump { step_s: 1.0 },
            StopReason::BadChunks { count: 3 },
            StopReason::Silent { controller: 0, seconds: 1.0, over: false },
            StopReason::Emergency,
            StopReason::Internal(Violation::TooShort(1)),
            monitor(Latch::UntilResume, ""),
            monitor(Latch::UntilResume, "let it cool"),
            monitor(Latch::UntilRest, ""),
        ];
        all.extend(contradictions().map(StopReason::Contradiction));
        all.extend(faults.map(|fault| StopReason::Controller { controller: 0, fault }));
        for stop in &all {
            // Whoever adds one adds it above, too: the tests walk over them.
            match stop {
                StopReason::Exhausted
                | StopReason::Cancelled
                | StopReason::Requested
                | StopReason::Disarmed
                | StopReason::JointStateMissing
                | StopReason::JointStateStale { .. }
                | StopReason::JointStateInvalid
                | StopReason::OtherJointLost { .. }
                | StopReason::Tracking { .. }
                | StopReason::Contradiction(_)
                | StopReason::ClockJump { .. }
                | StopReason::BadChunks { .. }
                | StopReason::Controller { .. }
                | StopReason::Silent { .. }
                | StopReason::Emergency
                | StopReason::Monitor { .. }
                | StopReason::Internal(_) => {}
            }
        }
        all
    }

    /// With nothing known beside, and with everything.
    fn arounds() -> [Around; 2] {
        let told = |words: &str| Some(words.to_owned());
        let all = Around {
            joints: told("joint_states are silent"),
            lost: told("joint_states were silent"),
            slow: Some((0.0, SlowBy::Operator)),
            others: vec!["rail".into()],
            chunk_silence: Some(0.1),
            refused: Some(Reason::new(codes::CHUNK_TOO_OLD, Level::Warn, "it is old", "look at the camera")),
            controller: told("arm is not there"),
            controllers: vec!["arm".into()],
            not_following: told("arm does not follow"),
            contested: told("node '/teleop' sends too"),
            latched: true,
            nonsense: told("step 0 wants joint 'a' at 1e300"),
            emergency: told("~/emergency_stop"),
            obstacle: told("'hand' and 'box'"),
            surroundings: told("object 'box' hangs nowhere"),
            senders: Vec::new(),
            unsupervised: None,
            instruction: told("go"),
        };
        [Around::default(), all]
    }

    #[test]
    fn every_latch_has_its_way_out_apart_from_what_it_is() {
        let joints = JointNames::new(["a", "b"]).unwrap();
        for around in arounds() {
            for stop in stops() {
                for phase in [Phase::Idle(IdleReason::Latched(stop.clone())), Phase::Holding(Some(stop.clone()))] {
                    let said = explain(&phase, &around, &joints);
                    assert_eq!(said.in_words(), format!("{}; {}", said.text, said.remedy).trim_end_matches("; "));
                    if stop.is_latched() || stop.is_gap() {
                        let out = if stop == StopReason::Emergency { "~/arm" } else { "~/resume" };
                        assert!(said.remedy.contains(out), "{said:?}");
                    }
                    assert!(!said.text.contains("call "), "{said:?}");
                }
            }
        }
    }

    /// Of each kind.
    fn phases() -> Vec<Phase> {
        let mut phases = vec![
            Phase::NoRobot(Reason::new(reasons::NO_ROBOT_DESCRIPTION, Level::Error, "none", "publish one")),
            Phase::Owned("arm".into()),
            Phase::Following,
            Phase::Holding(None),
            Phase::Idle(IdleReason::Disarmed),
            Phase::Idle(IdleReason::JointStateMissing),
            Phase::Idle(IdleReason::JointStateStale { age_s: 1.0 }),
            Phase::Idle(IdleReason::JointStateInvalid),
            Phase::Idle(IdleReason::OtherJointUnknown { other: 0 }),
            Phase::Idle(IdleReason::Elsewhere { joint: 0, measured: 0.0, held: 1.0 }),
            Phase::Idle(IdleReason::Settling),
            Phase::Idle(IdleReason::NotAtRest { joint: 0, speed: 1.0 }),
            Phase::Idle(IdleReason::ControllerSilent { controller: 0, seconds: 1.0 }),
            Phase::Idle(IdleReason::OutsideLimits { joint: 0, position: 9.0 }),
            Phase::Idle(IdleReason::Monitor { monitor: MONITOR, reason: own("let it cool") }),
            Phase::Idle(IdleReason::NoChunk(None)),
        ];
        phases.extend(contradictions().map(|it| Phase::Idle(IdleReason::Contradiction(it))));
        phases.extend(stops().into_iter().map(|stop| Phase::Idle(IdleReason::NoChunk(Some(stop)))));
        phases.extend(stops().into_iter().map(Phase::Stopping));
        phases
    }

    #[test]
    fn what_to_do_is_the_remedy_and_not_the_text() {
        let joints = JointNames::new(["a", "b"]).unwrap();
        for around in arounds() {
            for phase in phases() {
                let said = explain(&phase, &around, &joints);
                for order in ["call ", "set the parameter", "move it", "; look at", "let it cool", "publish one"] {
                    assert!(!said.text.contains(order), "{order}: {said:?}");
                }
            }
        }
    }

    /// What people and programs read is changed on purpose only: `EFM_UPDATE=1` writes the file anew, and its difference is looked at.
    #[test]
    fn what_is_said_of_every_phase_is_what_was_agreed() {
        let file = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/motion_said.txt");
        let told = |words: &str| Some(words.to_owned());
        let [nothing, all] = arounds();
        let driver = (SenderId([1; 16]), "node '/driver'".to_owned());
        let goal = Around { instruction: told("go"), controllers: vec!["arm".into()], ..Around::default() };
        let arounds = [
            ("nothing known", nothing),
            ("everything known", all),
            ("a goal, and chunks are silent", Around { chunk_silence: Some(3.2), ..goal.clone() }),
            ("a goal, and chunks come", Around { chunk_silence: Some(0.1), ..goal.clone() }),
            ("a goal, and chunks are silent for just a second", Around { chunk_silence: Some(1.0), ..goal.clone() }),
            ("no goal", Around { instruction: told(""), ..Around::default() }),
            (
                "joint states were lost, of a driver",
                Around { lost: told("they were lost"), senders: vec![driver], ..goal.clone() },
            ),
            ("a monitor allows nothing", Around { slow: Some((0.0, SlowBy::Monitor(MONITOR))), ..goal.clone() }),
            ("a monitor allows little", Around { slow: Some((0.005, SlowBy::Monitor(MONITOR))), ..goal.clone() }),
            ("a controller is gone", Around { controller: told("arm is not there"), ..goal }),
        ];
        let joints = JointNames::new(["a", "b"]).unwrap();
        // Of what is known beside, only what changes the words.
        let (mut text, mut usual) = (String::new(), Vec::new());
        let latched = stops().into_iter().map(|stop| Phase::Idle(IdleReason::Latched(stop)));
        let holding = stops().into_iter().map(|stop| Phase::Holding(Some(stop)));
        let all: Vec<_> = phases().into_iter().chain(latched).chain(holding).collect();
        for (name, around) in &arounds {
            text += &format!("== {name}\n");
            for (place, phase) in all.iter().enumerate() {
                let said = explain(phase, around, &joints);
                let line = format!("{phase:?}\n    {} {:?}: {}\n", said.code, said.severity, said.in_words());
                if usual.get(place) != Some(&line) {
                    text += &line;
                }
                if usual.len() < all.len() {
                    usual.push(line);
                }
            }
        }
        if std::env::var_os("EFM_UPDATE").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let agreed = std::fs::read_to_string(&file).unwrap_or_default();
        let at = agreed.lines().zip(text.lines()).find(|(agreed, said)| agreed != said);
        assert!(agreed == text, "{at:?} differ, or what follows: EFM_UPDATE=1 writes {} anew", file.display());
    }

    #[test]
    fn another_kind_of_the_same_phase_is_another_line_of_the_log() {
        let no_robot =
            |words: &'static str| Phase::NoRobot(Reason::new(reasons::NO_ROBOT_DESCRIPTION, Level::Error, words, ""));
        let monitor = |monitor, code| StopReason::Monitor {
            monitor,
            reason: Reason::new(code, Level::Error, "it is warm", ""),
            latch: Latch::UntilResume,
        };
        let idle = |monitor, code| {
            Phase::Idle(IdleReason::Monitor { monitor, reason: Reason::new(code, Level::Error, "it is warm", "") })
        };
        let latched = |stop| Phase::Idle(IdleReason::Latched(stop));
        for (one, other) in [
            (no_robot("none"), no_robot("it does not fit")),
            (Phase::Owned("arm".into()), Phase::Owned("hand".into())),
            (Phase::Holding(None), Phase::Holding(Some(StopReason::Exhausted))),
            (Phase::Holding(Some(StopReason::Requested)), Phase::Holding(Some(StopReason::Exhausted))),
            (latched(StopReason::Requested), latched(StopReason::Emergency)),
            (latched(monitor("a", "x")), latched(monitor("a", "y"))),
            (latched(monitor("a", "x")), latched(monitor("b", "x"))),
            (idle("a", "x"), idle("a", "y")),
            (idle("a", "x"), idle("b", "x")),
            (Phase::Following, Phase::Holding(None)),
            (Phase::Stopping(StopReason::Requested), Phase::Holding(Some(StopReason::Requested))),
        ] {
            assert!(!one.is_like(&other) && !other.is_like(&one), "{one:?} {other:?}");
            assert!(one.is_like(&one.clone()) && other.is_like(&other.clone()), "{one:?} {other:?}");
        }
    }
}
