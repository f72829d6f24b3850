//! How joint states are listened to, by `trajectory_publisher` and `vla_inference` alike: how old they may be, and whose stamps count.

use efm_config::{Params, Spec};
use efm_core::Stamp;
use efm_safety::Allowance;

/// A joint state older than this is not looked up by its stamp any more, seconds: nothing may be allowed to be older.
const OLDEST: f64 = 0.5;

/// Parameters of a node that listens to joint states, besides `max_joint_state_age`.
pub fn specs() -> Vec<Spec> {
    vec![
        Spec::double(
            "max_slow_joint_state_age",
            0.35,
            "Where joint states usually come slowly, three of their usual intervals are allowed in the place of max_joint_state_age, up to this age; what is \
             slower still is told.",
        )
        .unit("s")
        .range(0.01, OLDEST)
        .or_zero("max_joint_state_age holds, however slowly they come"),
        Spec::double(
            "max_gripper_state_age",
            1.0,
            "Oldest state of a gripper's joint that motion relies on, where that is more than for other joints.",
        )
        .unit("s")
        .range(0.001, 10.0),
        Spec::text(
            "joint_state_stamps",
            HEADER,
            "When joint states were measured: header (by their stamps), or receipt (when they come; for drivers that do not stamp, or by another clock).",
        )
        .choices(&[HEADER, RECEIPT]),
    ]
}

const HEADER: &str = "header";
const RECEIPT: &str = "receipt";

/// How old joint states may be beyond `max_joint_state_age`; `hands` are joints of grippers.
pub fn allowance(params: &Params, hands: Vec<String>) -> Allowance {
    Allowance {
        slow_s: params.double("max_slow_joint_state_age"),
        hands: (hands, params.double("max_gripper_state_age")),
        on_receipt: Stamps::of(params) == Stamps::Receipt,
    }
}

/// Whose stamps count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    /// The driver's.
    Header,
    /// The time at which a message came.
    Receipt,
}

impl Stamps {
    /// By the parameter.
    pub fn of(params: &Params) -> Self {
        // Declared with choices: no other word gets here.
        if params.text("joint_state_stamps") == RECEIPT { Self::Receipt } else { Self::Header }
    }

    /// When joints were measured, by the header of the message and by the time at which it came.
    pub fn measured_at(self, header: Stamp, came: Stamp) -> Stamp {
        match self {
            Self::Header => header,
            Self::Receipt => came,
        }
    }
}
