//! `efm-bench-graph`: what the running graph costs.
//!
//! The same robot stand-in speaks to three graphs in turn: our nodes, the same split as people write it in rclpy (`packages/bench/rivals`), and
//! relays that do nothing but pass messages on and run the model, which are the floor.

mod ends;
mod messages;
mod overhead;
mod pauses;
mod relay;
mod robot;
mod stack;
mod stream;
mod transport;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures what the running graph costs, beside the same graph in rclpy and beside nothing but middleware and model.
#[derive(Parser)]
#[command(name = "efm-bench-graph", version)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// From a camera's message to the first trajectory that follows from it; CPU time and memory of every process meanwhile.
    Overhead(Options),
    /// How evenly trajectories come, at 100, 500 and 1000 Hz, on an idle machine and while models saturate it.
    Stream(Options),
    /// What each way of taking a camera's picture from one process to another costs: latency, CPU time, losses, memory.
    Transport(transport::Options),
    /// A process at the end of such a way.
    #[command(hide = true)]
    End(ends::Args),
    /// A process of the floor: takes messages, does nothing with them, gives the next ones.
    #[command(hide = true)]
    Relay(relay::Args),
    /// Publishes trajectories on a grid and does nothing else.
    #[command(hide = true)]
    Beat {
        /// Hz.
        #[arg(long)]
        rate: f64,
    },
    /// Runs a model again and again on every core.
    #[command(hide = true)]
    Saturate(relay::Saturate),
    /// Keeps every core awake with work that gives way to any other.
    #[command(hide = true)]
    Awake,
}

/// Options of a measurement.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder with config/, models/ and urdf/.
    #[arg(long, default_value = ".")]
    pub root: PathBuf,
    /// Python with rclpy, OpenCV and onnxruntime, for the same nodes in rclpy; without it they are left out.
    #[arg(long)]
    pub python: Option<PathBuf>,
    /// Shorter.
    #[arg(long)]
    pub quick: bool,
    /// Writes this part of the report here.
    #[arg(long)]
    pub section: Option<PathBuf>,
    /// Keeps the logs of all processes here.
    #[arg(long)]
    pub logs: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done: Result<bool> = match Args::parse().what {
        What::Overhead(options) => overhead::bench(&options),
        What::Stream(options) => stream::bench(&options),
        What::Transport(options) => transport::bench(&options),
        What::End(args) => ends::run(&args).map(|()| true),
        What::Relay(args) => relay::run(&args).map(|()| true),
        What::Beat { rate } => relay::beat(rate).map(|()| true),
        What::Saturate(args) => relay::saturate(&args).map(|()| true),
        What::Awake => relay::keep_awake().map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("efm-bench-graph: {error:#}");
            ExitCode::from(2)
        }
    }
}
