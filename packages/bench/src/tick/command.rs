//! `efm-bench tick`.

use crate::tick::alternative::ByParry;
use crate::tick::play::{Kind, Pace, Played, Stream, play, thread_nanos};
use crate::tick::quantiles::Quantiles;
use crate::tick::robot::{Cell, Robot};
use anyhow::{Context, Result};
use efm_harness::planner::RobotFiles;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Microseconds of thread CPU time that 99.9 % of the ticks may take, with about [`PAIRS`] pairs at 1 kHz: each tick at its least, for the work of a
/// tick is the same in every repetition, and what comes on top is what else the machine does.
pub const LIMIT_US: f64 = 300.0;
/// Pairs of the cases.
pub const PAIRS: usize = 200;
/// Points and ticks of the cases: as shipped, the same points with ticks at 1 kHz, and points at 1 kHz, which no controller needs: between two points
/// it draws the very curve that was planned.
const PACES: [Pace; 3] =
    [Pace { period_s: 0.01, ticks: 1 }, Pace { period_s: 0.01, ticks: 10 }, Pace { period_s: 0.001, ticks: 1 }];
/// The case that decides.
const DECIDES: Pace = PACES[1];
/// Slices of a case, each a stream with its own seed, and ticks of a slice.
const SLICES: u64 = 5;
const TICKS: usize = 4000;
/// Ticks of a case whose windows are shown to parry.
const SHOWN: usize = 60;
/// Least number of repetitions: two show that it does the same again.
const REPETITIONS: u32 = 3;

/// Options of `efm-bench tick`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Seconds to spend on each case, at least three repetitions; a twelfth of it on each row of the growth.
    #[arg(long, default_value_t = 30.0)]
    pub seconds: f64,
    /// Writes the results here.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// This case only (smooth, hostile or blocked), and no growth.
    #[arg(long)]
    pub only: Option<String>,
    /// Only the cases with so many seconds between points.
    #[arg(long)]
    pub period: Option<f64>,
}

/// A robot, perhaps among obstacles, ticking at a pace.
struct Setup<'a> {
    robot: &'a Robot,
    cell: Option<&'a Cell>,
    pace: Pace,
}

/// A case, measured.
struct Measured {
    repetitions: u32,
    ticks: usize,
    cpu: Quantiles,
    wall: Quantiles,
    each: Quantiles,
    kinds: Vec<(Kind, usize, Quantiles)>,
    allocations: u64,
    same: bool,
    hash: u64,
    blocked: f64,
    points: f64,
}

fn merge(into: &mut Played, slice: Played) {
    into.cpu.extend(slice.cpu);
    into.wall.extend(slice.wall);
    into.kinds.extend(slice.kinds);
    into.allocations += slice.allocations;
    into.sent += slice.sent;
    into.blocked += slice.blocked;
    into.points += slice.points;
    into.hash = into.hash.wrapping_mul(0x0100_0000_01b3) ^ slice.hash;
}

