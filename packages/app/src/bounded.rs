//! Work in a process of its own, within bounds of memory, processor time and time: for what comes from elsewhere and may have no end.
//!
//! The process is this executable once more, started with a mark and the bounds, which it sets for itself before it looks at anything
//! ([`heed`]). So there is nothing to install or to find, and whatever was registered in the executable is known there.

use efm_core::child::{kept, wait};
use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// The first argument of such a process.
const MARK: &str = "--within-bounds";
/// Bytes that are kept of what it says and of its complaints.
const SAID: u64 = 1 << 20;

/// What the work may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Bytes of memory, beside those that the executable has when it starts.
    pub memory: u64,
    /// Seconds of processor time.
    pub cpu: u64,
    /// Time, as the clock on the wall has it, without that in which it waits for a core.
    pub time: Duration,
}

impl Bounds {
    /// For work on files of so many bytes: three times that and 1 GiB, and time to read them on a slow machine. So a small package is answered within 10 s
    /// whatever it holds. A sound one takes a third of a second of the processor's time, and 3 s for each GB: a machine may be ten times as slow. How busy it
    /// is does not matter: time in which the work waits for a core does not count.
    pub fn of_files(bytes: u64) -> Self {
        Self {
            memory: bytes.saturating_mul(3).saturating_add(1 << 30),
            cpu: 6 + bytes / (20 << 20),
            time: Duration::from_secs(9 + bytes / (10 << 20)),
        }
    }

    /// Sets those of memory and processor time for this process.
    pub fn confine(&self) {
        confine(self.memory, self.cpu);
    }

    /// With those that somebody chose, in MB and s; 0: as before.
    #[must_use]
    pub fn or(self, memory_mb: u64, cpu: u64, time: u64) -> Self {
        Self {
            memory: if memory_mb > 0 { memory_mb << 20 } else { self.memory },
            cpu: if cpu > 0 { cpu } else { self.cpu },
            time: if time > 0 { Duration::from_secs(time) } else { self.time },
        }
    }
}

/// A bound that the work did not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// Of memory.
    Memory,
    /// Of processor time.
    Cpu,
    /// Of time.
    Time,
    /// It ended by a signal, in words.
    Crash(String),
    /// It could not begin, in words.
    Begin(String),
}

impl Broken {
    /// In words, and what raises the bound: the names of the three, in this order.
    pub fn in_words(&self, bounds: &Bounds, raised_by: [&str; 3]) -> String {
        let [memory, cpu, time] = raised_by;
        let raise = |name: &str, unit: &str| {
            format!("if it needs that, and you trust whoever made it, raise {name} ({unit}) beyond it")
        };
        match self {
            Self::Memory => {
                format!("it takes more than {} MB of memory; {}", bounds.memory >> 20, raise(memory, "MB"))
            }
            Self::Cpu => format!("it takes more than {} s of processor time; {}", bounds.cpu, raise(cpu, "s")),
            Self::Time => format!("it takes more than {} s; {}", bounds.time.as_secs(), raise(time, "s")),
            Self::Crash(how) => format!("it ends by {how}"),
            Self::Begin(why) => format!("it cannot be tried out in a process of its own: {why}"),
        }
    }
}

/// What a process did that kept its bounds.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said, where that was asked for.
    pub said: Vec<u8>,
}

/// Whether words are about memory that there was not.
pub fn is_about_memory(text: &str) -> bool {
    let words = [
        "bad_alloc",
        "memory allocation of",
        "allocate memory",
        "out of memory",
        "bad allocation",
        "Failed to allocate",
    ];
    words.iter().any(|word| text.contains(word))
}

