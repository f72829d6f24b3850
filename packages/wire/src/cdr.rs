//! CDR, the wire form of ROS 2 messages: XCDR version 1 ("plain CDR"), as every RMW writes it and rosbag2 stores it.
//!
//! A message starts with four bytes that name the representation (`00 01 00 00`: little-endian); alignment counts from the
//! byte after them. A number is aligned to its size. A string is a `uint32` length that includes a closing NUL; a sequence
//! is a `uint32` count and its elements. Source: OMG DDSI-RTPS 2.5 (10.2) and DDS-XTYPES 1.3 (7.4.1).

use efm_core::Stamp;

/// A type with a ROS name.
pub trait RosType {
    /// As rosbag2 writes it: `package/msg/Type`.
    const TYPE: &'static str;
}

/// A message (or a part of one) that can be written.
pub trait Encode: RosType {
    /// Appends the fields in their order.
    fn encode(&self, out: &mut CdrWriter);

    /// The whole message, with its encapsulation header.
    fn to_cdr(&self) -> Vec<u8> {
        let mut out = CdrWriter::new();
        self.encode(&mut out);
        out.into_bytes()
    }
}

/// A message (or a part of one) that can be read; may borrow from the bytes.
pub trait Decode<'a>: RosType + Sized {
    /// Reads the fields in their order.
    ///
    /// # Errors
    /// When the bytes end early, a text is not UTF-8, or a count cannot be true.
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError>;

    /// Reads a whole message. Bytes after its end are ignored: rmw_fastrtps appends some when it serialises on request,
    /// because it reckons the size with padding after empty sequences and then writes none.
    ///
    /// # Errors
    /// As [`Self::decode`], and when the encapsulation is not plain CDR.
    fn from_cdr(bytes: &'a [u8]) -> Result<Self, CdrError> {
        Self::decode(&mut CdrReader::new(bytes, Self::TYPE)?)
    }
}

/// Why bytes are not the message they are said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {message}: field '{field}' at byte {at}: {problem}")]
pub struct CdrError {
    /// ROS type of the whole message.
    pub message: &'static str,
    /// The field that could not be read.
    pub field: &'static str,
    /// Byte offset in the message, encapsulation header included.
    pub at: usize,
    /// What is wrong.
    pub problem: CdrProblem,
}

/// See [`CdrError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CdrProblem {
    /// The bytes end before the field does.
    #[error("needs {needed} bytes, {left} are left")]
    Short {
        /// Bytes wanted.
        needed: usize,
        /// Bytes there.
        left: usize,
    },
    /// Not little- or big-endian plain CDR.
    #[error("representation {0:02x} {1:02x} is not plain CDR (00 01 little-endian, 00 00 big-endian)")]
    Representation(u8, u8),
    /// A string without its NUL.
    #[error("the string does not end with a NUL byte")]
    Unterminated,
    /// A string that is not UTF-8.
    #[error("the string is not UTF-8")]
    NotUtf8,
    /// A bool that is neither 0 nor 1.
    #[error("{0} is not a bool")]
    NotBool(u8),
}

/// Bytes of the encapsulation header.
const HEADER: usize = 4;

/// Writes little-endian CDR. Can be reused, so that a stream of messages costs no allocation.
#[derive(Debug, Default)]
pub struct CdrWriter {
    bytes: Vec<u8>,
}

impl CdrWriter {
    /// With the encapsulation header written.
    pub fn new() -> Self {
        let mut out = Self { bytes: Vec::new() };
        out.restart();
        out
    }