impl Setup<'_> {
    /// One repetition: all slices, with a pause after each so that others get on (a real-time priority would be throttled else).
    fn once(&self, stream: Stream, slices: u64, ticks: usize) -> Result<Played> {
        let mut all = Played::default();
        for seed in 0..slices {
            let begun = Instant::now();
            let bodies = self.cell.map(|c| &c.bodies);
            merge(&mut all, play(self.robot, bodies, self.pace, (stream, seed, ticks), |_, _, _| ())?);
            std::thread::sleep(begun.elapsed().mul_f64(0.1).min(Duration::from_millis(200)));
        }
        Ok(all)
    }

    fn measure(&self, stream: Stream, slices: u64, ticks: usize, seconds: f64) -> Result<Measured> {
        let begun = Instant::now();
        let first = self.once(stream, slices, ticks)?;
        let (mut each, mut allocations, mut same, mut repetitions) =
            (first.cpu.clone(), first.allocations, true, 1_u32);
        let quantiles = |p: &mut Played| (Quantiles::of(&mut p.cpu), Quantiles::of(&mut p.wall));
        let (mut cpu, mut wall) = quantiles(&mut first.clone());
        while repetitions < REPETITIONS || begun.elapsed().as_secs_f64() < seconds {
            let mut again = self.once(stream, slices, ticks)?;
            same &= (again.hash, again.sent, again.blocked) == (first.hash, first.sent, first.blocked);
            allocations += again.allocations;
            each.iter_mut().zip(&again.cpu).for_each(|(least, now)| *least = (*least).min(*now));
            let (c, w) = quantiles(&mut again);
            (cpu, wall) = (cpu.least(c), wall.least(w));
            repetitions += 1;
        }
        let of_kind = |kind: Kind| {
            let chosen = each.iter().zip(&first.kinds).filter(|(_, k)| **k == kind);
            let mut nanos: Vec<u64> = chosen.map(|(n, _)| *n).collect();
            (kind, nanos.len(), Quantiles::of(&mut nanos))
        };
        Ok(Measured {
            kinds: Kind::ALL.into_iter().map(of_kind).filter(|(_, count, _)| *count > 0).collect(),
            repetitions,
            ticks: each.len(),
            cpu,
            wall,
            each: Quantiles::of(&mut each),
            allocations,
            same,
            hash: first.hash,
            blocked: first.blocked as f64 / first.sent.max(1) as f64,
            points: first.points as f64 / first.sent.max(1) as f64,
        })
    }

    /// Microseconds of a tick and of the alternative on the same windows, averages over some ticks, and the smallest distance that the alternative
    /// found, metres.
    fn against_parry(&self, stream: Stream, cell: &Cell) -> Result<(f64, f64, f64)> {
        let mut parry = ByParry::new(self.robot, cell)?;
        let (mut ours, mut theirs, mut count, mut least) = (0, 0, 0_u32, f64::INFINITY);
        let mut outcome = Ok(());
        play(self.robot, Some(&cell.bodies), self.pace, (stream, 0, TICKS), |tick, windows, nanos| {
            if tick % (TICKS / SHOWN) != TICKS / SHOWN / 2 || outcome.is_err() {
                return;
            }
            let begun = thread_nanos();
            match parry.least(windows) {
                Ok(distance) => least = least.min(distance),
                Err(error) => outcome = Err(error),
            }
            theirs += thread_nanos() - begun;
            ours += nanos;
            count += 1;
        })?;
        outcome?;
        let mean = |nanos: u64| nanos as f64 * 1.0e-3 / f64::from(count.max(1));
        Ok((mean(ours), mean(theirs), least))
    }
}

fn row(name: &str, q: &Quantiles) -> String {
    format!("{name:<34} p50 {:>8.1}  p99 {:>8.1}  p99.9 {:>8.1}  max {:>8.1} us\n", q.p50, q.p99, q.p999, q.max)
}

