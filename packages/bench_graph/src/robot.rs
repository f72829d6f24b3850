//! The robot's stand-in: cameras, joints and a goal for whatever graph runs, and a note of what comes back and when.
//!
//! It speaks on one thread and listens on another, each with a node of its own, in bytes.

use crate::messages::{
    DIAGNOSTICS, IMAGE, JOINT_STATE, TEXT, TRAJECTORY, joint_state, picture, set_stamp, stamp_of, trajectory,
};
use anyhow::{Context, Result, bail};
use efm_app::trace::TraceMessage;
use efm_core::Stamp;
use efm_ros::RosClock;
use efm_ros::raw::{RawNode, RawQos};
use efm_wire::cdr::{Decode, Encode};
use efm_wire::msgs::{DiagnosticArray, JointState, StringMsg};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Size of the cameras' pictures, as most cameras on arms have it.
pub const PICTURE: (u32, u32) = (640, 480);
/// Pictures a second and camera.
pub const CAMERA_RATE: f64 = 30.0;

/// The wall's time.
pub fn now() -> Stamp {
    RosClock::wall().now()
}

/// What the stand-in says.
#[derive(Debug, Clone, Default)]
pub struct Says {
    /// Cameras.
    pub cameras: Vec<String>,
    /// Joint states a second.
    pub joint_rate: f64,
    /// Whether it proposes chunks itself, ten a second, instead of a policy.
    pub proposes: bool,
}

/// A tick that somebody told of on `filter_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Time of the tick.
    pub tick: i64,
    /// Observation time of the newest chunk that it knew.
    pub chunk: i64,
    /// When the message was here.
    pub received: i64,
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Ticks.
    pub told: Vec<Told>,
    /// When trajectories for the arm were published, ns.
    pub windows: Vec<i64>,
    /// Events of traces, with the node.
    pub traces: Vec<TraceMessage>,
    /// Whether there is an instruction.
    pub instructed: bool,
}

