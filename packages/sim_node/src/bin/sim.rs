//! A simulated robot cell behind the topics that a real one has: controllers, joint states, cameras, a task.
//!
//! The physics run on a thread of their own, tied to the clock: the wall's, or one that is published on `/clock`. Pictures are drawn on another one, of a
//! world that is shown what the first is like: physics, joint states and clock wait neither for drawing nor for readers of pictures.

use efm_config::files;
use efm_core::percentiles::Percentiles;
use efm_core::reading;
use efm_core::{Stamp, Trajectory};
use efm_ros::bounds;
use efm_ros::r2r::rosgraph_msgs::msg::Clock;
use efm_ros::r2r::sensor_msgs::msg::{CameraInfo, Image, JointState};
use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::r2r::std_srvs::srv::Trigger;
use efm_ros::r2r::trajectory_msgs::msg::JointTrajectory;
use efm_ros::{Level, NodeError, Publisher, RosClock, RosError, Shutdown, Task as Health, convert, qos};
use efm_sim::cell::{ARM_CONTROLLER, Cell, HAND_CONTROLLER};
use efm_sim::{Camera, Scene, World, WorldFiles};
use efm_sim_node::pace::{Every, Inbox, Move, Pace};
use efm_sim_node::params::specs;
use futures::StreamExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

const REPORT_EVERY: Duration = Duration::from_millis(500);
/// So long the first pictures may take, which make the renderer.
const FIRST_PICTURES: Duration = Duration::from_secs(60);
/// Where simulated time begins under `publish_clock`: not at zero, which means "no stamp".
const EPOCH: Stamp = Stamp::from_nanos(1_000_000_000);

/// What reaches the physics from the graph.
enum Input {
    /// For a controller, with the time at which it came.
    Command(&'static str, Stamp, JointTrajectory),
    Reset(u64, oneshot::Sender<String>),
}

/// What the world is like at a time.
struct Moment {
    stamp: Stamp,
    scene: Arc<Scene>,
    positions: Vec<f64>,
}

/// What is drawn, on a thread of its own.
struct Studio {
    world: World,
    scene: Arc<Scene>,
    cameras: Vec<CameraVoice>,
    drawing: Percentiles,
    health: Health,
    reported: Instant,
}

impl Studio {
    fn new(
        files: &WorldFiles,
        scene: Arc<Scene>,
        cameras: Vec<CameraVoice>,
        health: Health,
    ) -> Result<Self, NodeError> {
        let mut world = World::new(files)?;
        world.reset(&scene);
        Ok(Self { world, scene, cameras, drawing: Percentiles::new(300), health, reported: Instant::now() })
    }

    /// Until the physics end.
    fn run(mut self, mut moments: watch::Receiver<Option<Arc<Moment>>>, first: &Sender<()>) {
        while futures::executor::block_on(moments.changed()).is_ok() {
            let Some(moment) = moments.borrow_and_update().clone() else { continue };
            if !Arc::ptr_eq(&moment.scene, &self.scene) {
                self.world.reset(&moment.scene);
                self.scene = moment.scene.clone();
            }
            self.world.show(&moment.positions);
            self.draw(moment.stamp);
            // Only the first time somebody waits.
            let _ = first.send(());
            if self.reported.elapsed() > REPORT_EVERY {
                self.reported = Instant::now();
                self.report();
            }
        }
    }

    fn draw(&mut self, now: Stamp) {
        for voice in &mut self.cameras {
            let began = Instant::now();
            let mut picture = voice.empty.try_recv().unwrap_or_default();
            if let Err(error) = self.world.render(voice.camera, &mut picture) {
                if self.health.error(error.to_string()) {
                    log::error!("{error}");
                }
                continue;
            }
            self.drawing.add(began.elapsed().as_secs_f64());
            if voice.drawn.try_send((now, picture)).is_err() {
                voice.dropped += 1;
            }
        }
    }