/// Does what the options say; whether nothing was allocated, every repetition was the same, and 99.9 % of the ticks at 1 kHz were in time.
///
/// # Errors
/// When a file cannot be read, or the results cannot be written.
pub fn bench(files: &RobotFiles, args: &Args) -> Result<bool> {
    let panda = Robot::panda(files)?;
    let cell = panda.cell(PAIRS, 7)?;
    println!(
        "Panda, 7 joints and a finger, {} pairs of bodies, {} obstacles; thread CPU time unless said otherwise",
        cell.bodies.pairs(),
        cell.obstacles.objects.len()
    );
    let (mut cases, mut good) = (Vec::new(), true);
    for pace in PACES.into_iter().filter(|pace| args.period.is_none_or(|period_s| pace.period_s == period_s)) {
        let setup = Setup { robot: &panda, cell: Some(&cell), pace };
        for stream in Stream::ALL.into_iter().filter(|s| args.only.as_deref().is_none_or(|only| only == s.name())) {
            let m = setup.measure(stream, SLICES, TICKS, args.seconds)?;
            let (ours, theirs, least) = setup.against_parry(stream, &cell)?;
            let in_time = m.each.p999 <= LIMIT_US;
            good &= m.allocations == 0 && m.same && (in_time || pace != DECIDES);
            print!(
                "\n{}, {:.0} ticks a second, points {:.0} ms apart: {} ticks, {} repetitions, {:.0} points a window, blocked in {:.0} % of the ticks\n{}{}{}",
                stream.name(),
                1.0 / pace.tick_s(),
                1e3 * pace.period_s,
                m.ticks,
                m.repetitions,
                m.points,
                1e2 * m.blocked,
                row("  best repetition", &m.cpu),
                row("  best repetition, wall clock", &m.wall),
                row("  each tick's least", &m.each)
            );
            for (kind, count, quantiles) in &m.kinds {
                print!("{}", row(&format!("    {} ({count})", kind.name()), quantiles));
            }
            println!(
                "  allocations {}; {}, hash {:016x}; parry, each point and pair: {theirs:.0} us for a tick of {ours:.0} us, {:.0} times; it sees \
                 {:.1} mm at least",
                m.allocations,
                if m.same { "the same to the bit again" } else { "NOT THE SAME AGAIN" },
                m.hash,
                theirs / ours,
                1e3 * least
            );
            cases.push(json!({
                "stream": stream.name(), "period_s": pace.period_s, "tick_s": pace.tick_s(), "ticks": m.ticks, "repetitions": m.repetitions,
                "tick_us": m.cpu.to_json(), "wall_us": m.wall.to_json(), "each_least_us": m.each.to_json(),
                "kinds": m.kinds.iter().map(|(kind, count, q)| json!({ "kind": kind.name(), "ticks": count, "tick_us": q.to_json() })).collect::<Value>(),
                "allocations_per_tick": m.allocations as f64 / (m.ticks as f64 * f64::from(m.repetitions)),
                "deterministic": m.same, "hash": format!("{:016x}", m.hash), "blocked": m.blocked,
                "points": m.points, "in_time": in_time,
                "parry": { "us": theirs, "tick_us": ours, "ratio": theirs / ours, "least_distance": least },
            }));
        }
    }
    let mut result = json!({ "pairs": cell.bodies.pairs(), "limit_us": LIMIT_US, "cases": cases });
    if args.only.is_none() {
        let seconds = args.seconds / 12.0;
        result["joints"] = growth_with_joints(seconds)?;
        result["growth_pairs"] = growth_with_pairs(&panda, seconds)?;
    }
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_string_pretty(&result)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    println!("\n{}", if good { "as it should be" } else { "NOT as it should be" });
    Ok(good)
}

/// Rows of the growth: a label, and the cells that it is measured in.
fn growth(setup: &Setup<'_>, seconds: f64) -> Result<(String, Value)> {
    let (mut text, mut value) = (String::new(), json!({}));
    for stream in [Stream::Smooth, Stream::Hostile] {
        let m = setup.measure(stream, 2, 2000, seconds)?;
        text += &format!(" | {:>7.1} {:>7.1}", m.cpu.p50, m.cpu.p999);
        value[stream.name()] = m.cpu.to_json();
    }
    Ok((text, value))
}

fn growth_with_joints(seconds: f64) -> Result<Value> {
    println!("\nchains of joints, ticks at 1 kHz, points 10 ms apart, us: p50 and p99.9");
    println!("joints | alone: smooth  |        hostile  | pairs | smooth          | hostile");
    let mut rows = Vec::new();
    for joints in [1, 2, 4, 7, 14] {
        let robot = Robot::chain(joints)?;
        let cell = robot.cell(PAIRS, 3)?;
        let (alone, free) = growth(&Setup { robot: &robot, cell: None, pace: DECIDES }, seconds)?;
        let (among, near) = growth(&Setup { robot: &robot, cell: Some(&cell), pace: DECIDES }, seconds)?;
        println!("{joints:>6}{alone} | {:>5}{among}", cell.bodies.pairs());
        rows.push(json!({ "joints": joints, "without_collision": free, "pairs": cell.bodies.pairs(), "with_collision": near }));
    }
    Ok(rows.into())
}

fn growth_with_pairs(panda: &Robot, seconds: f64) -> Result<Value> {
    println!("\nthe Panda, ticks at 1 kHz, points 10 ms apart, us: p50 and p99.9");
    println!(" pairs | smooth          | hostile");
    let mut rows = Vec::new();
    for pairs in [0, 50, 100, 200, 400] {
        let cell = if pairs == 0 { None } else { Some(panda.cell(pairs, 7)?) };
        let found = cell.as_ref().map_or(0, |c| c.bodies.pairs());
        let (text, value) = growth(&Setup { robot: panda, cell: cell.as_ref(), pace: DECIDES }, seconds)?;
        println!("{found:>6}{text}");
        rows.push(json!({ "pairs": found, "tick_us": value }));
    }
    Ok(rows.into())
}
