//! The running processes of the graph: started together, watched, ended together.

use crate::plan::Planned;
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a process gets between SIGINT and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// Lines of its log that are shown of a process that has died.
const LAST_LINES: usize = 12;
/// Bytes at the end of a log in which they are looked for.
const TAIL_BYTES: u64 = 8192;

/// What can go wrong with a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start '{name}' ({}): {source}", executable.display())]
    Start {
        /// Name of its node.
        name: String,
        /// Its executable.
        executable: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its log cannot be written.
    #[error("cannot write the log {}: {source}", file.display())]
    Log {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended although nobody asked it to.
    #[error("'{name}' has ended by itself ({how}); the end of {}:\n{last_lines}", log.display())]
    Died {
        /// Name of its node.
        name: String,
        /// Exit code or signal.
        how: String,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        last_lines: String,
    },
}

#[derive(Debug)]
struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

/// The processes. Dropping them ends them.
#[derive(Debug, Default)]
pub struct Processes {
    running: Vec<Running>,
}

impl Processes {
    /// Starts what is planned; the executables lie in `bin`, each process writes `<log>/<name>.log`. Must be called from a thread
    /// that lives as long as the processes shall: they are asked to end when it does, so that not even a killed demo leaves a
    /// moving robot behind.
    ///
    /// # Errors
    /// When a log cannot be written or an executable is not there; those that were started are ended then.
    pub fn start(planned: &[Planned], bin: &Path, log: &Path) -> Result<Self, ProcessError> {
        let mut processes = Self::default();
        for process in planned {
            processes.add(&process.name, &bin.join(&process.executable), process.command_line(), log)?;
        }
        Ok(processes)
    }

    /// Starts one more; as [`Self::start`].
    ///
    /// # Errors
    /// When its log cannot be written or the executable is not there.
    pub fn add(
        &mut self,
        name: &str,
        executable: &Path,
        arguments: Vec<String>,
        log: &Path,
    ) -> Result<(), ProcessError> {
        let file = log.join(format!("{name}.log"));
        let writable = |source| ProcessError::Log { file: file.clone(), source };
        let out = File::create(&file).map_err(writable)?;
        let err = out.try_clone().map_err(writable)?;
        let mut command = Command::new(executable);
        command.args(arguments).stdin(Stdio::null()).stdout(out).stderr(err);
        // What a node keeps beyond its life (an emergency stop) is for this run only, and none of another run holds here.
        command.env("XDG_STATE_HOME", std::path::absolute(log).unwrap_or_else(|_| log.to_owned()));
        // A group of its own: Ctrl-C in a terminal goes to the whole group of the demo, which wants to end them in its own order.
        command.process_group(0);
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec only two system calls are made, which neither allocate nor lock.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::INT))?;
                // The parent may have died before that call.
                if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
            });
        }
        let child = command.spawn().map_err(|source| ProcessError::Start {
            name: name.to_owned(),
            executable: executable.to_owned(),
            source,
        })?;
        self.running.push(Running { name: name.to_owned(), child, log: file });
        Ok(())
    }

    /// Names and process ids, in the order of their start.
    pub fn ids(&self) -> impl Iterator<Item = (&str, u32)> {
        self.running.iter().map(|running| (running.name.as_str(), running.child.id()))
    }

    /// The first process that has ended, if one has: an error, since nobody asked it to.
    ///
    /// # Errors
    /// [`ProcessError::Died`].
    pub fn check(&mut self) -> Result<(), ProcessError> {
        for running in &mut self.running {
            if let Ok(Some(status)) = running.child.try_wait() {
                return Err(ProcessError::Died {
                    name: running.name.clone(),
                    how: how_it_ended(status),
                    log: running.log.clone(),
                    last_lines: last_lines(&running.log),
                });
            }
        }
        Ok(())
    }

    /// Ends all: SIGINT, two seconds of patience, SIGKILL. Returns the names of those that had to be killed or did not end with
    /// code 0 although they were asked kindly, with how they ended.
    pub fn stop(&mut self) -> Vec<String> {
        self.stop_within(GRACE)
    }

    fn stop_within(&mut self, grace: Duration) -> Vec<String> {
        let mut ended = Vec::with_capacity(self.running.len());
        for running in &mut self.running {
            let already = matches!(running.child.try_wait(), Ok(Some(_)));
            if !already && let Err(error) = kill_process(Pid::from_child(&running.child), Signal::INT) {
                log::warn!("{}: {error}", running.name);
            }
            ended.push(already);
        }
        let end = Instant::now() + grace;
        let mut unkind = Vec::new();
        for (mut running, already) in self.running.drain(..).zip(ended) {
            let status = loop {
                match running.child.try_wait() {
                    Ok(Some(status)) => break Some(status),
                    Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
                    _ => break None,
                }
            };
            match status {
                Some(status) if status.success() || already => {}
                Some(status) => unkind.push(format!("{} ended with {}", running.name, how_it_ended(status))),
                None => {
                    let _ = running.child.kill();
                    let _ = running.child.wait();
                    unkind.push(format!("{} had to be killed", running.name));
                }
            }
        }
        unkind
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop();
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The end of a log; a reason instead where it cannot be read.
fn last_lines(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) if text.trim().is_empty() => "  (it has written nothing)".to_owned(),
        Ok(text) => {
            let lines: Vec<_> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("  (it cannot be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A shell script as a process. A shell cannot trap what its parent ignores, as background jobs ignore SIGINT.
    fn script(processes: &mut Processes, log: &Path, name: &str, text: &str) {
        let arguments = ["--default-signal=INT", "sh", "-c", text].map(str::to_owned).to_vec();
        processes.add(name, Path::new("/usr/bin/env"), arguments, log).unwrap();
    }

    fn until(mut condition: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < end, "did not happen in time");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_process_that_dies_is_named_with_its_last_words() {
        let log = tempfile::tempdir().unwrap();
        let mut processes = Processes::default();
        script(&mut processes, log.path(), "healthy", "exec sleep 60");
        script(&mut processes, log.path(), "sick", "echo hello; echo 'no such camera' >&2; exit 3");
        let mut error = String::new();
        until(|| processes.check().map_err(|e| error = e.to_string()).is_err());
        assert!(
            error.contains("'sick'") && error.contains("exit code 3") && error.contains("no such camera"),
            "{error}"
        );
    }

    #[test]
    fn all_are_asked_to_end_and_those_that_do_not_listen_are_killed() {
        let log = tempfile::tempdir().unwrap();
        let mut processes = Processes::default();
        script(&mut processes, log.path(), "kind", "trap 'exit 0' INT; echo ready; while :; do sleep 0.01; done");
        script(&mut processes, log.path(), "rude", "trap 'exit 7' INT; echo ready; while :; do sleep 0.01; done");
        script(&mut processes, log.path(), "deaf", "trap '' INT; echo ready; while :; do sleep 0.01; done");
        let ready = |name: &str| {
            std::fs::read_to_string(log.path().join(format!("{name}.log"))).is_ok_and(|text| text.contains("ready"))
        };
        until(|| ready("kind") && ready("rude") && ready("deaf"));
        let pids: Vec<_> = processes.running.iter().map(|r| Pid::from_child(&r.child)).collect();
        let unkind = processes.stop_within(Duration::from_millis(1500));
        assert_eq!(unkind, ["rude ended with exit code 7", "deaf had to be killed"]);
        for pid in pids {
            assert!(rustix::process::test_kill_process(pid).is_err(), "{pid:?} is gone");
        }
    }

    #[test]
    fn an_executable_that_is_not_there_is_named() {
        let log = tempfile::tempdir().unwrap();
        let error =
            Processes::default().add("sim", Path::new("/no/such/sim"), vec![], log.path()).unwrap_err().to_string();
        assert!(error.contains("'sim'") && error.contains("/no/such/sim"), "{error}");
    }
}
