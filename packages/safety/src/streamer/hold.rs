//! A robot that does not do what it is sent: switched off, it stands, and the newest window has to rest where it stands. Whatever comes back goes to the
//! newest window in one step.

use super::*;
use crate::measured::measured_at;
use crate::tracking::{Follows, Tracking, Word};

/// What is known of the controllers, and what they are given in the place of the plan.
#[derive(Debug)]
pub(super) struct Hold {
    /// By controller: its joints that are no gripper's.
    arms: Vec<Vec<usize>>,
    /// By controller: whether it tells its state; and for how many seconds it has not, where it is silent.
    tells: Vec<bool>,
    silent: Vec<Option<f64>>,
    /// By controller: whether its windows rest where the robot stands.
    holds: Vec<bool>,
    /// By controller: whether its robot stood still while it was commanded on, and was not seen to follow since; and where it stood.
    suspect: Vec<bool>,
    /// By controller: whether its robot stood, by positions and speeds alike, when its states were found not to be where it was commanded.
    stood: Vec<bool>,
    /// By joint: where.
    at: Vec<f64>,
    /// When that was sent last, without a motion.
    sent: Option<Stamp>,
    follows: Follows,
}

impl Hold {
    /// For controllers by the places of their joints, of which `arm` are no gripper's.
    pub fn new(controllers: &[Draft], arm: impl Fn(usize) -> bool, follows: Follows, joints: usize) -> Self {
        let arms: Vec<Vec<usize>> = controllers
            .iter()
            .map(|draft| draft.places.iter().copied().filter(|place| arm(*place)).collect())
            .collect();
        let n = arms.len();
        Self {
            arms,
            tells: vec![false; n],
            silent: vec![None; n],
            holds: vec![false; n],
            suspect: vec![false; n],
            stood: vec![false; n],
            at: vec![0.0; joints],
            sent: None,
            follows,
        }
    }

    /// Whether the windows of a controller rest where the robot stands.
    pub fn holds(&self, controller: usize) -> bool {
        self.holds[controller]
    }

    /// Whether those of any do.
    pub fn any(&self) -> bool {
        self.holds.contains(&true)
    }

    /// Where a joint is held.
    pub fn at(&self, joint: usize) -> f64 {
        self.at[joint]
    }

    /// A silent controller that moves an arm, and for how long it is silent.
    pub fn silent(&self) -> Option<(usize, f64)> {
        let of = |(controller, silent): (usize, &Option<f64>)| {
            silent.filter(|_| !self.arms[controller].is_empty()).map(|seconds| (controller, seconds))
        };
        self.silent.iter().enumerate().find_map(of)
    }

    /// Nothing is held any more: a motion begins, or somebody else has the robot.
    pub fn end(&mut self) {
        self.holds.fill(false);
        self.sent = None;
        self.follows.restart();
    }

    /// Whether all arms of a robot say themselves that they were halted, and stand.
    pub fn halted(&self, told: bool) -> bool {
        let mut arms = self.arms.iter().zip(&self.suspect).filter(|(arm, _)| !arm.is_empty());
        arms.any(|(arm, suspect)| self.follows.say_so(arm, Word { told, suspect: *suspect }))
    }

    /// How joints follow their commands.
    pub fn follows(&self) -> &Follows {
        &self.follows
    }
}

impl TrajectoryStreamer {
    /// What is known of how a joint follows its command, and how far it may be from it now.
    pub fn tracking(&self, joint: usize) -> Tracking {
        self.hold.follows.of(joint)
    }

    /// A controller (in the order of the controllers) that told its state does not any more, for so many seconds: all come to rest as planned. As soon as
    /// the robot is seen to stand elsewhere than it is commanded, what its controller is sent rests there, and the stop is latched; while it does not,
    /// the next chunk is followed once [`Self::controller_speaks`].
    pub fn controller_silent(&mut self, controller: usize, seconds: f64, now: Stamp) {
        let Some(silent) = self.hold.silent.get_mut(controller) else { return };
        *silent = Some(seconds);
        self.hold.tells[controller] = true;
        if self.motion.is_some() && !self.hold.arms[controller].is_empty() {
            self.begin_stop(StopReason::Silent { controller, seconds, over: false }, now);
        }
    }

    /// A controller tells its state, for the first time or again.
    pub fn controller_speaks(&mut self, controller: usize) {
        let Some(silent) = self.hold.silent.get_mut(controller) else { return };
        *silent = None;
        self.hold.tells[controller] = true;
        if self.hold.silent().is_some() || self.hold.any() {
            return;
        }
        // The robot was never seen elsewhere than commanded, or this were latched: a new chunk may be followed before rest is reached.
        if let Some(StopReason::Silent { over, .. }) = self.motion.as_mut().and_then(|motion| motion.stop.as_mut()) {
            *over = true;
        }
    }

