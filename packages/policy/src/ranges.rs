//! Whether the numbers of a package can be positions of the robot's joints.
//!
//! Joint names and units are words. A checkpoint whose data set was in degrees is "in rad" if somebody said so, and the robot believes it. Its
//! statistics do not lie: a mean of -20 on a joint that turns to 1.7 rad is no angle in radians. So the statistics of states and actions, the
//! worked example and the rest posture are compared with the position limits of the description, and states with actions, all in the package's own
//! units, which are the robot's: what an importer was told about units has been done to the numbers by then and is compared like the rest.
//!
//! # Why these thresholds
//!
//! Errors of unit are large: degrees for radians are 57 times as much, millimetres for metres 1000 times, LeRobot's -100 to 100 some 30 to 60
//! times. Honest data exceed the limits of a description a little: limits of a description are often soft, a gripper is pressed beyond shut, encoders have an
//! offset, grippers are counted by both fingers in one place and by one in another (a factor of 2), and single samples are plain wrong. So, with R
//! the width of the limits:
//!
//! | refused | because |
//! |---|---|
//! | mean more than R/2 beyond a limit | no honest mean lies there: the robot would have been outside most of the time |
//! | standard deviation above R | data between limits have at most R/2 |
//! | quantile more than R, least or largest value more than 1.5 R beyond | degrees of a joint that used a tenth of its range are further out |
//! | all values (mean +- 3 std) beyond a limit by more than R/10 (at least 0.05 rad, 2 mm) | a joint that never was within its limits is another joint |
//! | column of the worked example: mean more than R, any value more than 2 R beyond | networks overshoot on pictures they never saw |
//! | all joints (all but one, of four or more) so near zero that 57.3 (1000) times as much would still be within 1.5 times the limits | radians taken for degrees |
//! | states and actions that lie more than R/4 apart, or one 20 times as wide as the other | an action is where the joint shall be next: tracking errors are smaller |
//! | least and largest value (quantiles) of all joints, three at least, exactly -1 and 1 or 0 and 1 | nobody's data end so, joint by joint: they were normalised before. (Limits that are these numbers are none of it; means of 0 with standard deviations of 1 are how statistics are written where there are none.) |
//! | four columns from the fourth on with mean squares that sum up to 1 | the unit quaternion of a pose |
//!
//! A joint without limits (continuous) is compared with two turns, 16 for single values: nobody winds up an arm. Coordinates of the tool are compared with
//! the arm's length, both ways.

use crate::golden::Golden;
use crate::manifest::{ActionSpace, JointUnit, Manifest, Reference};
use efm_core::reading::listed;
use efm_robot::{JointKind, RobotModel};
use std::f64::consts::{PI, TAU};
use std::fmt;

/// Degrees in a radian.
const DEGREES: f64 = 180.0 / PI;
/// Less is more likely another zero than degrees.
const LEAST_DEGREES: f64 = 7.0;

/// What was normalised ends where it should within this.
const EXACTLY: f64 = 1.0e-3;
/// Fewer joints may end there by chance.
const LEAST_NORMALISED: usize = 3;

/// A number of a package that is no position of its joint.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeProblem {
    /// Which joint, or column of the actions.
    pub joint: String,
    /// Which number, as in "the mean of its states".
    pub what: String,
    /// It, in `unit`.
    pub value: f64,
    /// Of the joint.
    pub unit: JointUnit,
    /// What it was compared with, in words.
    pub against: String,
    /// What the numbers look like.
    pub looks_like: String,
}

impl fmt::Display for RangeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { joint, what, value, unit, against, looks_like } = self;
        write!(f, "joint '{joint}': {what} is {} {unit}, but {against}; that looks like {looks_like}", short(*value))
    }
}

/// The numbers of a package do not fit the robot.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeMismatch(pub Vec<RangeProblem>);

impl fmt::Display for RangeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (place, problem) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{problem}", if place == 0 { "" } else { "; " })?;
        }
        if self.0.len() > SHOWN {
            let more: Vec<&str> = self.0[SHOWN..].iter().map(|problem| problem.joint.as_str()).collect();
            write!(f, "; the same of {}", listed(&more, "none"))?;
        }
        f.write_str(". Convert them where the package is made, or, where they are right, name the joint in robot.ranges_not_compared")
    }
}

