//! Processes that are started and waited for, within bounds of time and of what they say.

use crate::reading::{SYSTEM, text};
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The first bytes of what comes, read to its end: who says more is not held up.
pub fn kept(from: impl Read + Send + 'static, most: u64) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut kept, mut from) = (Vec::new(), from);
        let _ = (&mut from).take(most).read_to_end(&mut kept);
        let _ = std::io::copy(&mut from, &mut std::io::sink());
        kept
    })
}

/// How a process ended; none where it had to be killed. Time in which it waits for a core does not count, within bounds.
///
/// # Errors
/// When the system does not tell of it.
pub fn wait(child: &mut Child, most: Duration) -> std::io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let elapsed = began.elapsed();
        if elapsed >= most && is_over(elapsed, waited_for_a_core(child.id()), most) {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// How it ended; none where it had no end in its time.
    pub status: Option<ExitStatus>,
    /// The beginning of its output: more than what was to be kept by one byte where there is more.
    pub output: Vec<u8>,
    /// The beginning of its complaints.
    pub complaints: String,
}

/// Runs a program, without input, for so long and with so many bytes of output at most.
///
/// # Errors
/// When it cannot be started.
pub fn run(command: &mut Command, time: Duration, bytes: u64) -> std::io::Result<Said> {
    /// Bytes of complaints.
    const COMPLAINTS: u64 = 64 << 10;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let output = child.stdout.take().map(|out| kept(out, bytes.saturating_add(1)));
    let complaints = child.stderr.take().map(|out| kept(out, COMPLAINTS));
    let status = wait(&mut child, time)?;
    let all = |of: Option<JoinHandle<Vec<u8>>>| match status {
        Some(_) => of.and_then(|thread| thread.join().ok()).unwrap_or_default(),
        // A process of its own that it left behind may hold the pipe for ever: nobody waits for that.
        None => Vec::new(),
    };
    let (output, complaints) = (all(output), all(complaints));
    Ok(Said { status, output, complaints: String::from_utf8_lossy(&complaints).into_owned() })
}

/// Whether a process that began so long ago, and waited so much of it for a core, has had its time.
fn is_over(elapsed: Duration, waited: Duration, most: Duration) -> bool {
    /// Of its time, at most, however busy the machine is.
    const BUSIEST: u32 = 20;
    elapsed.saturating_sub(waited) >= most || elapsed >= most.saturating_mul(BUSIEST)
}

/// How long a process was ready to run while others ran; zero where the system does not tell.
fn waited_for_a_core(process: u32) -> Duration {
    let told = text(format!("/proc/{process}/schedstat"), SYSTEM);
    let nanos = told.ok().and_then(|text| text.split_whitespace().nth(1)?.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn time_in_which_it_waits_for_a_core_does_not_count_but_has_an_end() {
        let s = Duration::from_secs;
        for (elapsed, waited, over) in
            [(9, 0, true), (9, 1, false), (60, 52, false), (60, 51, true), (179, 179, false), (180, 180, true)]
        {
            assert_eq!(is_over(s(elapsed), s(waited), s(9)), over, "{elapsed} {waited}");
        }
        assert!(is_over(s(9), s(10), Duration::ZERO) && !is_over(s(9), s(0), Duration::MAX));
        // What is told of this process is a time that grows.
        let before = waited_for_a_core(std::process::id());
        assert!(waited_for_a_core(std::process::id()) >= before);
        assert_eq!(waited_for_a_core(u32::MAX), Duration::ZERO);
    }

    #[test]
    fn a_program_is_heard_within_bounds() {
        let shell = |script: &str, time, bytes| run(Command::new("sh").args(["-c", script]), time, bytes).unwrap();
        let good = shell("echo hello; echo why >&2", Duration::from_secs(60), 100);
        assert_eq!((good.output.as_slice(), good.complaints.as_str()), (&b"hello\n"[..], "why\n"));
        assert!(good.status.unwrap().success());
        let long = shell("yes | head -c 1000000; exit 3", Duration::from_secs(60), 1000);
        assert_eq!((long.output.len(), long.status.unwrap().code()), (1001, Some(3)));
        assert!(shell("sleep 600", Duration::from_millis(10), 10).status.is_none());
        assert!(run(&mut Command::new("/nowhere/program"), Duration::ZERO, 1).is_err());
    }
}