    /// Empty again but for the header; the memory is kept.
    pub fn restart(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0, 1, 0, 0]);
    }

    /// What was written, header included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written, header included.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn align(&mut self, to: usize) {
        let offset = self.bytes.len() - HEADER;
        self.bytes.resize(HEADER + offset.next_multiple_of(to), 0);
    }

    /// One byte; also `bool` and `byte`.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// `int32`.
    pub fn i32(&mut self, value: i32) {
        self.align(4);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// `uint32`.
    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Count of a sequence. Saturates: 4 Gi elements do not fit a message.
    pub fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// A count that is not known yet; zero until [`Self::set_count`]. Returns its place.
    pub(crate) fn count_later(&mut self) -> usize {
        self.count(0);
        self.bytes.len() - 4
    }

    /// Sets a count by its place.
    pub(crate) fn set_count(&mut self, place: usize, count: u32) {
        self.bytes[place..place + 4].copy_from_slice(&count.to_le_bytes());
    }

    /// `string`.
    pub fn string(&mut self, text: &str) {
        self.count(text.len() + 1);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    /// `string[]`.
    pub fn strings(&mut self, texts: &[String]) {
        self.count(texts.len());
        for text in texts {
            self.string(text);
        }
    }

    /// `uint8[]`.
    pub fn byte_sequence(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// `float64[N]`: the numbers without a count. Nothing, not even alignment, is written for none.
    pub fn f64_array(&mut self, values: &[f64]) {
        if values.is_empty() {
            return;
        }
        self.align(8);
        self.bytes.reserve(values.len() * 8);
        for value in values {
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// `float64[]`.
    pub fn f64_sequence(&mut self, values: &[f64]) {
        self.count(values.len());
        self.f64_array(values);
    }

    /// `builtin_interfaces/Time`.
    pub fn stamp(&mut self, stamp: Stamp) {
        let (sec, nanosec) = stamp.to_sec_nanosec();
        self.i32(sec);
        self.u32(nanosec);
    }
}

/// Reads CDR of either byte order. Never panics and never reserves memory that the bytes could not fill.
#[derive(Debug)]
pub struct CdrReader<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
    message: &'static str,
    field: &'static str,
}

impl<'a> CdrReader<'a> {
    /// Reads the encapsulation header. `message` names the type in errors.
    ///
    /// # Errors
    /// When it is missing or not plain CDR.
    pub fn new(bytes: &'a [u8], message: &'static str) -> Result<Self, CdrError> {
        let mut input = Self { bytes, at: 0, big_endian: false, message, field: "encapsulation" };
        let head = input.take(HEADER)?;
        input.big_endian = match (head[0], head[1]) {
            (0, 0) => true,
            (0, 1) => false,
            (a, b) => return Err(input.error(CdrProblem::Representation(a, b))),
        };
        Ok(input)
    }

    /// Names the field that is read next, for errors.
    pub fn field(&mut self, name: &'static str) -> &mut Self {
        self.field = name;
        self
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn error(&self, problem: CdrProblem) -> CdrError {
        CdrError { message: self.message, field: self.field, at: self.at, problem }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], CdrError> {
        let left = self.left();
        if n > left {
            return Err(self.error(CdrProblem::Short { needed: n, left }));
        }
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        Ok(taken)
    }

    fn align(&mut self, to: usize) -> Result<(), CdrError> {
        let offset = self.at - HEADER;
        self.take(offset.next_multiple_of(to) - offset).map(|_| ())
    }

    fn four(&mut self) -> Result<[u8; 4], CdrError> {
        self.align(4)?;
        let b = self.take(4)?;
        Ok([b[0], b[1], b[2], b[3]])
    }

    /// One byte.
    ///
    /// # Errors
    /// When the bytes are over.
    pub fn u8(&mut self) -> Result<u8, CdrError> {
        Ok(self.take(1)?[0])
    }

    /// `bool`.
    ///
    /// # Errors
    /// When the bytes are over or it is neither 0 nor 1.
    pub fn bool(&mut self) -> Result<bool, CdrError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.error(CdrProblem::NotBool(other))),
        }
    }

    /// `uint32`.
    ///
    /// # Errors
    /// When the bytes are over.
    pub fn u32(&mut self) -> Result<u32, CdrError> {
        let b = self.four()?;
        Ok(if self.big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
    }

    /// `int32`.
    ///
    /// # Errors
    /// When the bytes are over.
    pub fn i32(&mut self) -> Result<i32, CdrError> {
        let b = self.four()?;
        Ok(if self.big_endian { i32::from_be_bytes(b) } else { i32::from_le_bytes(b) })
    }

    /// Count of a sequence whose elements take at least `least` bytes each.
    ///
    /// # Errors
    /// When that many elements cannot be in the rest of the bytes.
    pub fn count(&mut self, least: usize) -> Result<usize, CdrError> {
        let count = self.u32()? as usize;
        let (needed, left) = (count.saturating_mul(least), self.left());
        if needed > left { Err(self.error(CdrProblem::Short { needed, left })) } else { Ok(count) }
    }

    /// `string`, borrowed. An empty string may also come with length 0, without a NUL.
    ///
    /// # Errors
    /// When the bytes are over, the NUL is missing or the text is not UTF-8.
    pub fn str(&mut self) -> Result<&'a str, CdrError> {
        let len = self.u32()? as usize;
        if len == 0 {
            return Ok("");
        }
        let Some((0, text)) = self.take(len)?.split_last() else {
            return Err(self.error(CdrProblem::Unterminated));
        };
        std::str::from_utf8(text).map_err(|_| self.error(CdrProblem::NotUtf8))
    }

    /// `string`.
    ///
    /// # Errors
    /// As [`Self::str`].
    pub fn string(&mut self) -> Result<String, CdrError> {
        self.str().map(str::to_owned)
    }

    /// `string[]`.
    ///
    /// # Errors
    /// As [`Self::str`].
    pub fn strings(&mut self) -> Result<Vec<String>, CdrError> {
        let count = self.count(4)?;
        (0..count).map(|_| self.string()).collect()
    }

    /// `uint8[]`, borrowed.
    ///
    /// # Errors
    /// When the bytes are over.
    pub fn byte_sequence(&mut self) -> Result<&'a [u8], CdrError> {
        let count = self.count(1)?;
        self.take(count)
    }

    fn f64s(&mut self, count: usize) -> Result<impl Iterator<Item = f64> + use<'a>, CdrError> {
        if count > 0 {
            self.align(8)?;
        }
        let big_endian = self.big_endian;
        Ok(self.take(count.saturating_mul(8))?.chunks_exact(8).map(move |b| {
            let b = [b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]];
            if big_endian { f64::from_be_bytes(b) } else { f64::from_le_bytes(b) }
        }))
    }

    /// `float64[N]`.
    ///
    /// # Errors
    /// When the bytes are over.
    pub fn f64_array<const N: usize>(&mut self) -> Result<[f64; N], CdrError> {
        let mut out = [0.0; N];
        for (to, from) in out.iter_mut().zip(self.f64s(N)?) {
            *to = from;
        }
        Ok(out)
    }

    /// `float64[]`.
    ///
    /// # Errors
    /// When the bytes are over.
    pub fn f64_sequence(&mut self) -> Result<Vec<f64>, CdrError> {
        let count = self.count(8)?;
        Ok(self.f64s(count)?.collect())
    }

    /// `builtin_interfaces/Time`.
    ///
    /// # Errors
    /// When the bytes are over.
    pub fn stamp(&mut self) -> Result<Stamp, CdrError> {
        let sec = self.i32()?;
        Ok(Stamp::from_sec_nanosec(sec, self.u32()?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_are_aligned_to_their_size_counted_after_the_header() {
        let mut out = CdrWriter::new();
        out.u8(7);
        out.u32(1);
        out.u8(8);
        out.f64_sequence(&[1.0]);
        // After the header: 07 | pad 3 | 01 00 00 00 | 08 | pad 3 | count 1 | (offset 16: aligned) 1.0
        let expected = [0, 1, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        assert_eq!(out.bytes(), expected);
    }

    #[test]
    fn an_empty_sequence_of_doubles_is_a_count_and_nothing_else() {
        let mut out = CdrWriter::new();
        out.f64_sequence(&[]);
        out.u8(9);
        assert_eq!(out.bytes(), [0, 1, 0, 0, 0, 0, 0, 0, 9]);
    }

    #[test]
    fn big_endian_messages_are_read_too() {
        let bytes = [0, 0, 0, 0, 0, 0, 0, 3, b'h', b'i', 0];
        assert_eq!(CdrReader::new(&bytes, "t").unwrap().str().unwrap(), "hi");
    }

    #[test]
    fn other_representations_are_refused_by_name() {
        for second in 2..12 {
            let error = CdrReader::new(&[0, second, 0, 0, 0], "t").unwrap_err();
            assert_eq!(error.problem, CdrProblem::Representation(0, second));
        }
    }

    #[test]
    fn a_count_that_the_bytes_cannot_hold_is_refused_before_memory_is_reserved() {
        let bytes = [0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        let mut input = CdrReader::new(&bytes, "sensor_msgs/msg/JointState").unwrap();
        let error = input.field("position").f64_sequence().unwrap_err();
        assert!(error.to_string().contains("'position' at byte 8"), "{error}");
    }
}
