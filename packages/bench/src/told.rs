//! What is said about the robot: `joint_states` messages of one or several senders, and how they lie.
//!
//! A pure function of the seed. A message does not carry numbers but how they come from the true pose, as every rule that is compared has a robot of its
//! own; see [`Message::position`].

use crate::arm::Arm;
use crate::rng::Rng;
use efm_core::SenderId;
use std::f64::consts::{PI, TAU};

/// Whether a source tells velocities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Velocities {
    /// As they are.
    Told,
    /// The field is empty.
    Not,
    /// Numbers that are none.
    Nan,
    /// All zero, whatever the robot does.
    Zero,
}

/// One that publishes joint states.
#[derive(Debug, Clone)]
pub struct Source {
    /// Who.
    pub sender: SenderId,
    /// Its joints, in the order of its messages: places in the bounds.
    pub joints: Vec<usize>,
    /// Nanoseconds between messages, and from measuring to receipt.
    period: i64,
    delay: i64,
    velocities: Velocities,
    /// Whether joints that turn on without end are told within half a turn.
    wraps: bool,
    /// An encoder's step, and noise; radians or metres.
    step: f64,
    noise: f64,
    /// When the next message is measured, on the clock of receipts.
    due: i64,
    count: u64,
}

/// What a message says of a joint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Say {
    /// Where it is, and so much more.
    Off(f64),
    /// This.
    Is(f64),
    /// The same as the source said before, to the last bit.
    Same,
}

/// What is wrong with the form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    Sound,
    /// A position less than names.
    Short,
    /// A joint twice.
    Twice,
    /// A position that is no number.
    Nan,
    /// No stamp.
    Unstamped,
}

/// A message that arrives.
#[derive(Debug, Clone)]
pub struct Message {
    /// Place of its source.
    pub source: usize,
    /// Who sent it.
    pub sender: SenderId,
    /// When the pose was measured and when it came, in nanoseconds on the clock of receipts.
    pub measured: i64,
    /// See above.
    pub received: i64,
    /// By how much its stamp is off the time of measuring, nanoseconds.
    pub stamp_off: i64,
    /// What it says, joint by joint: place in the bounds.
    pub says: Vec<(usize, Say)>,
    /// Velocities.
    pub velocities: Velocities,
    /// Its form.
    pub form: Form,
    wraps: bool,
    step: f64,
    noise: (u64, f64),
}

impl Message {
    /// Whether it comes from somebody who knows nothing of this robot.
    pub fn is_strange(&self) -> bool {
        self.source == usize::MAX
    }

    /// Whether it says the same as the one before.
    pub fn is_repeating(&self) -> bool {
        self.says.iter().all(|(_, say)| *say == Say::Same)
    }

    /// The position that is told of a joint which truly is at `truth`; `before` is what the source told last.
    pub fn position(&self, joint: usize, say: Say, truth: f64, before: f64, continuous: bool) -> f64 {
        let value = match say {
            Say::Same => return before,
            Say::Is(value) => value,
            Say::Off(by) => truth + by + crate::episode::noise(self.noise, joint),
        };
        let value = if self.step > 0.0 { (value / self.step).round() * self.step } else { value };
        if self.wraps && continuous { value - TAU * ((value + PI) / TAU).floor() } else { value }
    }
}

/// A way to lie about the robot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Some joints are elsewhere by a constant, for a while.
    Off,
    /// The same from the first message on and for ever, which nothing contradicts.
    Always,
    /// True and false in turn.
    InTurn,
    /// Away from the truth, at a speed that joints have.
    Drift,
    /// Another sender tells other positions of the same joints.
    Twin,
    /// As the last one told, to the last bit, under fresh stamps.
    Frozen,
    /// What was true up to 0.9 s ago, under fresh stamps.
    Replay,
    /// Messages twice and more often.
    Repeated,
    /// Messages arrive up to 0.3 s late.
    Late,
    /// Stamps of the future.
    Early,
    /// Some joints are missing from the messages, or come in another order.
    Partial,
    /// No messages, or malformed ones.
    Missing,
    /// A hair or more outside of the position limits.
    Beyond,
    /// Velocities are zero, or not told.
    Velocities,
    /// A joint without end, told a turn or half a turn elsewhere.
    Turns,
}

