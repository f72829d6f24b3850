//! The smallest useful node: repeats what it hears, `rate` times a second. Also what the tests of this package run.

use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::{Spec, qos};
use std::time::Duration;

fn main() -> std::process::ExitCode {
    let specs = vec![
        Spec::double("rate", 10.0, "How often to speak, Hz.").range(0.1, 1000.0),
        Spec::text("prefix", "", "What to put in front.").dynamic(),
    ];
    efm_ros::run("echo", specs, |node| {
        let params = node.params().clone();
        let heard = node.latest::<Text>("heard", qos::event())?;
        let said = node.publisher::<Text>("said", qos::event())?;
        let health = node.diagnostics().task("echo");
        let mut ticker = node.clock().ticker(Duration::from_secs_f64(1.0 / params.double("rate")));
        Ok(async move {
            loop {
                ticker.tick().await;
                match heard.get() {
                    Some(text) => {
                        said.publish(&Text { data: params.text("prefix") + &text.msg.data })?;
                        health.ok("speaking");
                    }
                    None => {
                        health.warn("nothing was heard yet");
                    }
                }
            }
        })
    })
}
