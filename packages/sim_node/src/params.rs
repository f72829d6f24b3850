//! Parameters of the simulated cell.

use efm_config::codes::contradict;
use efm_ros::{Rule, Spec};

/// One makes the time, or listens to it.
const PUBLISH_CLOCK: Rule = Rule::new(
    "Not together with `use_sim_time`: this node makes the time then.",
    &["use_sim_time"],
    |params| match params.bool("publish_clock") && params.bool("use_sim_time") {
        true => Err(contradict(
            "parameter 'publish_clock' is true and so is 'use_sim_time'",
            "one of them must be false: this node makes the time",
        )),
        false => Ok(()),
    },
    &[r#"{"publish_clock": true, "use_sim_time": true}"#],
);

/// Parameters of `sim`.
pub fn specs() -> Vec<Spec> {
    vec![
        Spec::text(
            "robot_description_file",
            "urdf/panda.urdf",
            "URDF file of the robot; also published on robot_description.",
        )
        .required()
        .example(r#""urdf/panda.urdf""#),
        Spec::integer("seed", 1_000_000_000, "Seed of the scene that the next ~/reset brings (and of the first one).")
            .range(0.0, 9_007_199_254_740_992.0)
            .dynamic(),
        Spec::texts("cameras", &["front", "wrist"], "Cameras that are drawn.").choices(&["front", "wrist"]),
        Spec::double("camera_rate", 30.0, "Pictures a second.").unit("Hz").range(0.1, 100.0),
        Spec::double("joint_rate", 100.0, "Joint states a second.").unit("Hz").range(10.0, 500.0),
        Spec::bool(
            "publish_clock",
            false,
            "Publish /clock and stamp with simulated time. Others then need use_sim_time.",
        )
        .rule(PUBLISH_CLOCK),
        Spec::double("clock_rate", 250.0, "Messages a second on /clock.").unit("Hz").range(10.0, 500.0),
        Spec::double("real_time_factor", 1.0, "Speed of simulated time; only with publish_clock.").range(0.01, 100.0),
    ]
}