impl std::error::Error for RangeMismatch {}

/// What a package's numbers are to a robot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RangeReport {
    /// Why it is refused; none: it is not.
    pub problems: Vec<RangeProblem>,
    /// What would be refused of joints whose ranges the package says are not to be compared.
    pub waived: Vec<RangeProblem>,
}

/// Statistics of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stat {
    /// Mean and standard deviation.
    Moments(f64, f64),
    /// Least and largest value.
    Extremes(f64, f64),
    /// A low and a high quantile.
    Quantiles(f64, f64),
}

impl Stat {
    /// Where all values lie, or nearly all.
    fn interval(self) -> (f64, f64) {
        match self {
            Self::Moments(mean, std) => (mean - 3.0 * std, mean + 3.0 * std),
            Self::Extremes(low, high) | Self::Quantiles(low, high) => (low, high),
        }
    }

    /// Where most lie.
    fn core(self) -> (f64, f64) {
        match self {
            Self::Moments(mean, std) => (mean - 2.0 * std, mean + 2.0 * std),
            Self::Extremes(..) | Self::Quantiles(..) => self.interval(),
        }
    }

    /// Its numbers by name, and how far each may be beyond a limit, in widths.
    fn numbers(self) -> [(&'static str, f64, f64); 3] {
        match self {
            // A standard deviation has no limits of its own: it is compared with their width.
            Self::Moments(mean, _) => [("mean", mean, 0.5); 3],
            Self::Extremes(low, high) => {
                [("middle", f64::midpoint(low, high), 0.5), ("least value", low, 1.5), ("largest value", high, 1.5)]
            }
            Self::Quantiles(low, high) => {
                [("middle", f64::midpoint(low, high), 0.5), ("low quantile", low, 1.0), ("high quantile", high, 1.0)]
            }
        }
    }

    /// Whether these are numbers that were normalised: -1 to 1, or 0 to 1.
    fn is_normalised(self) -> bool {
        let is = |a: f64, b: f64| (a - b).abs() <= EXACTLY;
        match self {
            Self::Moments(..) => false,
            Self::Extremes(low, high) | Self::Quantiles(low, high) => is(high, 1.0) && (is(low, -1.0) || is(low, 0.0)),
        }
    }

    fn pair(self) -> (f64, f64) {
        match self {
            Self::Moments(a, b) | Self::Extremes(a, b) | Self::Quantiles(a, b) => (a, b),
        }
    }

    fn times(self, factor: f64) -> Self {
        match self {
            Self::Moments(a, b) => Self::Moments(a * factor, b * factor),
            Self::Extremes(a, b) => Self::Extremes(a * factor, b * factor),
            Self::Quantiles(a, b) => Self::Quantiles(a * factor, b * factor),
        }
    }
}

/// All that is known of a joint, or of a column of the actions that is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) unit: JointUnit,
    /// Positions that it may have; none where it has no limits.
    pub(crate) limits: Option<(f64, f64)>,
    /// What `limits` are, in words.
    pub(crate) limits_of: &'static str,
    /// The package says that it is not to be compared.
    pub(crate) waived: bool,
    pub(crate) state: Option<Stat>,
    /// Of actions that are positions.
    pub(crate) action: Option<Stat>,
    /// Of actions that count from the state.
    pub(crate) change: Option<Stat>,
    /// Positions of the worked example.
    pub(crate) seen: Vec<f64>,
    /// Actions of the worked example, where they are positions.
    pub(crate) done: Vec<f64>,
    pub(crate) rest: Option<f64>,
}

impl Column {
    /// Lower and upper limit; those of a joint without any are two turns or 10 m.
    fn bounds(&self) -> (f64, f64) {
        self.limits.unwrap_or(match self.unit {
            JointUnit::Radian => (-2.0 * TAU, 2.0 * TAU),
            JointUnit::Metre => (-10.0, 10.0),
        })
    }

    /// Width of the limits; a joint that is held at one place by them still has a tolerance.
    fn width(&self) -> f64 {
        let (low, high) = self.bounds();
        let least = if self.unit == JointUnit::Radian { 0.01 } else { 0.001 };
        // Without limits two turns are the most that is believed: nothing is added to them.
        if self.limits.is_some() { (high - low).max(least) } else { f64::EPSILON }
    }

