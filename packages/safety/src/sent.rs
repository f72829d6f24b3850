//! What the controllers have: the states that were sent last, so that the plan can go back to them.
//!
//! A window that was decided on may not leave: a pause came between, and by then the controllers are on a part of the window before that the new one
//! changes. Then the plan has to be what they follow, and not what they should have got.

use crate::motion::State;

/// The states of all joints of the windows that were handed out last, and of those before, from grid index [`Self::first`] on.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Grid index of the first state; with the index of the windows before.
    first: i64,
    before: i64,
    /// By joint: what its controller has, and what it is about to get.
    has: Vec<Vec<State>>,
    gets: Vec<Vec<State>>,
    /// Whether there are windows before.
    known: bool,
    /// Windows were handed out since the last [`Self::begin`].
    handed_out: bool,
}

impl Sent {
    /// Of so many joints, for windows of at most `room` points.
    pub fn new(joints: usize, room: usize) -> Self {
        let rows = || (0..joints).map(|_| Vec::with_capacity(room)).collect();
        Self { first: 0, before: 0, has: rows(), gets: rows(), known: false, handed_out: false }
    }

    /// A motion begins: nothing of it was sent yet.
    pub fn forget(&mut self) {
        self.known = false;
        self.handed_out = false;
    }

    /// Windows are about to be handed out, the first point being at a grid index. Those before were sent, as nobody said otherwise.
    pub fn begin(&mut self, first: i64) {
        std::mem::swap(&mut self.has, &mut self.gets);
        self.known = self.handed_out;
        self.before = self.first;
        self.first = first;
        self.handed_out = true;
        self.gets.iter_mut().for_each(Vec::clear);
    }

    /// The next state of a joint in the window that is about to be handed out. Never more than there is room for.
    pub fn push(&mut self, joint: usize, state: State) {
        let states = &mut self.gets[joint];
        if states.len() < states.capacity() {
            states.push(state);
        }
    }

    /// The windows that were handed out last did not leave, but for those of the joints for which `left` says so. False where nothing of the motion
    /// was sent at all.
    pub fn take_back(&mut self, left: impl Fn(usize) -> bool) -> bool {
        if !self.known && !(0..self.gets.len()).any(&left) {
            self.handed_out = false;
            return false;
        }
        // What the windows before have from the same index on; they end at rest, and beyond their end they say "stay".
        let skip = (self.first - self.before).max(0) as usize;
        for (joint, (gets, has)) in self.gets.iter_mut().zip(&self.has).enumerate() {
            if left(joint) {
                continue;
            }
            // A joint whose controller got nothing of this motion yet is at rest where it begins.
            let held = if self.known { has.last() } else { gets.first() }.map_or(0.0, |state| state.p);
            gets.clear();
            if self.known {
                gets.extend_from_slice(has.get(skip..).unwrap_or_default());
            }
            if gets.is_empty() {
                gets.push(State::rest(held));
            }
        }
        true
    }

    /// Whether nothing of the motion was sent before the windows that were handed out last.
    pub fn is_first(&self) -> bool {
        !self.known
    }

    /// Grid index of the first state.
    pub fn first(&self) -> i64 {
        self.first
    }

    /// What the controller of a joint has, from [`Self::first`] on.
    pub fn of(&self, joint: usize) -> &[State] {
        &self.gets[joint]
    }
}