impl Kind {
    /// All but the one that never ends.
    pub const PASSING: [Self; 14] = [
        Self::Off,
        Self::InTurn,
        Self::Drift,
        Self::Twin,
        Self::Frozen,
        Self::Replay,
        Self::Repeated,
        Self::Late,
        Self::Early,
        Self::Partial,
        Self::Missing,
        Self::Beyond,
        Self::Velocities,
        Self::Turns,
    ];
}

/// One lie.
#[derive(Debug, Clone)]
struct Lie {
    kind: Kind,
    /// Of which source.
    source: usize,
    /// Which joints, and a number for each.
    joints: Vec<(usize, f64)>,
    from: i64,
    to: i64,
    /// A number that means something to the kind.
    amount: f64,
    ended: bool,
}

/// Makes the messages of an episode.
#[derive(Debug)]
pub struct Senses {
    /// Who publishes.
    pub sources: Vec<Source>,
    kinds: &'static [Kind],
    lie: Option<Lie>,
    /// When the next lie begins.
    next: i64,
    /// When the last one ended.
    pub ended: i64,
    /// On their way.
    pending: Vec<Message>,
    joints: usize,
    minimum: Vec<f64>,
    maximum: Vec<f64>,
    velocity: Vec<f64>,
    continuous: Vec<bool>,
    rng: Rng,
}

const SECOND: f64 = 1.0e9;

fn nanos(seconds: f64) -> i64 {
    (seconds * SECOND) as i64
}

impl Senses {
    /// For a robot; lies are of these kinds. Times are of the clock of receipts, which begins at 0.
    pub fn new(arm: &Arm, kinds: &'static [Kind], wraps: bool, rng: &mut Rng) -> Self {
        let mut rng = Rng::new(rng.bits());
        let n = arm.bounds.len();
        let split = arm.controllers.len() > 1 && rng.chance(0.5);
        let groups: Vec<Vec<usize>> = if split {
            arm.controllers.iter().map(|(_, places)| places.clone()).collect()
        } else {
            vec![(0..n).collect()]
        };
        // Arm and hand of one driver, or of two.
        let own = rng.chance(0.7);
        let sources = groups
            .iter()
            .enumerate()
            .map(|(i, joints)| {
                let order = rng.order(joints.len());
                let rate = rng.pick(&[50.0, 60.0, 100.0, 100.0, 125.0, 250.0, 500.0, 1000.0]);
                let period = nanos(1.0 / rate);
                Source {
                    sender: SenderId([if own { 1 + i as u8 } else { 1 }; 16]),
                    joints: order.iter().map(|place| joints[*place]).collect(),
                    period,
                    delay: nanos(rng.pick(&[0.0, 0.0005, 0.002, 0.008])),
                    velocities: rng.pick(&[Velocities::Told, Velocities::Told, Velocities::Not, Velocities::Nan]),
                    wraps: wraps && rng.chance(0.7),
                    step: rng.pick(&[0.0, 0.0, 1.0e-4, 1.5e-3]),
                    noise: rng.pick(&[0.0, 1.0e-5, 2.0e-4]),
                    due: (rng.unit() * period as f64) as i64,
                    count: 0,
                }
            })
            .collect();
        let b = &arm.bounds;
        let mut made = Self {
            sources,
            kinds,
            lie: None,
            next: nanos(rng.pick(&[0.0, 0.05, 0.2, 1.0, 3.0])),
            ended: 0,
            pending: vec![],
            joints: n,
            minimum: b.min.clone(),
            maximum: b.max.clone(),
            velocity: b.velocity.clone(),
            continuous: (0..n).map(|j| b.is_continuous(j)).collect(),
            rng,
        };
        if kinds.is_empty() {
            made.next = i64::MAX;
        }
        made
    }

    /// Whether something is told that is not so, or not told.
    pub fn is_lying(&self, now: i64) -> bool {
        self.lie.is_some() || self.pending.iter().any(|message| message.received > now + 20_000_000)
    }

