//! On which processor cores threads may run, so that inference does not starve what moves the robot.
//!
//! A thread that is started later inherits the cores of the one that starts it: ONNX Runtime's threads those of the thread that opens its sessions.
//! Nobody else is kept off these cores; that takes `isolcpus`, a cpuset or a container.

use efm_core::reading;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use std::io;

/// The highest number that a core may have, for declarations of parameters: what the operating system's sets hold.
pub const MOST_CORES: f64 = (CpuSet::MAX_CPU - 1) as f64;

/// Cores that exist here and that this process may use; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cores(Vec<usize>);

/// Why threads cannot be kept to some cores.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoresError {
    /// Not on this machine, or kept from this process.
    #[error("core {core} is not there for this process; it may run on {available:?}")]
    Missing {
        /// As it was asked for.
        core: i64,
        /// Those that are there.
        available: Vec<usize>,
    },
    /// Asked for twice.
    #[error("core {0} is listed twice")]
    Twice(usize),
    /// The operating system does not tell.
    #[error("the cores of this process cannot be read: {0}")]
    Unknown(String),
}

impl Cores {
    /// Those of a parameter; none, where its list is empty, which leaves everything to the operating system.
    ///
    /// # Errors
    /// Naming the core that is not there.
    pub fn named(wanted: &[i64]) -> Result<Option<Self>, CoresError> {
        if wanted.is_empty() {
            return Ok(None);
        }
        Self::among(wanted, &available().map_err(|e| CoresError::Unknown(e.to_string()))?).map(Some)
    }

    fn among(wanted: &[i64], available: &[usize]) -> Result<Self, CoresError> {
        let mut cores = Vec::new();
        for core in wanted {
            let known = usize::try_from(*core).ok().filter(|core| available.contains(core));
            let known = known.ok_or_else(|| CoresError::Missing { core: *core, available: available.to_vec() })?;
            if cores.contains(&known) {
                return Err(CoresError::Twice(known));
            }
            cores.push(known);
        }
        Ok(Self(cores))
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty)] // never
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Keeps the calling thread, and all that it starts from now on, to these cores.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn confine_this_thread(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.set())?)
    }

    /// Keeps all threads of this process to these cores.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn confine_this_process(&self) -> io::Result<()> {
        each_thread(|thread| Ok(sched_setaffinity(Pid::from_raw(thread), &self.set())?))
    }

    fn set(&self) -> CpuSet {
        let mut set = CpuSet::new();
        self.0.iter().for_each(|core| set.set(*core));
        set
    }
}

/// Does something to each thread of this process, also to those that are started meanwhile.
fn each_thread(mut act: impl FnMut(i32) -> io::Result<()>) -> io::Result<()> {
    let mut seen = Vec::new();
    // Again, until none was started meanwhile by one that was not yet reached.
    loop {
        let before = seen.len();
        for entry in std::fs::read_dir("/proc/self/task")? {
            let name = entry?.file_name();
            let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            if !seen.contains(&thread) {
                seen.push(thread);
                match act(thread) {
                    // It has ended.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    done => done?,
                }
            }
        }
        if seen.len() == before {
            return Ok(());
        }
    }
}

/// Runs all threads of this process in real time (SCHED_FIFO), and those that they start; if it is not `alone` in the process, the calling
/// thread and those of the middleware (Fast DDS names them `dds.`), by which its messages come.
///
/// # Errors
/// When the operating system does not permit it.
pub fn run_in_real_time(priority: i32, alone: bool) -> io::Result<()> {
    if !alone {
        run_this_thread_in_real_time(priority)?;
    }
    each_thread(|thread| {
        let name = reading::text(format!("/proc/self/task/{thread}/comm"), reading::SYSTEM).unwrap_or_default();
        if alone || name.starts_with("dds.") { schedule(thread, libc::SCHED_FIFO, priority) } else { Ok(()) }
    })
}

/// Runs the calling thread in real time (SCHED_FIFO), and those that it starts.
///
/// # Errors
/// When the operating system does not permit it.
pub fn run_this_thread_in_real_time(priority: i32) -> io::Result<()> {
    schedule(0, libc::SCHED_FIFO, priority)
}

/// Runs the calling thread as ordinary ones run, whatever its process does: for long work that nothing waits for.
///
/// # Errors
/// When the operating system refuses.
pub fn run_as_ordinary() -> io::Result<()> {
    schedule(0, libc::SCHED_OTHER, 0)
}

/// `thread` 0 is the calling one.
fn schedule(thread: i32, policy: libc::c_int, priority: i32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: the kernel reads a value of our own.
    match unsafe { libc::sched_setscheduler(thread, policy, &raw const param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Cores that the calling thread may run on.
///
/// # Errors
/// When the operating system does not tell.
pub fn available() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_core_that_is_not_there_is_named_with_those_that_are() {
        assert_eq!(Cores::named(&[]), Ok(None));
        assert_eq!(Cores::among(&[3, 1], &[1, 2, 3]), Ok(Cores(vec![3, 1])));
        for core in [0, 4, -1, i64::MAX] {
            let text = Cores::among(&[1, core], &[1, 2, 3]).unwrap_err().to_string();
            assert!(text.contains(&format!("core {core} ")) && text.contains("[1, 2, 3]"), "{text}");
        }
        assert_eq!(Cores::among(&[1, 1], &[1]), Err(CoresError::Twice(1)));
        assert!(matches!(Cores::named(&[1 << 40]), Err(CoresError::Missing { .. })));
    }

    #[test]
    fn what_runs_in_real_time_hands_it_on_and_long_work_can_leave_it() {
        // SAFETY: a plain question about the calling thread.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        // Of one thread: this process has other tests. Without the right to it there is nothing to see.
        let seen = std::thread::spawn(move || {
            schedule(0, libc::SCHED_FIFO, 1).ok()?;
            let inherited =
                std::thread::spawn(move || (policy(), run_as_ordinary().map(|()| policy()))).join().unwrap();
            Some((policy(), inherited))
        });
        if let Some((own, (inherited, left))) = seen.join().unwrap() {
            assert_eq!((own, inherited, left.unwrap()), (libc::SCHED_FIFO, libc::SCHED_FIFO, libc::SCHED_OTHER));
        }
    }

    #[test]
    fn a_thread_and_those_that_it_starts_keep_to_their_cores() {
        let last = *available().unwrap().last().unwrap();
        let cores = Cores::named(&[last as i64]).unwrap().unwrap();
        let inherited = std::thread::spawn(move || {
            cores.confine_this_thread().unwrap();
            std::thread::spawn(|| available().unwrap()).join().unwrap()
        });
        assert_eq!(inherited.join().unwrap(), [last]);
    }
}