    /// How far a value is beyond the limits, in their widths.
    fn beyond(&self, value: f64) -> f64 {
        let (low, high) = self.bounds();
        let out = (low - value).max(value - high).max(0.0);
        if self.limits.is_some() { out / self.width() } else { out / (high - low) }
    }

    fn problem(&self, what: String, value: f64) -> RangeProblem {
        let unit = self.unit;
        let against = match self.limits {
            Some((low, high)) => format!("{} {} to {} {unit}", self.limits_of, short(low), short(high)),
            None if unit == JointUnit::Radian => {
                "a joint without limits is not wound up by more than two turns".to_owned()
            }
            None => "a joint without limits is not moved by more than 10 m".to_owned(),
        };
        RangeProblem { joint: self.name.clone(), what, value, unit, against, looks_like: String::new() }
    }

    /// Magnitude of its largest number.
    fn largest(&self) -> f64 {
        let ends = |stat: Stat| match stat {
            Stat::Moments(mean, std) => mean.abs() + std,
            Stat::Extremes(low, high) | Stat::Quantiles(low, high) => low.abs().max(high.abs()),
        };
        let stats = [self.state, self.action, self.change].into_iter().flatten().map(ends);
        stats.chain(self.seen.iter().chain(&self.done).chain(&self.rest).map(|v| v.abs())).fold(0.0, f64::max)
    }

    /// The first statistic that no position has.
    fn wrong_statistic(&self, of: &str, stat: Stat) -> Option<RangeProblem> {
        let bounded = self.limits.is_some();
        for (number, value, most) in stat.numbers() {
            // Twice the bound, or 16 turns, for single values of joints without limits.
            let most = if bounded {
                most
            } else if most > 0.5 {
                3.5
            } else {
                0.0
            };
            if self.beyond(value) > most {
                return Some(self.problem(format!("the {number} of its {of}"), value));
            }
        }
        let (low, high) = self.bounds();
        if let Stat::Moments(_, std) = stat
            && std > if bounded { self.width() } else { high }
        {
            return Some(self.problem(format!("the standard deviation of its {of}"), std));
        }
        let (least, most) = stat.interval();
        let margin = (0.1 * self.width()).max(if self.unit == JointUnit::Radian { 0.05 } else { 0.002 });
        if bounded && most < low - margin {
            return Some(self.problem(format!("the upper end of its {of}"), most));
        }
        if bounded && least > high + margin {
            return Some(self.problem(format!("the lower end of its {of}"), least));
        }
        None
    }

    /// A number that is none.
    fn not_finite(&self) -> Option<RangeProblem> {
        let stats = [("states", self.state), ("actions", self.action), ("changes", self.change)];
        let pairs = stats.into_iter().filter_map(|(of, stat)| Some((format!("a statistic of its {of}"), stat?.pair())));
        let single = self.seen.iter().chain(&self.done).chain(&self.rest);
        let (what, value) = pairs
            .flat_map(|(what, (a, b))| [(what.clone(), a), (what, b)])
            .chain(single.map(|value| ("a number of the worked example or of the rest posture".to_owned(), *value)))
            .find(|(_, value)| !value.is_finite())?;
        let mut problem = self.problem(what, value);
        "it must be a finite number".clone_into(&mut problem.against);
        "a data set with samples that are none".clone_into(&mut problem.looks_like);
        Some(problem)
    }

    /// Changes are as small as the way from limit to limit.
    fn wrong_change(&self, stat: Stat) -> Option<RangeProblem> {
        let (low, high) = self.bounds();
        let width = high - low;
        let (least, most) = match stat {
            Stat::Moments(mean, std) => (mean - std, mean + std),
            Stat::Extremes(..) | Stat::Quantiles(..) => stat.interval(),
        };
        let far = if most.abs() > least.abs() { most } else { least };
        (far.abs() > 1.5 * width.max(1e-3))
            .then(|| self.problem("the size of the changes by its actions".to_owned(), far))
    }

