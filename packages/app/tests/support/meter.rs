//! What it takes to answer what means harm: time, memory, words.
#![allow(dead_code)]

use std::time::{Duration, Instant};

/// An answer comes within so much processor time; on a quiet machine that is what the clock on the wall shows.
pub const ANSWERED: Duration = Duration::from_secs(10);
/// Most memory of a process, MB.
pub const MEMORY: u64 = 1500;
/// Longest answer, characters. Whoever reads it is a person.
pub const ANSWER: usize = 500;

/// Numbers that are the same each time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }
}

/// Processor time of this process, all threads.
pub fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills a plain value.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory that a process had, MB.
pub fn peak(status: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Why an answer is none that a person can read. Nodes write out what does not show (`efm_core::reading::shown`) in what they report and log; not in
/// the JSON of their messages, of which each text is looked at.
pub fn unreadable(text: &str) -> Option<String> {
    if let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) {
        return fields.values().filter_map(|value| value.as_str()).find_map(wrong);
    }
    wrong(&efm_core::reading::shown(text.to_owned()))
}

fn wrong(text: &str) -> Option<String> {
    let hidden = efm_core::reading::hidden(text, true);
    let length = text.chars().count();
    let begin: String = text.chars().take(120).flat_map(char::escape_debug).collect();
    match (length > ANSWER, hidden) {
        (true, _) => Some(format!("{length} characters are told: {begin}")),
        (_, Some(c)) => Some(format!("{c:?} is told: {begin}")),
        _ => None,
    }
}

/// Counts what was tried.
#[derive(Default)]
pub struct Meter {
    pub tried: std::collections::BTreeMap<u8, usize>,
    pub failures: Vec<String>,
    slowest: Vec<(Duration, Duration, String)>,
    /// Of other processes, MB.
    memory: u64,
}

impl Meter {
    /// One input, of a number of the list and a kind: what was said of it, or what is wrong with the answer.
    pub fn case(&mut self, number: u8, what: &str, answer: impl FnOnce() -> Result<Vec<String>, String>) {
        let (began, before) = (Instant::now(), processor_time());
        let answer = answer();
        let (wall, cpu) = (began.elapsed(), processor_time().saturating_sub(before));
        let problem = answer.map_or_else(Some, |said| said.iter().find_map(|text| unreadable(text)));
        self.took(number, what, (cpu, 0), wall, problem);
    }

    /// One input that took so much processor time and memory (MB), and so long.
    pub fn took(
        &mut self,
        number: u8,
        what: &str,
        (cpu, memory): (Duration, u64),
        wall: Duration,
        problem: Option<String>,
    ) {
        *self.tried.entry(number).or_default() += 1;
        self.failures.extend(problem.map(|why| format!("{number}: {what}: {why}")));
        self.memory = self.memory.max(memory);
        if memory > MEMORY {
            self.failures.push(format!("{number}: {what}: {memory} MB"));
        }
        if cpu > ANSWERED {
            self.failures.push(format!("{number}: {what}: {cpu:?} of processor time"));
        }
        self.slowest.push((cpu, wall, format!("{number}: {what}")));
        self.slowest.sort_by_key(|(cpu, ..)| std::cmp::Reverse(*cpu));
        self.slowest.truncate(12);
    }

    /// Whether a good input goes through after one of a kind.
    pub fn holds(&mut self, what: &str, good: bool) {
        if !good {
            self.failures.push(format!("{what}: a good one does not go through afterwards"));
        }
    }

    /// Says what was found, and fails where something was.
    pub fn verdict(&self) {
        let memory = peak(&std::fs::read_to_string("/proc/self/status").unwrap()).max(self.memory);
        println!("tried, by number: {:?}; {memory} MB at most", self.tried);
        for (cpu, wall, what) in &self.slowest {
            println!("  {:.2} s of processor, {:.2} s: {what}", cpu.as_secs_f64(), wall.as_secs_f64());
        }
        let failures = self.failures.join("\n  ");
        assert!(self.failures.is_empty(), "{} failures:\n  {failures}", self.failures.len());
        assert!(memory < MEMORY, "{memory} MB");
    }
}
