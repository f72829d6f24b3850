//! One topic heard over several subscriptions, so that every publisher is heard: what to do with the copies.
//!
//! A subscription that asks for the old messages of a latched publisher is not matched with one that is not latched, and one that asks for
//! reliable transport not with a best-effort one. One that asks for neither is matched with all of them, but gets no old messages and may lose
//! new ones. So a topic on which it matters has one of each kind, and a message may come up to three times.

use efm_core::SenderId;

/// Senders that are remembered.
const SENDERS: usize = 32;
/// Messages of a sender that are remembered.
const RECENT: usize = 16;

/// Which copies count, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Every message once, as soon as any subscription has it: for what must not wait.
    AsTheyCome,
    /// Every message once, those of a sender in its order: for events and changes.
    AsSent,
    /// What is older than the newest of its sender is left out: for states.
    Newest,
}

/// What was heard of a sender.
#[derive(Debug)]
struct Heard {
    sender: SenderId,
    /// The surest subscription that has heard it.
    way: usize,
    newest: u64,
    recent: [u64; RECENT],
    next: usize,
}

/// Tells copies from news.
#[derive(Debug)]
pub(crate) struct Copies {
    order: Order,
    /// The one heard of last at the end.
    senders: Vec<Heard>,
}

impl Copies {
    pub fn new(order: Order) -> Self {
        Self { order, senders: Vec::with_capacity(SENDERS) }
    }

    /// Whether a message counts. `way` is the subscription that it came by, a surer one has a higher number; `number` counts the messages of
    /// a sender up, and is 0 where the middleware does not tell.
    pub fn counts(&mut self, way: usize, sender: SenderId, number: u64) -> bool {
        if number == 0 {
            return true;
        }
        let Some(at) = self.senders.iter().position(|heard| heard.sender == sender) else {
            if self.senders.len() == SENDERS {
                self.senders.remove(0);
            }
            let mut recent = [0; RECENT];
            recent[0] = number;
            self.senders.push(Heard { sender, way, newest: number, recent, next: 1 });
            return true;
        };
        self.senders[at..].rotate_left(1);
        let Some(heard) = self.senders.last_mut() else { return true };
        let less_sure = way < heard.way;
        heard.way = heard.way.max(way);
        let counts = match self.order {
            // A surer subscription has all that this one has, in order; this one may have left some out.
            Order::AsSent if less_sure => false,
            Order::Newest => number > heard.newest,
            Order::AsTheyCome | Order::AsSent => !heard.recent.contains(&number),
        };
        if counts {
            heard.newest = heard.newest.max(number);
            heard.recent[heard.next] = number;
            heard.next = (heard.next + 1) % RECENT;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SenderId = SenderId([1; 16]);
    const B: SenderId = SenderId([2; 16]);

    /// What counts of `(way, number)`.
    fn counting(order: Order, came: &[(usize, u64)]) -> Vec<u64> {
        let mut copies = Copies::new(order);
        came.iter().filter(|(way, number)| copies.counts(*way, A, *number)).map(|(_, number)| *number).collect()
    }

    #[test]
    fn copies_do_not_count_whichever_subscription_is_first() {
        let came = [(0, 1), (1, 1), (2, 1), (1, 2), (2, 2), (0, 2), (2, 3), (0, 3), (1, 3)];
        for order in [Order::AsTheyCome, Order::AsSent, Order::Newest] {
            assert_eq!(counting(order, &came), [1, 2, 3], "{order:?}");
        }
    }

    #[test]
    fn an_old_message_that_comes_late_is_left_out_of_states_only() {
        // The latched value comes when the live one is there already.
        let came = [(0, 7), (2, 6), (2, 7)];
        assert_eq!(counting(Order::Newest, &came), [7]);
        assert_eq!(counting(Order::AsTheyCome, &came), [7, 6]);
    }

    #[test]
    fn what_the_quick_subscription_lost_comes_by_the_sure_one_in_order() {
        // 4 is lost on the quick way and sent again on the sure one.
        let came = [(0, 3), (1, 3), (0, 5), (1, 4), (1, 5), (0, 6), (1, 6)];
        assert_eq!(counting(Order::AsSent, &came), [3, 4, 5, 6]);
        assert_eq!(counting(Order::AsTheyCome, &came), [3, 5, 4, 6]);
    }

    #[test]
    fn senders_do_not_stand_in_for_one_another_and_many_of_them_are_no_trouble() {
        let mut copies = Copies::new(Order::Newest);
        assert!(copies.counts(0, A, 9) && copies.counts(0, B, 1) && !copies.counts(1, A, 9));
        for k in 0..200_u8 {
            assert!(copies.counts(0, SenderId([k.wrapping_add(50); 16]), 1));
            // One that goes on speaking is not forgotten.
            assert!(!copies.counts(1, B, 1));
        }
        assert!(copies.senders.len() <= SENDERS);
        // Where the middleware does not number messages, all count.
        assert!(copies.counts(0, B, 0) && copies.counts(0, B, 0));
    }
}