    fn wrong_example(&self) -> Option<RangeProblem> {
        let far = |a: &f64, b: &f64| self.beyond(*a).total_cmp(&self.beyond(*b));
        if let Some(value) = self.seen.iter().copied().max_by(far).filter(|value| self.beyond(*value) > 1.0) {
            return Some(self.problem("its position in the worked example".to_owned(), value));
        }
        let mean = self.done.iter().sum::<f64>() / self.done.len().max(1) as f64;
        if self.beyond(mean) > 1.0 {
            return Some(self.problem("the mean of its actions in the worked example".to_owned(), mean));
        }
        if let Some(value) = self.done.iter().copied().max_by(far).filter(|value| self.beyond(*value) > 2.0) {
            return Some(self.problem("an action of its in the worked example".to_owned(), value));
        }
        let rest = self.rest.filter(|rest| self.beyond(*rest) > 0.5)?;
        Some(self.problem("its place in action.rest_posture".to_owned(), rest))
    }

    /// States against actions.
    fn wrong_pair(&self) -> Option<RangeProblem> {
        let (state, action) = (self.state?, self.action?);
        let width = if self.limits.is_some() { self.width() } else { TAU };
        let (s, a) = (state.interval(), action.interval());
        let (across, along) = (s.1 - s.0, a.1 - a.0);
        let problem = |looks_like: &str| {
            let mut problem = self.problem("the middle of its actions".to_owned(), f64::midpoint(a.0, a.1));
            problem.against = format!(
                "its states are {} to {} and its actions {} to {} {}",
                short(s.0),
                short(s.1),
                short(a.0),
                short(a.1),
                self.unit
            );
            problem.looks_like = looks_like.to_owned();
            Some(problem)
        };
        let (narrow, wide) = (across.min(along), across.max(along));
        // A command that never changes says nothing of units, but a joint does not move by itself over a fifth of its range.
        let least = if narrow > 1e-6 * width { 0.05 } else { 0.2 * 6.0 };
        if wide > 20.0 * narrow && wide > least * width {
            let factor = wide / narrow;
            return problem(match self.unit {
                JointUnit::Radian if (30.0..110.0).contains(&factor) => "degrees in one and radians in the other",
                JointUnit::Metre if (500.0..2000.0).contains(&factor) => "millimetres in one and metres in the other",
                _ => "another unit in one than in the other, or actions that count from the state",
            });
        }
        if (s.0 - a.1).max(a.0 - s.1) > 0.25 * width {
            return problem(
                "actions that count from the state (relative), or another zero or unit in one than in the other",
            );
        }
        None
    }
}