    fn report(&mut self) {
        if self.drawing.count() > 0 {
            let mut values = self.drawing.shown_ms("drawing").to_vec();
            let dropped: u64 = self.cameras.iter().map(|voice| voice.dropped).sum();
            values.push(("pictures dropped".to_owned(), dropped.to_string()));
            self.health.report(Level::Ok, "cameras are drawn", values);
        }
    }
}

/// Everything that leaves the physics.
struct Voice {
    joints: Publisher<JointState>,
    /// The newest: nobody waits for a slow one.
    moments: watch::Sender<Option<Arc<Moment>>>,
    clock: Option<Publisher<Clock>>,
    task: Publisher<Text>,
}

/// Sends the pictures of one camera on a thread of its own: a slow reader of a megabyte must not hold up the physics.
struct CameraVoice {
    camera: Camera,
    drawn: SyncSender<(Stamp, Vec<u8>)>,
    /// Pixel buffers that come back.
    empty: Receiver<Vec<u8>>,
    /// Pictures that were not sent because the last ones had not left yet.
    dropped: u64,
}

/// The time that the physics follow.
enum Pacer {
    /// A clock of others.
    Follow(RosClock),
    /// Its own, so many times as fast as the monotonic clock.
    Own { factor: f64, anchor: (Instant, Stamp) },
}

impl Pacer {
    fn now(&self) -> Stamp {
        match self {
            Pacer::Follow(clock) => clock.now(),
            Pacer::Own { factor, anchor: (at, stamp) } => stamp.offset_seconds(at.elapsed().as_secs_f64() * factor),
        }
    }

