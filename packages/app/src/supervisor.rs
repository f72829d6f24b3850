//! Who gives instructions, watched by those who follow them: whom nobody could cancel any more must not go on.

use crate::reasons::{self, wrong};
use crate::silence::Silence;
use efm_core::{Reason, SenderId};

/// Watches over who gives instructions, where that one says that it is there.
#[derive(Debug, Clone)]
pub struct Supervisor {
    silence: Silence,
    sender: SenderId,
    /// The instruction that counts as taken back.
    taken: Option<String>,
}

impl Supervisor {
    /// It may be silent for `limit` seconds; 0: for ever.
    pub fn of(limit: f64) -> Self {
        Self { silence: Silence::of(limit), sender: SenderId::UNKNOWN, taken: None }
    }

    /// It says that it is there (true), or that it ends (false). The instruction that holds again, where the very one who gave it was only kept waiting;
    /// one that was started again knows nothing of it.
    pub fn beat(&mut self, alive: bool, sender: SenderId) -> Option<String> {
        let back = self.taken.take().filter(|_| alive && sender == self.sender && sender != SenderId::UNKNOWN);
        self.sender = sender;
        if alive {
            self.silence.heard()
        } else {
            self.silence.forget()
        }
        back
    }

    /// An instruction came, of whomever.
    pub fn instructed(&mut self) {
        self.taken = None;
    }

    /// A tenth of a second passes, while this instruction holds. Why it counts as taken back, where it does from now on.
    pub fn tick(&mut self, instruction: &str) -> Option<Reason> {
        if !self.silence.tick() {
            return None;
        }
        self.taken = Some(instruction.to_owned()).filter(|text| !text.is_empty());
        self.trouble()
    }

    /// Why no instruction holds.
    pub fn trouble(&self) -> Option<Reason> {
        let text = "goal_intake is silent on instruction_heartbeat, so nobody could cancel: its instruction counts as taken back";
        let remedy = "start goal_intake again, then give the goal again";
        self.silence.is_over().then(|| wrong(reasons::SUPERVISOR_SILENT, text, remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SenderId = SenderId([1; 16]);
    const OTHER: SenderId = SenderId([2; 16]);

    fn silent(supervisor: &mut Supervisor) -> usize {
        (0..30).filter(|_| supervisor.tick("push it").is_some()).count()
    }

    #[test]
    fn who_was_only_kept_waiting_has_its_instruction_back_and_who_was_started_again_has_not() {
        for (sender, back) in [(ONE, Some("push it")), (OTHER, None), (SenderId::UNKNOWN, None)] {
            let mut supervisor = Supervisor::of(1.0);
            assert_eq!(supervisor.beat(true, ONE), None);
            assert_eq!(silent(&mut supervisor), 1, "once");
            assert!(supervisor.trouble().is_some());
            assert_eq!(supervisor.beat(true, sender).as_deref(), back);
            assert!(supervisor.trouble().is_none());
            assert_eq!(supervisor.beat(true, sender), None);
        }
    }

    #[test]
    fn what_was_said_meanwhile_holds_and_who_ends_gives_nothing_back() {
        let mut supervisor = Supervisor::of(1.0);
        supervisor.beat(true, ONE);
        silent(&mut supervisor);
        supervisor.instructed();
        assert_eq!(supervisor.beat(true, ONE), None);
        silent(&mut supervisor);
        assert_eq!(supervisor.beat(false, ONE), None);
        assert_eq!((silent(&mut supervisor), supervisor.trouble()), (0, None));
    }
}