    fn begin(&mut self, now: i64) {
        let rng = &mut self.rng;
        let kind = rng.pick(self.kinds);
        let period = self.sources[0].period as f64 / SECOND;
        let lasts = match rng.below(8) {
            0 => period,
            1 => 3.0 * period,
            2 => 0.09,
            3 => 0.2,
            4 => 0.45,
            5 => 0.8,
            6 => rng.scale(0.02, 3.0),
            _ => rng.scale(0.005, 0.3),
        };
        let source = rng.below(self.sources.len());
        let mut joints = self.sources[source].joints.clone();
        if rng.chance(0.7) {
            joints = vec![rng.pick(&joints)];
        }
        let mut amount = 0.0;
        let mut to = now + nanos(lasts);
        let size = |rng: &mut Rng| rng.scale(2.0e-3, 1.5) * rng.sign();
        let of: Vec<(usize, f64)> = match kind {
            Kind::Off | Kind::Always | Kind::InTurn => joints.iter().map(|j| (*j, size(rng))).collect(),
            Kind::Drift => {
                joints.iter().map(|j| (*j, self.velocity[*j] * rng.scale(0.005, 1.5) * rng.sign())).collect()
            }
            Kind::Beyond => {
                let beyond = rng.scale(1.0e-6, 0.2);
                joints.iter().map(|j| (*j, if rng.chance(0.5) { beyond } else { -beyond })).collect()
            }
            Kind::Turns => {
                let by = rng.pick(&[TAU, -TAU, 2.0 * TAU, PI, -PI]);
                joints.iter().map(|j| (*j, by)).collect()
            }
            Kind::Twin => {
                // A twin arm at rest or moving, or a publisher of zeros; or one that says the same.
                amount = rng.pick(&[0.0, 0.0, 0.3]);
                let same = rng.chance(0.1);
                joints.iter().map(|j| (*j, if same { 0.0 } else { size(rng) })).collect()
            }
            Kind::Replay => {
                amount = rng.between(0.02, 0.9);
                vec![]
            }
            Kind::Late => {
                amount = rng.scale(0.005, 0.3);
                vec![]
            }
            Kind::Early => {
                amount = rng.scale(0.001, 0.4);
                vec![]
            }
            Kind::Repeated | Kind::Partial | Kind::Missing | Kind::Velocities | Kind::Frozen => {
                amount = rng.unit();
                joints.iter().map(|j| (*j, 0.0)).collect()
            }
        };
        if kind == Kind::Always {
            to = i64::MAX;
        }
        if kind == Kind::Twin {
            let rate = rng.pick(&[10.0, 50.0, 100.0, 250.0]);
            let zeros = rng.chance(0.3);
            let from = self.sources.len().min(200) as u8;
            let order = rng.order(of.len());
            // The lie is a source of its own for as long as it lasts.
            self.sources.push(Source {
                sender: SenderId([100 + from % 100; 16]),
                joints: order.iter().map(|place| of[*place].0).collect(),
                period: nanos(1.0 / rate),
                delay: 0,
                velocities: Velocities::Told,
                wraps: false,
                step: 0.0,
                noise: if zeros { -1.0 } else { 0.0 },
                due: now + (rng.unit() * 1.0e7) as i64,
                count: 0,
            });
        }
        self.lie = Some(Lie { kind, source, joints: of, from: now, to, amount, ended: false });
    }

    /// Messages that arrive until `now` on the clock of receipts, in the order of their arrival.
    pub fn advance(&mut self, now: i64, out: &mut Vec<Message>) {
        out.clear();
        while let Some((at, source)) =
            self.sources.iter().enumerate().map(|(i, s)| (s.due, i)).min().filter(|(at, _)| *at <= now)
        {
            if let Some(lie) = &mut self.lie
                && at > lie.to
            {
                lie.ended = true;
            }
            if self.lie.as_ref().is_some_and(|lie| lie.ended) {
                let twin = self.lie.take().is_some_and(|lie| lie.kind == Kind::Twin);
                if twin {
                    self.sources.pop();
                }
                self.ended = at;
                self.next = at + nanos(self.rng.scale(0.05, 6.0));
                continue;
            }
            if self.lie.is_none() && at >= self.next {
                self.begin(at);
            }
            let told = &mut self.sources[source];
            let jitter = if self.rng.chance(0.2) { self.rng.between(-0.2, 0.2) } else { 0.0 };
            told.due = at + ((1.0 + jitter) * told.period as f64) as i64;
            told.count += 1;
            self.tell(at, source);
        }
        // Never before they were measured, and none overtakes in one connection.
        self.pending.sort_by_key(|message| message.received);
        let come = self.pending.partition_point(|message| message.received <= now);
        out.extend(self.pending.drain(..come));
    }