    /// Gets over a lag: time of others goes on, so the cell follows; own time waits for the cell.
    fn anchor(&mut self, cell: &mut Cell) {
        match self {
            Pacer::Follow(clock) => cell.set_now(clock.now()),
            Pacer::Own { anchor, .. } => *anchor = (Instant::now(), cell.now()),
        }
    }
}

struct Rates {
    joints: Every,
    cameras: Every,
    clock: Every,
    task: Every,
}

struct Physics {
    cell: Cell,
    pacer: Pacer,
    pace: Pace,
    rates: Rates,
    voice: Voice,
    joint_state: JointState,
    health: Health,
    /// As the studio knows it.
    scene: Arc<Scene>,
    inbox: Inbox<(&'static str, Trajectory)>,
    simulated: i64,
    /// Largest lag since the last report, s.
    worst_lag: f64,
    refused: u64,
    last_refusal: String,
    /// Stamp of the command that each controller took last.
    taken: Vec<(&'static str, Stamp)>,
    told_success: bool,
}

impl Physics {
    /// Until the end is asked for.
    fn run(
        mut self,
        inputs: &Receiver<Input>,
        shutdown: &Shutdown,
        first_pictures: &Receiver<()>,
    ) -> Result<(), NodeError> {
        let mut report = Instant::now();
        // The first pictures make the renderer; time begins when everything is there.
        self.show(self.cell.now());
        // An error is where nobody draws, which was told.
        if first_pictures.recv_timeout(FIRST_PICTURES) == Err(RecvTimeoutError::Timeout) {
            log::warn!("the first pictures are not drawn after {FIRST_PICTURES:?}");
        }
        self.pacer.anchor(&mut self.cell);
        while !shutdown.is_requested() {
            loop {
                match inputs.try_recv() {
                    Ok(input) => self.take(input)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            match self.pace.decide(self.cell.now(), self.pacer.now()) {
                Move::Anchor => self.pacer.anchor(&mut self.cell),
                Move::Step => self.step()?,
                // Half a step: the machine has others to run.
                Move::Wait => std::thread::sleep(Duration::from_micros(1000)),
            }
            if report.elapsed() > REPORT_EVERY {
                report = Instant::now();
                self.report();
            }
        }
        Ok(())
    }

    fn take(&mut self, input: Input) -> Result<(), NodeError> {
        match input {
            Input::Command(controller, came, message) => {
                // Time of its own does not run on while the physics stall.
                let came = if let Pacer::Follow(_) = self.pacer { came } else { self.cell.now() };
                self.inbox.put(came, (controller, convert::trajectory(message)));
            }
            Input::Reset(seed, reply) => {
                let now = self.cell.now();
                self.cell.reset(Scene::sample(seed), now);
                self.scene = Arc::new(self.cell.scene().clone());
                self.inbox = Inbox::default();
                self.last_refusal.clear();
                let status = self.status();
                log::info!("reset: {status}");
                self.tell(status.clone())?;
                // Whoever asked may be gone.
                let _ = reply.send(status);
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), NodeError> {
        while let Some((controller, trajectory)) = self.inbox.due(self.cell.now()) {
            match self.cell.command(controller, &trajectory) {
                Ok(()) => match self.taken.iter_mut().find(|(name, _)| *name == controller) {
                    Some((_, stamp)) => *stamp = trajectory.stamp,
                    None => self.taken.push((controller, trajectory.stamp)),
                },
                Err(refusal) => {
                    let refusal = refusal.to_string();
                    if refusal != self.last_refusal {
                        log::error!("{refusal}");
                    }
                    self.refused += 1;
                    self.last_refusal = refusal;
                }
            }
        }
        self.cell.step();
        self.simulated += efm_sim::world::STEP_NANOS;
        let now = self.cell.now();
        if let Some(clock) = &self.voice.clock
            && self.rates.clock.is_due(now)
        {
            clock.publish(&Clock { clock: convert::time(now) })?;
        }
        if self.rates.joints.is_due(now) {
            let state = self.cell.world().joint_state();
            self.joint_state.header.stamp = convert::time(now);
            let fill = |to: &mut Vec<f64>, from: &[f64]| {
                to.clear();
                to.extend_from_slice(from);
            };
            fill(&mut self.joint_state.position, &state.positions);
            fill(&mut self.joint_state.velocity, &state.velocities);
            fill(&mut self.joint_state.effort, &state.efforts);
            self.voice.joints.publish(&self.joint_state)?;
        }
        let behind = self.pacer.now().seconds_since(now);
        self.worst_lag = self.worst_lag.max(behind);
        if self.rates.cameras.is_due(now) {
            self.show(now);
        }
        if self.rates.task.is_due(now) || self.cell.verdict().success() != self.told_success {
            let status = self.status();
            self.tell(status)?;
        }
        Ok(())
    }

    /// Has pictures drawn of what is now; where the last ones are not begun yet they are left out.
    fn show(&mut self, stamp: Stamp) {
        let positions = self.cell.world().raw_state().0.to_vec();
        let moment = Moment { stamp, scene: self.scene.clone(), positions };
        self.voice.moments.send_replace(Some(Arc::new(moment)));
    }

    /// The task as JSON.
    fn status(&self) -> String {
        let (scene, verdict) = (self.cell.scene(), self.cell.verdict());
        let (world, object) = (self.cell.world(), scene.task.object());
        let at = world.object_pose(object).position;
        serde_json::json!({
            "instruction": scene.sentence,
            "seed": scene.seed,
            "split": scene.split.name(),
            "kind": scene.task.kind(),
            "task": scene.task.name(),
            "object": object.name(),
            "success": verdict.success(),
            "detail": verdict.failure.map_or("done".to_owned(), |failure| format!("{failure:?}")),
            "distance": verdict.distance,
            "others_moved": verdict.others_moved,
            "touched": world.finger_touches(object),
            "height": at.z - object.rest_height(),
            "position": [at.x, at.y],
            "elapsed": self.cell.elapsed(),
        })
        .to_string()
    }

    fn tell(&mut self, status: String) -> Result<(), RosError> {
        self.told_success = self.cell.verdict().success();
        self.voice.task.publish(&Text { data: status })
    }

    fn report(&mut self) {
        let factor = self.pace.factor(self.pacer.now(), self.simulated);
        let seconds =
            |at: Stamp| format!("{}.{:09}", at.nanos().div_euclid(1_000_000_000), at.nanos().rem_euclid(1_000_000_000));
        let mut values = [
            ("real-time factor", factor.map_or("?".to_owned(), |f| format!("{f:.3}"))),
            ("worst lag ms", format!("{:.1}", std::mem::take(&mut self.worst_lag) * 1e3)),
            ("re-anchored", self.pace.anchors().to_string()),
            ("seconds left out", format!("{:.3}", self.pace.lost())),
            ("commands refused", self.refused.to_string()),
            ("last refusal", self.last_refusal.clone()),
            ("seed", self.cell.scene().seed.to_string()),
            ("time", seconds(self.cell.now())),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect::<Vec<_>>();
        values.extend(self.taken.iter().map(|(name, stamp)| (format!("last window of {name}"), seconds(*stamp))));
        match factor {
            Some(f) if f < 0.9 => {
                self.health.report(Level::Warn, format!("too slow: {f:.2} of the wanted speed"), values)
            }
            _ if !self.last_refusal.is_empty() => {
                self.health.report(Level::Warn, format!("a command was refused: {}", self.last_refusal), values)
            }
            _ => self.health.report(Level::Ok, "running", values),
        };
    }
}

fn camera_info(camera: Camera) -> CameraInfo {
    let k = camera.intrinsics();
    let mut info = CameraInfo {
        width: k.width,
        height: k.height,
        distortion_model: "plumb_bob".into(),
        d: vec![0.0; 5],
        k: vec![k.fx, 0.0, k.cx, 0.0, k.fy, k.cy, 0.0, 0.0, 1.0],
        r: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p: vec![k.fx, 0.0, k.cx, 0.0, 0.0, k.fy, k.cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        ..CameraInfo::default()
    };
    info.header.frame_id = camera.optical_frame().into();
    info
}

fn camera_voice(node: &mut efm_ros::Node, camera: Camera) -> Result<CameraVoice, NodeError> {
    let (mut info, name) = (camera_info(camera), camera.name());
    let mut image = Image {
        header: info.header.clone(),
        encoding: "rgb8".into(),
        width: info.width,
        height: info.height,
        step: info.width * 3,
        ..Image::default()
    };
    let images = node.publisher(&format!("{name}/image_raw"), qos::image_output())?;
    let infos = node.publisher(&format!("{name}/camera_info"), qos::image_output())?;
    let (drawn, pictures) = sync_channel::<(Stamp, Vec<u8>)>(2);
    let (give_back, empty) = channel();
    std::thread::Builder::new().name(format!("camera {name}")).spawn(move || {
        while let Ok((stamp, picture)) = pictures.recv() {
            image.header.stamp = convert::time(stamp);
            info.header.stamp = convert::time(stamp);
            image.data = picture;
            let sent = images.publish(&image).and_then(|()| infos.publish(&info));
            if let Err(error) = sent {
                log::debug!("{error}"); // the node is gone
                return;
            }
            // The physics may have ended.
            let _ = give_back.send(std::mem::take(&mut image.data));
        }
    })?;
    Ok(CameraVoice { camera, drawn, empty, dropped: 0 })
}

fn main() -> ExitCode {
    efm_ros::run("sim", specs(), |node| {
        let params = node.params().clone();
        let urdf = files::find(&params.text("robot_description_file"));
        let data = reading::text(&urdf, reading::DESCRIPTION)
            .map_err(|e| format!("parameter 'robot_description_file': cannot read '{}': {e}", urdf.display()))?;
        let description = node.publisher::<Text>("robot_description", qos::latched())?;
        let publish_clock = params.bool("publish_clock");

        let (sender, inputs) = channel();
        for controller in [ARM_CONTROLLER, HAND_CONTROLLER] {
            // As the real controller reads on Fast DDS: whatever the publisher offers is heard.
            let heard = qos::Hearing::from(qos::trajectory().best_effort()).at_most(bounds::TRAJECTORY);
            let mut commands = node.every::<JointTrajectory>(&format!("{controller}/joint_trajectory"), heard)?;
            let sender: Sender<Input> = sender.clone();
            node.spawn(async move {
                while let Some(command) = commands.recv().await {
                    if sender.send(Input::Command(controller, command.ros_at, command.msg)).is_err() {
                        break;
                    }
                }
            });
        }
        let mut resets = node.service::<Trigger::Service>("~/reset")?;

        let mut cameras = Vec::new();
        for camera in Camera::ALL.into_iter().filter(|c| params.texts("cameras").iter().any(|name| name == c.name())) {
            cameras.push(camera_voice(node, camera)?);
        }
        let (moments, shown_moments) = watch::channel(None);
        let voice = Voice {
            joints: node.publisher("joint_states", qos::joint_states_output())?,
            moments,
            clock: if publish_clock { Some(node.publisher("/clock", qos::clock())?) } else { None },
            task: node.publisher("task_status", qos::event())?,
        };
        let rates = Rates {
            joints: Every::hertz(params.double("joint_rate")),
            cameras: Every::hertz(params.double("camera_rate")),
            clock: Every::hertz(params.double("clock_rate")),
            task: Every::hertz(10.0),
        };
        let (health, camera_health) = (node.diagnostics().task("physics"), node.diagnostics().task("cameras"));
        let (clock, shutdown) = (node.clock().clone(), node.shutdown().clone());
        let seed = u64::try_from(params.integer("seed")).unwrap_or_default();
        let factor = params.double("real_time_factor");
        let (failed_sender, failed) = oneshot::channel::<NodeError>();

        // A renderer stays on the thread that made it.
        let (first, first_pictures) = channel();
        let files = WorldFiles { urdf: urdf.clone() };
        let scene = Arc::new(Scene::sample(seed));
        let shown = scene.clone();
        let studio = std::thread::Builder::new().name("drawing".into()).spawn(move || {
            match Studio::new(&files, shown, cameras, camera_health) {
                Ok(studio) => studio.run(shown_moments, &first),
                Err(error) => log::error!("no pictures are drawn: {error}"),
            }
        })?;
        let physics = std::thread::Builder::new().name("physics".into()).spawn(move || {
            let work = || -> Result<(), NodeError> {
                let pacer = if publish_clock {
                    Pacer::Own { factor, anchor: (Instant::now(), EPOCH) }
                } else {
                    Pacer::Follow(clock)
                };
                let cell = Cell::new(&WorldFiles { urdf }, (*scene).clone(), pacer.now())?;
                let joint_state = JointState {
                    name: World::joint_names().iter().map(|&name| name.to_owned()).collect(),
                    ..JointState::default()
                };
                let physics = Physics {
                    cell,
                    pacer,
                    pace: if publish_clock { Pace::own(factor) } else { Pace::following() },
                    rates,
                    voice,
                    joint_state,
                    health,
                    scene,
                    inbox: Inbox::default(),
                    simulated: 0,
                    worst_lag: 0.0,
                    refused: 0,
                    last_refusal: String::new(),
                    taken: Vec::new(),
                    told_success: false,
                };
                physics.run(&inputs, &shutdown, &first_pictures)
            };
            let outcome = work();
            if let Err(error) = outcome
                && !shutdown.is_requested()
            {
                let _ = failed_sender.send(error);
            }
        })?;
        // The end waits for the last step and picture (and the renderer to be put away in its thread), which is a matter of milliseconds.
        node.on_shutdown(move || {
            for (thread, name) in [(physics, "physics"), (studio, "drawing")] {
                if thread.join().is_err() {
                    log::error!("the thread of {name} has panicked");
                }
            }
        });

        Ok(async move {
            description.publish(&Text { data })?;
            let mut failed = std::pin::pin!(failed);
            loop {
                tokio::select! {
                    outcome = &mut failed => {
                        return match outcome {
                            Ok(error) => Err(error),
                            Err(_) => Ok(()), // ended because the node does
                        };
                    }
                    Some(request) = resets.next() => {
                        let seed = u64::try_from(params.integer("seed")).unwrap_or_default();
                        let (reply, done) = oneshot::channel();
                        let sent = sender.send(Input::Reset(seed, reply));
                        let (success, message) = match (sent, done.await) {
                            (Ok(()), Ok(status)) => (true, status),
                            _ => (false, "the physics have ended".to_owned()),
                        };
                        if let Err(error) = request.respond(Trigger::Response { success, message }) {
                            log::debug!("~/reset: {error}");
                        }
                    }
                }
            }
        })
    })
}