/// A number with as many digits as are read.
fn short(value: f64) -> String {
    let digits = if value == 0.0 { 1.0 } else { value.abs().log10().floor() };
    let places = (3.0 - digits).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Compares columns, the first so many of which are joints; those that are waived apart.
pub(crate) fn compare(columns: &[Column], joints: usize) -> RangeReport {
    // With these nothing can be compared, whatever is waived.
    let problems: Vec<RangeProblem> = columns.iter().filter_map(Column::not_finite).collect();
    if !problems.is_empty() {
        return RangeReport { problems, waived: Vec::new() };
    }
    let wrong = |column: &Column| {
        let state = column.state.and_then(|stat| column.wrong_statistic("states", stat));
        state
            .or_else(|| column.action.and_then(|stat| column.wrong_statistic("actions", stat)))
            .or_else(|| column.change.and_then(|stat| column.wrong_change(stat)))
            .or_else(|| column.wrong_example())
    };
    let mut found: Vec<Option<RangeProblem>> = columns.iter().map(wrong).collect();
    let far: Vec<&Column> = columns.iter().zip(&found).filter(|(_, p)| p.is_some()).map(|(c, _)| c).collect();
    for (column, problem) in columns.iter().zip(&mut found) {
        if let Some(problem) = problem {
            problem.looks_like = likeness(column, &far);
        }
    }
    for (column, problem) in columns.iter().zip(&mut found) {
        if problem.is_none() {
            *problem = column.wrong_pair();
        }
    }
    for (unit, factor, looks_like) in [
        (JointUnit::Radian, DEGREES, "radians taken for degrees (converted once too often)"),
        (JointUnit::Metre, 1000.0, "metres taken for millimetres (converted once too often)"),
    ] {
        for place in tiny(columns, unit, factor) {
            let column = &columns[place];
            if found[place].is_none()
                && let Some(stat) = column.state.or(column.action)
            {
                let (low, high) = stat.core();
                let far = if high.abs() > low.abs() { high } else { low };
                let mut problem = column.problem("the largest of its positions".to_owned(), far);
                looks_like.clone_into(&mut problem.looks_like);
                found[place] = Some(problem);
            }
        }
    }
    for (place, of, stat) in normalised(&columns[..joints]) {
        if found[place].is_none() {
            let mut problem = columns[place].problem(format!("the largest value of its {of}"), stat.pair().1);
            problem.against += ", and all joints have just these numbers";
            "numbers that were normalised (-1 to 1, or 0 to 1), not positions".clone_into(&mut problem.looks_like);
            found[place] = Some(problem);
        }
    }
    for place in quaternion(&columns[..joints]) {
        let column = &columns[place];
        // Most often it is the first thing that is wrong; what was found before stands.
        if found[place].is_none() {
            let value =
                column.state.or(column.action).map_or(0.0, |stat| f64::midpoint(stat.interval().0, stat.interval().1));
            let mut problem = column.problem("the middle of its positions".to_owned(), value);
            problem.against = "it and its neighbours are four numbers whose squares sum up to 1".to_owned();
            found[place] = Some(problem);
        }
        if let Some(problem) = &mut found[place] {
            "poses of the end effector (x, y, z and a unit quaternion), not joint positions"
                .clone_into(&mut problem.looks_like);
        }
    }
    let mut report = RangeReport::default();
    for (column, problem) in columns.iter().zip(found) {
        let place = if column.waived { &mut report.waived } else { &mut report.problems };
        place.extend(problem);
    }
    report
}

/// What the numbers of a column look like; `far` are all that were found.
fn likeness(column: &Column, far: &[&Column]) -> String {
    let all = |unit: JointUnit| far.iter().filter(move |c| c.unit == unit && !c.waived);
    let stats = |c: &Column| [c.state, c.action].into_iter().flatten().collect::<Vec<_>>();
    // Whether most of the numbers fit when they are divided by this.
    let fits = |factor: f64| {
        let good = |c: &&&Column| {
            let part = Column {
                state: c.state.map(|s| s.times(1.0 / factor)),
                action: c.action.map(|s| s.times(1.0 / factor)),
                change: c.change.map(|s| s.times(1.0 / factor)),
                seen: c.seen.iter().map(|v| v / factor).collect(),
                done: c.done.iter().map(|v| v / factor).collect(),
                rest: c.rest.map(|v| v / factor),
                ..(**c).clone()
            };
            let stat = |of, stat: Option<Stat>| stat.is_some_and(|s| part.wrong_statistic(of, s).is_some());
            !(stat("states", part.state) || stat("actions", part.action))
                && part.change.is_none_or(|s| part.wrong_change(s).is_none())
                && part.wrong_example().is_none()
        };
        let count = all(column.unit).count();
        2 * all(column.unit).filter(good).count() >= count.max(1) && (count > 0 || good(&&&column.clone()))
    };
    let extremes: Vec<(f64, f64)> = all(column.unit)
        .flat_map(|c| stats(c))
        .filter(|s| !matches!(s, Stat::Moments(..)))
        .map(Stat::interval)
        .collect();
    let hundred = |v: f64| (95.0..=101.0).contains(&v.abs());
    let per_cent = !extremes.is_empty()
        && extremes.iter().all(|(low, high)| *low >= -101.0 && *high <= 101.0)
        && extremes.iter().filter(|(low, high)| hundred(*low) || hundred(*high)).count() * 2 >= extremes.len();
    if per_cent {
        return "LeRobot's normalised positions (-100 to 100, grippers 0 to 100)".to_owned();
    }
    let largest = all(column.unit).map(|c| c.largest()).fold(column.largest(), f64::max);
    let other = "positions of something else: another joint, another zero, or poses of the end effector".to_owned();
    match column.unit {
        JointUnit::Radian if largest > LEAST_DEGREES && fits(DEGREES) => {
            "degrees taken for radians (or LeRobot's normalised -100 to 100)".to_owned()
        }
        JointUnit::Metre if fits(100.0) => "centimetres taken for metres".to_owned(),
        JointUnit::Metre if fits(1000.0) => "millimetres taken for metres (or a gripper's 0 to 100)".to_owned(),
        _ => other,
    }
}

/// Joints whose positions are all so near zero that they look divided by `factor`.
fn tiny(columns: &[Column], unit: JointUnit, factor: f64) -> Vec<usize> {
    let moving = |c: &Column| {
        let (low, high) = c.state.or(c.action)?.core();
        let limits = c.limits.filter(|_| c.unit == unit && !c.waived && (high > low || high != 0.0))?;
        // Only where it says something: limits that reach far enough.
        Some(factor * high.abs().max(low.abs()) <= 1.5 * limits.0.abs().max(limits.1.abs()))
    };
    let moved: Vec<(usize, bool)> =
        columns.iter().enumerate().filter_map(|(place, column)| Some((place, moving(column)?))).collect();
    let small: Vec<usize> = moved.iter().filter(|(_, small)| *small).map(|(place, _)| *place).collect();
    let enough = if moved.len() >= 4 { moved.len() - 1 } else { moved.len().max(2) };
    if small.len() >= enough { small } else { Vec::new() }
}

/// Joints whose numbers were normalised, as those of all of them were; but for those whose limits are these numbers.
fn normalised(columns: &[Column]) -> Vec<(usize, &'static str, Stat)> {
    let all = |stat: fn(&Column) -> Option<Stat>| {
        columns.len() >= LEAST_NORMALISED && columns.iter().all(|c| stat(c).is_some_and(Stat::is_normalised))
    };
    let stat: (&'static str, fn(&Column) -> Option<Stat>) = if all(|c| c.state) {
        ("states", |c| c.state)
    } else if all(|c| c.action) {
        ("actions", |c| c.action)
    } else {
        return Vec::new();
    };
    let told = |(place, column): (usize, &Column)| {
        let found = (stat.1)(column)?;
        let (low, high) = column.limits.unwrap_or((f64::MIN, f64::MAX));
        let apart = |(a, b): (f64, f64)| (a - low).abs() > EXACTLY || (b - high).abs() > EXACTLY;
        apart(found.pair()).then_some((place, stat.0, found))
    };
    columns.iter().enumerate().filter_map(told).collect()
}

/// Places of four columns that hold a unit quaternion, behind three others.
fn quaternion(columns: &[Column]) -> Vec<usize> {
    let n = columns.len();
    if n < 7 {
        return Vec::new();
    }
    // After x, y, z; at the end; before a gripper; of a second arm.
    let mut starts = vec![3, n - 4, n - 5, 10, 11];
    starts.retain(|start| *start >= 3 && start + 4 <= n);
    starts.sort_unstable();
    starts.dedup();
    let found = starts.into_iter().find(|start| {
        let four = &columns[*start..start + 4];
        four.iter().all(|c| c.unit == JointUnit::Radian && !c.waived)
            && (of_unit_length(four, |c| c.state) || of_unit_length(four, |c| c.action) || rows_of_unit_length(four))
    });
    found.map_or(Vec::new(), |start| (start..start + 4).collect())
}

/// The mean square of a unit quaternion is 1 however it turns.
fn of_unit_length(four: &[Column], stat: impl Fn(&Column) -> Option<Stat>) -> bool {
    let mut sum = 0.0;
    for column in four {
        match stat(column) {
            Some(Stat::Moments(mean, std)) if mean.abs() <= 1.0 => sum += mean * mean + std * std,
            _ => return false,
        }
    }
    (sum - 1.0_f64).abs() < 0.005
}

/// Where there are no moments: all values between -1 and 1, and every row of the worked example of length one.
fn rows_of_unit_length(four: &[Column]) -> bool {
    let within = |stat: Option<Stat>| match stat {
        Some(Stat::Moments(..)) => false,
        Some(stat) => stat.interval().0 >= -1.02 && stat.interval().1 <= 1.02,
        None => true,
    };
    if !four.iter().all(|c| within(c.state) && within(c.action)) {
        return false;
    }
    let unit = |part: fn(&Column) -> &Vec<f64>, tolerance: f64, least: usize| {
        let rows = four.iter().map(|c| part(c).len()).min().unwrap_or(0);
        let length = |row: usize| four.iter().map(|c| part(c)[row] * part(c)[row]).sum::<f64>().sqrt();
        rows >= least && (0..rows).all(|row| (length(row) - 1.0).abs() < tolerance)
    };
    unit(|c| &c.done, 0.02, 2) || unit(|c| &c.seen, 1e-3, 1)
}

/// Compares a manifest, and the worked example where it was read, with a robot.
pub fn compare_ranges(manifest: &Manifest, golden: Option<&Golden>, robot: &RobotModel) -> RangeReport {
    compare(&columns(manifest, golden, robot), manifest.robot.joints.len())
}

fn columns(manifest: &Manifest, golden: Option<&Golden>, robot: &RobotModel) -> Vec<Column> {
    let (contract, action) = (&manifest.robot, &manifest.action);
    let (state, done) = (&manifest.observation.state.normalization, &action.normalization);
    let waived = |name: &str| contract.ranges_not_compared.iter().any(|other| other == name);
    let example = |column: usize| -> Vec<f64> {
        let rows = golden.iter().flat_map(|golden| golden.actions.chunks(action.names.len()));
        rows.filter_map(|row| row.get(column).copied()).collect()
    };
    let mut all = Vec::new();
    for (place, (name, unit)) in contract.joints.iter().zip(&contract.units).enumerate() {
        let joint = robot.joint(name);
        let limits = joint.filter(|joint| joint.kind != JointKind::Continuous).and_then(|joint| {
            let (low, high) = (joint.limit.lower?, joint.limit.upper?);
            (low <= high && low.is_finite() && high.is_finite()).then_some((low, high))
        });
        // Its column of the actions.
        let moved = match action.space {
            ActionSpace::JointPosition => Some(place),
            ActionSpace::EndEffector if action.gripper_joint.as_ref() == Some(name) => {
                action.names.iter().position(|n| n == "gripper")
            }
            ActionSpace::EndEffector => None,
        };
        let absolute = moved.filter(|column| action.reference[*column] == Reference::Absolute);
        let relative = moved.filter(|column| action.reference[*column] == Reference::Relative);
        all.push(Column {
            name: name.clone(),
            unit: *unit,
            limits,
            limits_of: "its limits are",
            waived: waived(name),
            state: state.statistics(place),
            action: absolute.and_then(|column| done.statistics(column)),
            change: relative.and_then(|column| done.statistics(column)),
            seen: golden
                .iter()
                .flat_map(|golden| &golden.frames)
                .filter_map(|f| f.joints.get(place).copied())
                .collect(),
            done: absolute.map_or(Vec::new(), example),
            rest: action.rest_posture.as_ref().and_then(|rest| rest.get(place).copied()),
        });
    }
    let reach = reach(manifest, robot);
    let tool = |name: String, unit, limits: (f64, f64)| Column {
        waived: waived(&name),
        name,
        unit,
        limits: Some(limits),
        limits_of: if unit == JointUnit::Metre { "the tool reaches" } else { "a turn is" },
        state: None,
        action: None,
        change: None,
        seen: Vec::new(),
        done: Vec::new(),
        rest: None,
    };
    for (place, axis) in manifest.observation.state.end_effector.iter().enumerate() {
        let name = format!("{axis:?}").to_lowercase();
        let stat = state.statistics(contract.joints.len() + place);
        all.push(Column { state: stat, ..tool(name, JointUnit::Metre, (-reach, reach)) });
    }
    if action.space == ActionSpace::EndEffector {
        for (place, name) in action.names.iter().enumerate().filter(|(_, name)| *name != "gripper") {
            let unit = action.units[place];
            let limit = if unit == JointUnit::Metre { reach } else { TAU };
            let (stat, absolute) = (done.statistics(place), action.reference[place] == Reference::Absolute);
            all.push(Column {
                action: stat.filter(|_| absolute),
                change: stat.filter(|_| !absolute),
                done: if absolute { example(place) } else { Vec::new() },
                ..tool(name.clone(), unit, (-limit, limit))
            });
        }
    }
    all
}

/// How far the tool is from its base at most, m.
fn reach(manifest: &Manifest, robot: &RobotModel) -> f64 {
    let joints = robot.joints_between(&manifest.robot.base_link, &manifest.robot.tip_link).unwrap_or_default();
    let length = |joint: &&efm_robot::Joint| {
        let slide = match joint.kind {
            JointKind::Prismatic => joint.limit.upper.unwrap_or(0.0).abs().max(joint.limit.lower.unwrap_or(0.0).abs()),
            JointKind::Revolute | JointKind::Continuous | JointKind::Fixed => 0.0,
        };
        joint.origin.translation.vector.norm() + slide
    };
    joints.iter().map(length).sum::<f64>().max(0.1)
}

#[cfg(test)]
mod tests;