    fn tell(&mut self, at: i64, place: usize) {
        let rng = &mut self.rng;
        let source = &self.sources[place];
        let twin = self.lie.as_ref().filter(|lie| lie.kind == Kind::Twin && place + 1 == self.sources.len());
        let mut message = Message {
            source: place,
            sender: source.sender,
            measured: at,
            received: at + source.delay,
            stamp_off: 0,
            says: source.joints.iter().map(|joint| (*joint, Say::Off(0.0))).collect(),
            velocities: source.velocities,
            form: Form::Sound,
            wraps: source.wraps,
            step: source.step,
            noise: (rng.bits(), source.noise.max(0.0)),
        };
        if let Some(lie) = twin {
            message.source = usize::MAX;
            let t = (at - lie.from) as f64 / SECOND;
            for (joint, say) in &mut message.says {
                let by = lie.joints.iter().find(|(j, _)| j == joint).map_or(0.0, |(_, by)| *by);
                *say = match (source.noise < 0.0, by == 0.0) {
                    (true, false) => Say::Is(0.0),
                    (_, true) => Say::Off(0.0),
                    _ => Say::Off(by + lie.amount * t.sin()),
                };
            }
            self.pending.push(message);
            return;
        }
        let Some(lie) = self.lie.as_ref().filter(|lie| lie.source == place || matches!(lie.kind, Kind::Missing)) else {
            self.pending.push(message);
            return;
        };
        let t = (at - lie.from) as f64 / SECOND;
        let of = |joint: usize| lie.joints.iter().find(|(j, _)| *j == joint).map(|(_, by)| *by);
        match lie.kind {
            Kind::Off | Kind::Always | Kind::Turns => {
                for (joint, say) in &mut message.says {
                    if let Some(by) = of(*joint) {
                        *say = Say::Off(by);
                    }
                }
            }
            Kind::InTurn => {
                for (joint, say) in &mut message.says {
                    if let (Some(by), true) = (of(*joint), source.count.is_multiple_of(2)) {
                        *say = Say::Off(by);
                    }
                }
            }
            Kind::Drift => {
                for (joint, say) in &mut message.says {
                    if let Some(speed) = of(*joint) {
                        *say = Say::Off(speed * t);
                    }
                }
            }
            Kind::Beyond => {
                for (joint, say) in &mut message.says {
                    let (min, max) = (self.minimum[*joint], self.maximum[*joint]);
                    if let (Some(by), true) = (of(*joint), min.is_finite() && max.is_finite()) {
                        *say = Say::Is(if by > 0.0 { max + by } else { min + by });
                    }
                }
            }
            Kind::Frozen => message.says.iter_mut().for_each(|(_, say)| *say = Say::Same),
            Kind::Replay => {
                message.stamp_off = nanos(lie.amount);
                message.measured = at - nanos(lie.amount);
            }
            Kind::Repeated => {
                for _ in 0..1 + (lie.amount * 3.0) as usize {
                    let mut again = message.clone();
                    again.received += nanos(rng.between(0.0, 0.03));
                    // (The noise is the same, as is everything else.)
                    self.pending.push(again);
                }
            }
            Kind::Late => message.received += nanos(lie.amount * rng.between(0.5, 1.0)),
            Kind::Early => message.stamp_off = nanos(lie.amount * rng.between(0.5, 1.0)),
            Kind::Partial => {
                if lie.amount < 0.4 && message.says.len() > 1 {
                    message.says.retain(|(joint, _)| of(*joint).is_none());
                } else if lie.amount < 0.7 && message.says.len() > 1 && rng.chance(0.5) {
                    let keep = rng.below(message.says.len());
                    message.says = vec![message.says[keep]];
                } else {
                    let order = rng.order(message.says.len());
                    message.says = order.iter().map(|place| message.says[*place]).collect();
                }
                if message.says.is_empty() {
                    return;
                }
            }
            Kind::Missing => match (lie.amount * 6.0) as usize {
                0 | 1 => return,
                2 if rng.chance(0.5) => return,
                3 => message.form = Form::Short,
                4 => message.form = Form::Nan,
                5 if rng.chance(0.5) => message.form = Form::Unstamped,
                5 => message.form = Form::Twice,
                _ => {}
            },
            Kind::Velocities => {
                message.velocities = if lie.amount < 0.5 { Velocities::Zero } else { Velocities::Not };
            }
            Kind::Twin => {}
        }
        self.pending.push(message);
    }

    /// Number of joints of the robot.
    pub fn joints(&self) -> usize {
        self.joints
    }

    /// Whether a joint turns on without end.
    pub fn is_continuous(&self, joint: usize) -> bool {
        self.continuous[joint]
    }
}