/// Runs this executable once more within bounds, with these arguments and this input. What it says is handed back where `listen`, else it goes where
/// this process's goes.
///
/// # Errors
/// The bound that it did not keep.
pub fn run(bounds: &Bounds, arguments: &[OsString], input: Vec<u8>, listen: bool) -> Result<Done, Broken> {
    let begin = |error: std::io::Error| Broken::Begin(error.to_string());
    let this =
        if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe().map_err(begin)? };
    let mut command = Command::new(this);
    command.arg(MARK).arg(bounds.memory.to_string()).arg(bounds.cpu.to_string()).args(arguments);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    command.stdout(if listen { Stdio::piped() } else { Stdio::inherit() });
    let mut child = command.spawn().map_err(begin)?;

    // Who does not read does not hold up anybody.
    if let Some(mut to) = child.stdin.take() {
        std::thread::spawn(move || {
            let _ = to.write_all(&input);
        });
    }
    let said = child.stdout.take().map(|out| kept(out, SAID));
    let complaints = child.stderr.take().map(|out| kept(out, SAID));
    let status = wait(&mut child, bounds.time).map_err(begin)?;
    let text =
        |of: Option<std::thread::JoinHandle<Vec<u8>>>| of.and_then(|thread| thread.join().ok()).unwrap_or_default();
    let (said, complaints) = (text(said), text(complaints));
    let complaints = String::from_utf8_lossy(&complaints);
    let Some(status) = status else { return Err(Broken::Time) };
    match signal(status) {
        None => {
            if !listen {
                // They are for whoever reads what it says.
                eprint!("{complaints}");
            }
            Ok(Done { status, said })
        }
        Some(_) if is_about_memory(&complaints) => Err(Broken::Memory),
        Some(libc::SIGXCPU) => Err(Broken::Cpu),
        Some(signal) => {
            let last = complaints.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("without a word");
            let last: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
            Err(Broken::Crash(format!("signal {signal} ({last})")))
        }
    }
}

fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

/// To be called first of all in an executable that [`run`]s itself. In such a process: its arguments, and the bounds that it knows of itself (not of
/// time), to be set ([`Bounds::confine`]) as soon as what is trusted is loaded. None in any other.
pub fn heed() -> Option<(Vec<OsString>, Bounds)> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != MARK {
        return None;
    }
    let mut number = || arguments.next()?.to_str()?.parse::<u64>().ok();
    let (Some(memory), Some(cpu)) = (number(), number()) else {
        eprintln!("{MARK} wants bytes of memory and seconds");
        std::process::exit(2);
    };
    Some((arguments.collect(), Bounds { memory, cpu, time: Duration::MAX }))
}

/// Ends a process of [`run`] at once: what libraries have for the end may take long, or fail within the bounds.
pub fn leave(code: i32) -> ! {
    let _ = std::io::stdout().flush();
    // SAFETY: takes a plain number and does not return.
    unsafe { libc::_exit(code) }
}

fn confine(memory: u64, cpu: u64) {
    let own = efm_core::reading::text("/proc/self/statm", efm_core::reading::SYSTEM).unwrap_or_default();
    let pages: u64 = own.split_whitespace().next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    // SAFETY: plain values; nothing of this process is shared but what it inherited. What is refused leaves the bound of time, which is not its own.
    unsafe {
        let page = u64::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4096);
        let limit = |what, soft, hard| libc::setrlimit(what, &libc::rlimit { rlim_cur: soft, rlim_max: hard });
        let memory = memory.saturating_add(pages * page);
        limit(libc::RLIMIT_AS, memory, memory);
        limit(libc::RLIMIT_CPU, cpu, cpu.saturating_add(1));
        limit(libc::RLIMIT_CORE, 0, 0);
        // Nobody waits for it once who started it is gone.
        #[cfg(target_os = "linux")]
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_follow_the_files_and_whoever_chose_others() {
        let small = Bounds::of_files(10 << 20);
        assert_eq!((small.memory, small.cpu, small.time.as_secs()), ((30 << 20) + (1 << 30), 6, 10));
        let large = Bounds::of_files(4 << 30);
        assert!(large.memory == 13 << 30 && large.cpu > 200 && large.time.as_secs() > 400);
        assert_eq!(small.or(0, 0, 0), small);
        assert_eq!(small.or(64, 3, 2), Bounds { memory: 64 << 20, cpu: 3, time: Duration::from_secs(2) });
        let words = |broken: Broken| broken.in_words(&small, ["'m'", "'c'", "'t'"]);
        assert!(words(Broken::Memory).contains("1054 MB") && words(Broken::Memory).contains("'m' (MB)"));
        assert!(words(Broken::Cpu).contains("6 s of processor") && words(Broken::Cpu).contains("'c'"));
        assert!(words(Broken::Time).contains("10 s") && words(Broken::Time).contains("'t'"));
    }

    #[test]
    fn words_of_missing_memory_are_known() {
        for text in [
            "memory allocation of 4294967296 bytes failed",
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "Failed to allocate memory for requested buffer of size 4294967296",
        ] {
            assert!(is_about_memory(text), "{text}");
        }
        assert!(!is_about_memory("index out of bounds"));
    }
}