    /// Looks whether the robot does what it is sent. True where it is held and nothing else of it is to be judged.
    pub(super) fn watch_following(&mut self, now: Stamp, measured: &Measured<'_>) -> bool {
        // States that have just been found not to tell where the robot is do not tell where it stands either: but for those of a robot that stood when it
        // was found off its command, or whose controller is known to be off.
        let (off_command, contradicted) = match self.motion.as_ref().and_then(|motion| motion.stop.as_ref()) {
            Some(StopReason::Tracking { .. } | StopReason::Contradiction(Contradiction::Frozen { .. })) => {
                (true, false)
            }
            Some(StopReason::Contradiction(_)) => (false, true),
            _ => (false, false),
        };
        let (plan, hold, max_speed) = (&self.plan, &mut self.hold, self.config.max_start_speed);
        for (arm, suspect) in hold.arms.iter().zip(&mut hold.suspect) {
            // It moves, so it is there.
            *suspect &= arm.iter().all(|joint| measured.sample.velocities[*joint].abs() <= max_speed);
        }
        // A robot that is stopped because it does not follow says nothing of how it follows.
        let stopped =
            self.motion.as_ref().and_then(|motion| motion.stop.as_ref()).is_some_and(|stop| !stop.may_continue());
        let learns = !stopped && !hold.any();
        for arm in &hold.arms {
            for joint in arm {
                let at = measured_at(now, measured, *joint);
                let (position, speed) = (measured.sample.positions[*joint], measured.sample.velocities[*joint]);
                hold.follows.see(*joint, at, position, speed, learns, |at| plan.position_at(*joint, at));
            }
        }
        let mut found = None;
        for controller in 0..hold.arms.len() {
            let silent = hold.silent[controller].is_some();
            // One that speaks is on its way, whatever is measured: to give it anything but the plan would make it leap.
            if hold.holds[controller] || (hold.tells[controller] && !silent) {
                continue;
            }
            let arm = &hold.arms[controller];
            let word = Word { told: measured.velocity_told, suspect: hold.suspect[controller] };
            if contradicted || (off_command && !silent && !hold.stood[controller]) {
                continue;
            }
            let within = |joint: &usize| {
                self.limits.is_near(*joint, measured.sample.positions[*joint], self.config.max_start_error)
                    && !self.belief.jumped(*joint)
            };
            if arm.iter().all(within) && hold.follows.stand(arm, silent, word, |joint, at| plan.position_at(joint, at))
            {
                found = Some(controller);
                hold.holds[controller] = true;
                hold.suspect[controller] = true;
                hold.follows.forget_newest();
                // Its hand, where it moves one, keeps what it was sent.
                for place in &self.drafts[controller].places {
                    hold.at[*place] = plan.position_at(*place, now.offset_seconds(10.0));
                }
                arm.iter().for_each(|joint| hold.at[*joint] = measured.sample.positions[*joint]);
            }
        }
        self.hold_where_it_stands(measured);
        if let Some(controller) = found {
            let reason = StopReason::Controller { controller, fault: ControllerFault::StandsStill };
            self.begin_stop(reason.clone(), now);
            // States that repeat themselves: now it is known why.
            if matches!(self.latched, Some(StopReason::Contradiction(Contradiction::Frozen { .. }))) {
                self.latched = Some(reason.clone());
                self.belief.looked_at();
            }
            // A stop of that kind is under way in any case.
            if let Some(motion) = &mut self.motion {
                motion.stop = Some(reason);
            }
        }
        self.hold.any()
    }

    /// The robot is not where it was commanded, or tells the same again and again: whether it stands is seen now, before it comes to rest by itself.
    pub(super) fn note_who_stands(&mut self) {
        let hold = &mut self.hold;
        for (arm, stood) in hold.arms.iter().zip(&mut hold.stood) {
            *stood = hold.follows.still(arm);
        }
    }

    /// What is held follows the robot where it is moved, while its controller is known to be off. One that tells nothing may be there after all, and would
    /// take the robot along from wherever it sags to: there it stays where it was found.
    pub(super) fn hold_where_it_stands(&mut self, measured: &Measured<'_>) {
        let hold = &mut self.hold;
        let controllers = hold.arms.iter().zip(&hold.holds).zip(&hold.silent);
        for ((arm, _), _) in controllers.filter(|((_, holds), silent)| **holds && silent.is_some()) {
            for joint in arm {
                let position = measured.sample.positions[*joint];
                // What jumped is no robot that is moved by hand.
                let believed = !self.belief.jumped(*joint);
                if believed && self.limits.is_near(*joint, position, self.config.max_start_error) {
                    hold.at[*joint] = position;
                }
            }
        }
    }

    /// A motion has ended: where what was held is held.
    pub(super) fn rest_where_held(&mut self) {
        for (draft, _) in self.drafts.iter().zip(&self.hold.holds).filter(|(_, holds)| **holds) {
            draft.places.iter().for_each(|place| self.rest[*place] = self.hold.at[*place]);
        }
    }

    /// Without a motion: the newest window rests where the robot stands. None where nothing is held, or was sent a moment ago.
    pub(super) fn send_hold(&mut self, now: Stamp, measured: Option<Measured<'_>>) -> Option<Tick<'_>> {
        if !self.armed || !self.hold.any() {
            return None;
        }
        if let Some(measured) = measured {
            self.hold_where_it_stands(&measured);
            self.rest_where_held();
        }
        if self.hold.sent.is_some_and(|sent| now.seconds_since(sent).abs() < 0.9 * self.config.period_s) {
            return Some(Tick::Hold);
        }
        self.hold.sent = Some(now);
        let stamp = now.offset_seconds(-self.config.period_s - self.config.clock_skew_s);
        for draft in &mut self.drafts {
            draft.clear();
            draft.stamp = stamp;
            draft.stands = true;
            for _ in 0..self.least_points {
                for place in &draft.places {
                    draft.positions.push(self.rest[*place]);
                    draft.velocities.push(0.0);
                }
            }
        }
        if let Err(violation) = seal(&mut self.drafts, &mut self.sent, &self.allowed, true) {
            self.begin_stop(StopReason::Internal(violation), now);
            return None;
        }
        let execution = Execution { chunk: None, row: 0, committed_until: now, behind: (0, 0) };
        let leave_by = now.offset_seconds(self.config.committed_s);
        let activity = Activity::Holding(self.latched.clone());
        Some(Tick::Send(Outgoing { windows: &self.sent, activity, execution, report: *self.plan.report(), leave_by }))
    }
}
