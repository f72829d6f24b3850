//! Who sent a message.

/// The publisher that a message came from: the middleware's globally unique identifier (GID) of it, as the message info has it. One that is
/// started anew is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct SenderId(pub [u8; 16]);

impl SenderId {
    /// Where the middleware does not say who it was, and for messages that come from no middleware.
    pub const UNKNOWN: Self = Self([0; 16]);
}

impl std::fmt::Display for SenderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_reads_as_its_bytes() {
        let mut bytes = [0; 16];
        (bytes[0], bytes[15]) = (0xab, 1);
        assert_eq!(SenderId(bytes).to_string(), "ab000000000000000000000000000001");
        assert_eq!(SenderId::default(), SenderId::UNKNOWN);
    }
}