/// The stand-in, at work.
pub struct Robot {
    heard: Arc<Mutex<Heard>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Robot {
    /// Begins.
    ///
    /// # Errors
    /// When the middleware refuses something.
    pub fn start(says: Says) -> Result<Self> {
        let (heard, over) = (Arc::new(Mutex::new(Heard::default())), Arc::new(AtomicBool::new(false)));
        let ears = Ears::new(heard.clone())?;
        let voice = Voice::new(says, heard.clone())?;
        let (ending, ended) = (over.clone(), over.clone());
        let threads = vec![
            std::thread::Builder::new().name("listens".to_owned()).spawn(move || ears.run(&ending))?,
            std::thread::Builder::new().name("speaks".to_owned()).spawn(move || voice.run(&ended))?,
        ];
        Ok(Self { heard, over, threads })
    }

    /// Looks at what has come.
    pub fn look<T>(&self, at: impl FnOnce(&Heard) -> T) -> T {
        at(&lock(&self.heard))
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// When it is not in time, with `what`; when a thread of the stand-in has ended.
    pub fn until(&self, what: &str, patience: Duration, mut is_so: impl FnMut(&Heard) -> bool) -> Result<()> {
        let end = Instant::now() + patience;
        while !self.look(&mut is_so) {
            if Instant::now() > end {
                bail!("{what} did not come within {} s", patience.as_secs());
            }
            if self.threads.iter().any(JoinHandle::is_finished) {
                bail!("the robot's stand-in has ended while waiting for {what}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Forgets what has come so far, but for the traces.
    pub fn forget(&self) {
        let mut heard = lock(&self.heard);
        heard.told.clear();
        heard.windows.clear();
    }

    /// Ends; what has come.
    ///
    /// # Errors
    /// What went wrong on a thread.
    pub fn stop(mut self) -> Result<Heard> {
        self.over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| anyhow::anyhow!("a thread of the robot's stand-in panicked"))??;
        }
        Ok(std::mem::take(&mut lock(&self.heard)))
    }
}

impl Drop for Robot {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Deep enough that nothing is lost while this process is late.
const EVERY: RawQos = RawQos::new(true, false, 1000);
/// As joint_trajectory_controller reads on Fast DDS: without acknowledging.
const AS_CONTROLLERS: RawQos = RawQos::new(false, false, 1000);

struct Ears {
    node: RawNode,
    heard: Arc<Mutex<Heard>>,
}

impl Ears {
    fn new(heard: Arc<Mutex<Heard>>) -> Result<Self> {
        Ok(Self { node: RawNode::create("bench_ears", "/")?, heard })
    }

    fn run(mut self, over: &AtomicBool) -> Result<()> {
        let node = &mut self.node;
        let told = node.subscribe("/trajectory_publisher/filter_state", JOINT_STATE, EVERY)?;
        let arm = node.subscribe("/panda_arm_controller/joint_trajectory", TRAJECTORY, AS_CONTROLLERS)?;
        // Nobody starts to move a hand that has no controller.
        node.subscribe("/panda_hand_controller/joint_trajectory", TRAJECTORY, AS_CONTROLLERS)?;
        let instruction = node.subscribe("/instruction", TEXT, RawQos::new(true, true, 1))?;
        let mut traces = Vec::new();
        for name in ["camera_ingest", "vla_inference", "trajectory_publisher"] {
            traces.push(node.subscribe(&format!("/{name}/trace"), DIAGNOSTICS, RawQos::new(true, true, 1000))?);
        }
        while !over.load(Ordering::SeqCst) {
            let mut wrong = None;
            node.spin(Duration::from_millis(50), |from, taken| {
                let received = taken.received.unwrap_or_else(now).nanos();
                let mut heard = lock(&self.heard);
                if from == told {
                    match read(taken.bytes, received) {
                        Ok(told) => heard.told.extend(told),
                        Err(error) => wrong = Some(error),
                    }
                } else if from == arm {
                    heard.windows.push(taken.published.map_or(received, |at| at.nanos()));
                } else if from == instruction {
                    heard.instructed = StringMsg::from_cdr(taken.bytes).is_ok_and(|text| !text.data.is_empty());
                } else if traces.contains(&from) {
                    let trace = DiagnosticArray::from_cdr(taken.bytes).map_err(|error| error.to_string());
                    let trace =
                        trace.and_then(|message| TraceMessage::read(&message).map_err(|error| error.to_string()));
                    match trace {
                        Ok(trace) => heard.traces.push(trace),
                        Err(error) => wrong = Some(anyhow::anyhow!("a trace cannot be read: {error}")),
                    }
                }
            })?;
            if let Some(error) = wrong {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// A message of `filter_state`; none before the first chunk.
fn read(bytes: &[u8], received: i64) -> Result<Option<Told>> {
    let message = JointState::from_cdr(bytes)?;
    let age = message.name.iter().position(|name| name == "chunk_age_s").and_then(|at| message.position.get(at));
    let age = age.context("filter_state without chunk_age_s")?;
    let tick = stamp_of(bytes).context("filter_state without a stamp")?.nanos();
    Ok(age.is_finite().then(|| Told { tick, chunk: tick - (age * 1e9).round() as i64, received }))
}

/// Something that is published at a rate.
struct Stream {
    to: Vec<efm_ros::raw::PublisherId>,
    message: Vec<u8>,
    period: Duration,
    due: Instant,
}

struct Voice {
    node: RawNode,
    streams: Vec<Stream>,
    goal: efm_ros::raw::PublisherId,
    proposes: bool,
    heard: Arc<Mutex<Heard>>,
}

impl Voice {
    fn new(says: Says, heard: Arc<Mutex<Heard>>) -> Result<Self> {
        let mut node = RawNode::create("bench_voice", "/")?;
        let reliable = |depth| RawQos::new(true, false, depth);
        let begin = Instant::now();
        let stream =
            |to, message, rate: f64| Stream { to, message, period: Duration::from_secs_f64(1.0 / rate), due: begin };
        let states = node.advertise("/joint_states", JOINT_STATE, reliable(10))?;
        let mut streams = vec![stream(vec![states], joint_state(), says.joint_rate)];
        if !says.cameras.is_empty() {
            let mut cameras = Vec::new();
            for camera in &says.cameras {
                cameras.push(node.advertise(&format!("/{camera}/image_raw"), IMAGE, reliable(2))?);
            }
            streams.push(stream(cameras, picture(PICTURE.0, PICTURE.1), CAMERA_RATE));
        }
        if says.proposes {
            let chunks = node.advertise("/action_chunk", TRAJECTORY, reliable(1))?;
            // Slowly to and fro: a chunk every tenth of a second lasts 1.6 s.
            let rows = |time: f64| 0.05 * (time * 2.0).sin();
            let chunk = trajectory(&crate::messages::JOINTS, &crate::messages::POSTURE, 16, 0.1, 0.1, false, rows);
            streams.push(stream(vec![chunks], chunk, 10.0));
        }
        let goal = node.advertise("/goal", TEXT, reliable(1))?;
        Ok(Self { node, streams, goal, proposes: says.proposes, heard })
    }

    fn run(mut self, over: &AtomicBool) -> Result<()> {
        let goal = StringMsg::new("put the red cube on the plate").to_cdr();
        let mut ask = Instant::now();
        while !over.load(Ordering::SeqCst) {
            let Some(next) = self.streams.iter_mut().min_by_key(|stream| stream.due) else { return Ok(()) };
            std::thread::sleep(next.due.saturating_duration_since(Instant::now()));
            // What was missed is not made up for: that would be a burst that no camera makes.
            next.due = (next.due + next.period).max(Instant::now());
            set_stamp(&mut next.message, now());
            for to in &next.to {
                self.node.publish(*to, &next.message)?;
            }
            if !self.proposes && Instant::now() > ask && !lock(&self.heard).instructed {
                self.node.publish(self.goal, &goal)?;
                ask = Instant::now() + Duration::from_secs(1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::messages::known;

    #[test]
    fn a_tick_names_the_chunk_that_it_knew_to_the_nanosecond() {
        let tick = Stamp::from_nanos(1_795_696_896_181_198_074);
        let told = read(&known(tick, 0.012_345_678), 7).unwrap().unwrap();
        assert_eq!(told, Told { tick: tick.nanos(), chunk: tick.nanos() - 12_345_678, received: 7 });
        assert!(read(&known(tick, f64::NAN), 7).unwrap().is_none(), "before the first chunk");
        assert!(read(&joint_state(), 7).is_err(), "another JointState is no filter_state");
    }

    #[test]
    fn a_message_gets_another_stamp_and_stays_as_it_is() {
        let before = picture(4, 2);
        let mut message = before.clone();
        let at = Stamp::from_nanos(1_795_696_896_999_999_999);
        set_stamp(&mut message, at);
        assert_eq!(stamp_of(&message), Some(at));
        assert_eq!(message[12..], before[12..]);
    }
}
