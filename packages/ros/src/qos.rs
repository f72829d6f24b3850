//! The quality of service of every kind of topic, in one place.
//!
//! A subscriber that asks for more than the publisher offers hears nothing, without an error. So inputs from other people's
//! parts ask for the least that serves, and outputs offer the most.

use crate::bounds;
pub use crate::everyone::Order;
use r2r::QosProfile;

/// How a topic is listened to.
#[derive(Debug, Clone)]
pub struct Hearing {
    pub(crate) way: Way,
    /// Bytes of a message at most.
    pub(crate) most: usize,
}

/// From whom.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// By one subscription: from publishers that offer at least so much.
    As(QosProfile),
    /// From every publisher, best effort or reliable, latched or not, by a subscription of each kind. A publisher may tell its user that one
    /// of them asks for more than it offers; another one hears it.
    Everyone {
        /// Messages kept a subscription.
        keep_last: usize,
        /// Whether what a latched publisher said before is wanted.
        latched: bool,
        /// What becomes of the copies.
        order: Order,
    },
}

impl From<QosProfile> for Hearing {
    fn from(qos: QosProfile) -> Self {
        Self { way: Way::As(qos), most: bounds::MESSAGE }
    }
}

impl Hearing {
    const fn everyone(keep_last: usize, latched: bool, order: Order) -> Self {
        Self { way: Way::Everyone { keep_last, latched, order }, most: bounds::MESSAGE }
    }

    /// Messages of so many bytes are read at most; see [`bounds`].
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// The subscriptions, the one that asks for the least first, a surer one behind it.
    pub(crate) fn subscriptions(&self) -> Vec<QosProfile> {
        match &self.way {
            Way::As(qos) => vec![qos.clone()],
            Way::Everyone { keep_last, latched, .. } => {
                let reliable = QosProfile::default().keep_last(*keep_last);
                let mut all = vec![reliable.clone().best_effort(), reliable.clone()];
                if *latched {
                    all.push(reliable.transient_local());
                }
                all
            }
        }
    }
}

/// The emergency stop in: from every publisher, also one that said it before; nothing waits for the order.
pub const fn emergency_input() -> Hearing {
    Hearing::everyone(10, true, Order::AsTheyCome)
}

/// What happens once, in: from every publisher. What a latched publisher said before this node began was meant for another one: a goal of
/// yesterday is none.
pub const fn event_input() -> Hearing {
    Hearing::everyone(10, false, Order::AsSent)
}

/// Changes of something that lasts, in: from every publisher, those of one in order, also what it said before.
pub const fn changes_input() -> Hearing {
    Hearing::everyone(10, true, Order::AsSent)
}

/// What holds until it changes, in: from every publisher, the newest of each, also what it said before.
pub const fn latched_input() -> Hearing {
    Hearing::everyone(1, true, Order::Newest)
}

/// Action chunks in: from every publisher; one that was kept from before is too old.
pub const fn chunk_input() -> Hearing {
    Hearing::everyone(1, false, Order::Newest)
}

/// Trajectories that others send to the controllers, to know of them: best effort, so that all of them are seen.
pub const fn trajectory_watch() -> QosProfile {
    QosProfile::default().keep_last(10).best_effort()
}

/// Camera images in: best effort, so that every camera matches; only fresh frames matter.
pub const fn image_input() -> QosProfile {
    QosProfile::sensor_data()
}

/// Camera images in from a camera whose link loses frames otherwise: reliable. The camera must offer it.
pub const fn image_input_reliable() -> QosProfile {
    QosProfile::default().keep_last(5)
}

/// Images out: reliable, so that every subscriber matches.
pub const fn image_output() -> QosProfile {
    QosProfile::default().keep_last(5)
}

/// Measured joint states in: best effort, so that every driver and broadcaster matches; only fresh ones matter, and one that is lost is
/// followed by the next. More than one at once: arm and hand may have their own.
pub const fn joint_states_input() -> QosProfile {
    QosProfile::sensor_data().keep_last(10)
}

/// Measured joint states out: reliable, so that every subscriber matches.
pub const fn joint_states_output() -> QosProfile {
    QosProfile::default().keep_last(10)
}

/// What controllers tell of themselves: best effort, so that all of them are heard; only the newest matter.
pub const fn controller_state() -> QosProfile {
    QosProfile::sensor_data()
}

/// Trajectories, action chunks, execution states: reliable, volatile. An old one is worse than none, so nothing is kept.
pub const fn trajectory() -> QosProfile {
    QosProfile::default().keep_last(1)
}

/// What happens once and must not be lost: goals, reports.
pub const fn event() -> QosProfile {
    QosProfile::default().keep_last(10)
}

/// What holds until it changes: the instruction, `robot_description`, `robot_description_semantic`. Late joiners get the last one.
pub const fn latched() -> QosProfile {
    QosProfile::default().keep_last(1).transient_local()
}

/// `/clock`: best effort, only the newest.
pub const fn clock() -> QosProfile {
    QosProfile::default().keep_last(1).best_effort()
}

/// `/diagnostics`: only the newest.
pub const fn diagnostics() -> QosProfile {
    QosProfile::default().keep_last(1)
}

/// Services.
pub const fn service() -> QosProfile {
    QosProfile::services_default()
}

/// `parameter_events`, as every ROS node has it.
pub const fn parameter_events() -> QosProfile {
    QosProfile::parameter_events()
}

/// `/rosout`, as every ROS node has it: who comes late hears what was logged in the last ten seconds.
pub fn rosout() -> QosProfile {
    QosProfile::default().keep_last(1000).transient_local().lifespan(std::time::Duration::from_secs(10))
}
