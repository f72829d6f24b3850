//! What every node of this suite needs from ROS 2, on top of [`r2r`].
//!
//! A node's `main` declares its parameters, creates its entities and hands back the work; [`run`] does the rest: logging (console, file and
//! `/rosout`), parameter services, type descriptions, `use_sim_time`, diagnostics, spinning and a clean end on SIGINT and SIGTERM.
//!
//! ```no_run
//! use efm_ros::{Spec, qos};
//! use efm_ros::r2r::std_msgs::msg::String as Text;
//!
//! fn main() -> std::process::ExitCode {
//!     let specs = vec![Spec::double("rate", 10.0, "How often to speak, in Hz.").range(0.1, 100.0)];
//!     efm_ros::run("echo", specs, |node| {
//!         let rate = node.params().double("rate");
//!         let heard = node.latest::<Text>("heard", qos::event())?;
//!         let said = node.publisher::<Text>("said", qos::event())?;
//!         let health = node.diagnostics().task("echo");
//!         let mut ticker = node.clock().ticker(std::time::Duration::from_secs_f64(1.0 / rate));
//!         Ok(async move {
//!             loop {
//!                 ticker.tick().await;
//!                 if let Some(text) = heard.get() {
//!                     said.publish(&text.msg)?;
//!                     health.ok("speaking");
//!                 }
//!             }
//!         })
//!     })
//! }
//! ```
//!
//! Messages, services and their conversions are r2r's; its node is not used. r2r's traps, and where they are kept away from the nodes: a
//! wait set that is put together anew for each message and cannot be woken, and a queue of ten that drops the *newest* ([`mod@run`] is
//! called back by the middleware instead); types that were not compiled in cannot be heard ([`raw`]); SIGINT is not handled
//! ([`shutdown`]); parameters know no ranges and no lists ([`efm_config`]).

mod alarm;
mod arguments;
pub mod bounds;
mod connections;
mod entities;
mod everyone;
mod type_support;
mod types;
mod written;

pub mod convert;
pub mod diagnostics;
pub mod graph;
pub mod latest;
pub mod logging;
mod params;
pub mod qos;
pub mod raw;
pub mod run;
pub mod shutdown;
pub mod time;

pub use diagnostics::{Diagnostics, Task};
pub use efm_config::{Params, Rule, Spec, Value};
pub use efm_core::Level;
pub use entities::{Bytes, Request, RosError};
pub use graph::{Endpoint, Graph};
pub use latest::{Latest, Received};
pub use r2r;
pub use run::{Node, NodeError, Plan, Publisher, run, run_together};
pub use written::WrittenAs;

pub use shutdown::Shutdown;
pub use time::{RosClock, Ticker};
