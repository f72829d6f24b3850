//! Whether a JPEG is whole: its codes are read through to the end, and nothing may be missing, left over or impossible.
//!
//! A decoder shows whatever it can of a damaged file: a grey lower half, shifted colours. A JPEG has no checksum, but its codes tell most of what
//! happens to it on the way: bits that went over make other codes of all that follows, which then end too early or too late, run over the end of a
//! block, or make blocks that no picture of bytes has. What remains are bytes that change values and no length. Brightness is told as a difference
//! from block to block, so that such a byte may brighten all that follows: in the pictures of one camera that is a leap which the picture before
//! has not. Other values change a block, which cannot be told.

use std::ops::RangeInclusive;

/// The number of codes of each length, and their values.
type Table = (&'static [u8; 16], &'static [u8]);

/// The tables of codes of ITU-T T.81, annex K.3: for first values and others, of brightness and colours.
const USUAL: [[Table; 2]; 2] = [
    [
        (&[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &FIRST),
        (&[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &FIRST),
    ],
    [
        (&[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d], &BRIGHTNESS),
        (&[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77], &COLOURS),
    ],
];
const FIRST: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
#[rustfmt::skip]
const BRIGHTNESS: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
#[rustfmt::skip]
const COLOURS: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
    0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
    0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
/// Scans of a progressive picture, at most: encoders make some ten, and each of them goes over the whole picture.
const MAX_SCANS: usize = 64;

/// Bits of a code that are looked up at once.
const LOOK: u32 = 9;

/// A table of codes.
#[derive(Debug, Clone)]
struct Codes {
    /// By the first bits: length in the high byte, value in the low one; 0: a longer code, or none.
    short: [u16; 1 << LOOK],
    /// By length: the first code that is longer, as the high bits of sixteen.
    beyond: [u32; 17],
    /// By length: what a code needs to become a place among the values.
    offset: [i32; 17],
    values: [u8; 256],
}

impl Codes {
    const EMPTY: Self = Self { short: [0; 1 << LOOK], beyond: [0; 17], offset: [0; 17], values: [0; 256] };

    /// From the number of codes of each length and their values.
    fn set(&mut self, counts: &[u8; 16], values: &[u8]) -> Result<(), &'static str> {
        *self = Self::EMPTY;
        self.values[..values.len()].copy_from_slice(values);
        let (mut code, mut place) = (0u32, 0usize);
        for (length, count) in (1u32..=16).zip(counts) {
            self.offset[length as usize] = place as i32 - code as i32;
            for _ in 0..*count {
                if code >> length != 0 {
                    return Err("its table of codes is none");
                }
                if length <= LOOK {
                    let first = (code << (LOOK - length)) as usize;
                    self.short[first..first + (1 << (LOOK - length))]
                        .fill((length as u16) << 8 | u16::from(values[place]));
                }
                code += 1;
                place += 1;
            }
            self.beyond[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(())
    }
}

/// The bits of a scan, up to the next marker.
struct Bits<'a> {
    data: &'a [u8],
    /// Of the first byte that is not in `window`.
    at: usize,
    /// The next bits, from the highest on.
    window: u64,
    left: u32,
}

const SHORT: &str = "the data of its pixels end too early";
const LEFT_OVER: &str = "there are data left over that belong to no pixel of its size";
const NO_CODE: &str = "the data of its pixels hold what is no code";
const NO_PICTURE: &str = "the data of its pixels make what no picture has";
const LEAP: &str = "its brightness leaps in the middle of its data, which it did not in the picture before";
const BEYOND_BLOCK: &str = "the data of its pixels run over the end of a block";

impl<'a> Bits<'a> {
    fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, window: 0, left: 0 }
    }

    /// At least 32 bits, if there are so many.
    #[inline(always)]
    fn fill(&mut self) {
        if self.left >= 32 {
            return;
        }
        if let Some(four) = self.data.get(self.at..self.at + 4) {
            let word = u32::from_be_bytes([four[0], four[1], four[2], four[3]]);
            // Whether one of the bytes is 0xff.
            if (!word).wrapping_sub(0x0101_0101) & word & 0x8080_8080 == 0 {
                self.window |= u64::from(word) << (32 - self.left);
                self.left += 32;
                self.at += 4;
                return;
            }
        }
        self.fill_slowly();
    }

    fn fill_slowly(&mut self) {
        while self.left <= 56 {
            let Some(byte) = self.data.get(self.at) else { return };
            self.at += 1;
            if *byte == 0xff {
                // 0xff 0x00 is the byte 0xff; else it begins a marker.
                if self.data.get(self.at) != Some(&0) {
                    self.at -= 1;
                    return;
                }
                self.at += 1;
            }
            self.window |= u64::from(*byte) << (56 - self.left);
            self.left += 8;
        }
    }

    #[inline(always)]
    fn drop(&mut self, bits: u32) -> Result<(), &'static str> {
        if bits > self.left {
            return Err(SHORT);
        }
        self.window <<= bits;
        self.left -= bits;
        Ok(())
    }

    /// The value of the next code.
    #[inline(always)]
    fn code(&mut self, codes: &Codes) -> Result<u8, &'static str> {
        self.fill();
        let short = codes.short[(self.window >> (64 - LOOK)) as usize];
        if short != 0 {
            self.drop(u32::from(short >> 8))?;
            return Ok(short as u8);
        }
        let bits = (self.window >> 48) as u32;
        let length = (LOOK as usize + 1..=16).find(|length| bits < codes.beyond[*length]);
        let Some(length) = length else { return Err(if self.left < 16 { SHORT } else { NO_CODE }) };
        self.drop(length as u32)?;
        let place = (bits >> (16 - length)) as i32 + codes.offset[length];
        codes.values.get(place as usize).copied().ok_or(NO_CODE)
    }

    /// The next bits, at most 16, as a number.
    #[inline(always)]
    fn bits(&mut self, count: u32) -> Result<u32, &'static str> {
        if count == 0 {
            return Ok(0);
        }
        self.fill();
        let value = (self.window >> (64 - count)) as u32;
        self.drop(count)?;
        Ok(value)
    }

    /// A value of so many bits with its sign, as JPEG has it.
    #[inline(always)]
    fn value(&mut self, count: u32) -> Result<i32, &'static str> {
        let bits = self.bits(count)? as i32;
        Ok(if count > 0 && bits < 1 << (count - 1) { bits + 1 - (1 << count) } else { bits })
    }

    /// Goes on to the marker: at most a begun byte may be left, and the zeros that make whole words, with which some encoders fill up. More
    /// zeros are what a part that was lost on the way leaves.
    fn end(&mut self) -> Result<(), &'static str> {
        self.drop(self.left % 8)?;
        self.fill_slowly();
        if self.window != 0 || self.left > 24 {
            return Err(LEFT_OVER);
        }
        self.left = 0;
        Ok(())
    }

    /// Goes on behind the mark that this one is due.
    fn restart(&mut self, number: u8) -> Result<(), &'static str> {
        self.end()?;
        while self.data.get(self.at + 1) == Some(&0xff) {
            self.at += 1;
        }
        if self.data.get(self.at..self.at + 2) != Some(&[0xff, 0xd0 | number & 7]) {
            return Err("a restart mark is missing in the data of its pixels");
        }
        self.at += 2;
        Ok(())
    }

    /// Goes on to the marker without reading.
    fn skip(&mut self) {
        while let Some(byte) = self.data.get(self.at) {
            if *byte == 0xff && !matches!(self.data.get(self.at + 1), Some(0 | 0xd0..=0xd7 | 0xff)) {
                return;
            }
            self.at += 1;
        }
    }
}

/// A colour of the picture, or its brightness.
#[derive(Debug, Clone, Copy, Default)]
struct Component {
    id: u8,
    /// Blocks of an MCU, across and down.
    across: usize,
    down: usize,
    quantization: usize,
    /// Its blocks when it is alone in a scan.
    blocks: usize,
    /// Where its blocks begin in [`Checker::nonzero`].
    first: usize,
    /// Whether a scan had its brightness.
    seen: bool,
    /// That of the block before.
    brightness: i32,
}

/// What is said of the whole picture.
#[derive(Debug, Clone, Copy)]
struct Frame {
    progressive: bool,
    components: [Component; 4],
    count: usize,
    /// MCUs of a scan of several components.
    mcus: usize,
}

/// A component within a scan, with its tables.
#[derive(Debug, Clone, Copy, Default)]
struct Scanned {
    component: usize,
    dc: usize,
    ac: usize,
}

/// What a scan of a progressive picture brings.
#[derive(Debug, Clone)]
struct Part {
    band: RangeInclusive<usize>,
    /// Whether it adds a bit to what was there before.
    refines: bool,
}

/// Checks one JPEG after the other. Allocates for progressive ones only.
#[derive(Debug, Clone)]
pub(crate) struct Checker {
    dc: [Codes; 4],
    ac: [Codes; 4],
    /// Which of both there are.
    given: [[bool; 4]; 2],
    quantization: [[u16; 64]; 4],
    /// Which values of a block are not zero; for progressive ones.
    nonzero: Vec<u64>,
    /// Where pictures of one camera follow each other.
    levels: Option<Levels>,
}

/// The brightness of the blocks of this picture and of the one before, in eighths of a grey level, by component.
#[derive(Debug, Clone, Default)]
struct Levels {
    now: [Vec<i32>; 4],
    before: [Vec<i32>; 4],
}

impl Levels {
    /// Whether from some block on to the end all blocks are brighter (or darker) than in the picture before by the same, and none before it. Light
    /// that is switched on does so to all of them, and what moves to some.
    fn leap(&self) -> bool {
        /// Eighths of a grey level that are seen.
        const SEEN: i64 = 48;
        /// Blocks on either side of it.
        const LEAST: usize = 8;
        self.now.iter().zip(&self.before).any(|(now, before)| {
            let count = now.len();
            if count != before.len() || count < 2 * LEAST {
                return false;
            }
            let change = |i: usize| i64::from(now[i]) - i64::from(before[i]);
            let total: i64 = (0..count).map(change).sum();
            // Where both sides differ most.
            let (mut sum, mut best) = (0i64, (0i128, LEAST, 0i64, 0i64));
            for i in 0..count - LEAST {
                sum += change(i);
                let (left, right) = (i + 1, count - i - 1);
                if left < LEAST {
                    continue;
                }
                // The difference of the means, squared and weighted, without a division.
                let apart = i128::from(sum) * right as i128 - i128::from(total - sum) * left as i128;
                let weight = apart * apart / (left as i128 * right as i128);
                if weight > best.0 {
                    best = (weight, left, sum / left as i64, (total - sum) / right as i64);
                }
            }
            let (_, at, left, right) = best;
            let leap = (right - left).abs();
            // Most blocks are as the others of their side, and the first side is as it was.
            let off = (0..count).filter(|i| (change(*i) - if *i < at { left } else { right }).abs() > leap / 4).count();
            leap >= SEEN && left.abs() < leap / 4 && off * 7 < count
        })
    }
}

impl Default for Checker {
    fn default() -> Self {
        Self {
            dc: [const { Codes::EMPTY }; 4],
            ac: [const { Codes::EMPTY }; 4],
            given: [[false; 4]; 2],
            quantization: [[1; 64]; 4],
            nonzero: Vec::new(),
            levels: None,
        }
    }
}

impl Checker {
    /// For the pictures of one camera, one after the other.
    pub fn following() -> Self {
        Self { levels: Some(Levels::default()), ..Self::default() }
    }

    /// Of a file that begins as a JPEG. Kinds that are not read anyway are not looked into.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn check(&mut self, data: &[u8]) -> Result<(), &'static str> {
        self.given = [[false; 4]; 2];
        if let Some(Levels { now, before }) = &mut self.levels {
            std::mem::swap(now, before);
            now.iter_mut().for_each(Vec::clear);
        }
        let (mut frame, mut restart, mut scans): (Option<Frame>, usize, usize) = (None, 0, 0);
        let mut at = 2;
        loop {
            if data.get(at..at + 2).is_none() {
                return Err("it ends in the middle: its end mark is missing");
            }
            if data[at] != 0xff {
                return Err("there are data between its parts that belong to none");
            }
            let marker = data[at + 1];
            match marker {
                0xff => {
                    at += 1;
                    continue;
                }
                0xd9 => {
                    let whole = frame.is_some_and(|f| f.components[..f.count].iter().all(|c| c.seen));
                    if !whole {
                        return Err("the data of its pixels are missing");
                    }
                    let leap = self.levels.as_ref().is_some_and(Levels::leap);
                    return if leap { Err(LEAP) } else { Ok(()) };
                }
                0x01 => {
                    at += 2;
                    continue;
                }
                0x00 | 0xd0..=0xd8 => return Err("it has a mark where none belongs"),
                _ => {}
            }
            let cut = "it ends in the middle: a part of its header is cut";
            let length = data.get(at + 2..at + 4).map(|l| usize::from(u16::from_be_bytes([l[0], l[1]]))).ok_or(cut)?;
            let segment = data.get(at + 4..at + 2 + length).filter(|_| length >= 2).ok_or(cut)?;
            at += 2 + length;
            match marker {
                0xc4 => self.codes(segment)?,
                0xdb => self.quantizers(segment)?,
                0xdd => {
                    let [high, low] = segment else { return Err("its restart interval is none") };
                    restart = usize::from(u16::from_be_bytes([*high, *low]));
                }
                0xc0..=0xc2 if frame.is_some() => return Err("it has two headers"),
                0xc0..=0xc2 => frame = Some(frame_of(marker == 0xc2, segment)?),
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return Ok(()),
                0xda => {
                    let frame = frame.as_mut().ok_or("the data of its pixels come before its header")?;
                    scans += 1;
                    if scans > MAX_SCANS {
                        return Err("it has too many scans");
                    }
                    if scans == 1 && frame.progressive {
                        let blocks = frame.components[..frame.count].iter().map(|c| c.blocks).sum();
                        self.nonzero.clear();
                        self.nonzero.resize(blocks, 0);
                    }
                    at = self.scan(frame, restart, segment, Bits::new(data, at))?;
                }
                _ => {}
            }
        }
    }

    fn codes(&mut self, mut segment: &[u8]) -> Result<(), &'static str> {
        let wrong = "its table of codes is none";
        while let Some((head, rest)) = segment.split_first() {
            let counts: &[u8; 16] = rest.first_chunk().ok_or(wrong)?;
            let total = counts.iter().map(|count| usize::from(*count)).sum::<usize>();
            let values = rest.get(16..16 + total).filter(|_| total <= 256).ok_or(wrong)?;
            let (class, place) = (usize::from(head >> 4), usize::from(head & 15));
            if class > 1 || place > 3 {
                return Err(wrong);
            }
            let table = if class == 0 { &mut self.dc[place] } else { &mut self.ac[place] };
            table.set(counts, values)?;
            self.given[class][place] = true;
            segment = &rest[16 + total..];
        }
        Ok(())
    }

    /// Cameras that send motion JPEG leave the usual tables of codes out.
    fn usual(&mut self, class: usize, place: usize) -> Result<(), &'static str> {
        if place < 2 && !self.given[class][place] {
            let (counts, values) = USUAL[class][place];
            let table = if class == 0 { &mut self.dc[place] } else { &mut self.ac[place] };
            table.set(counts, values)?;
            self.given[class][place] = true;
        }
        Ok(())
    }

    fn quantizers(&mut self, mut segment: &[u8]) -> Result<(), &'static str> {
        let wrong = "its table of steps is none";
        while let Some((head, rest)) = segment.split_first() {
            let (wide, place) = (usize::from(head >> 4), usize::from(head & 15));
            if wide > 1 || place > 3 || rest.len() < 64 << wide {
                return Err(wrong);
            }
            for (step, bytes) in self.quantization[place].iter_mut().zip(rest.chunks(1 + wide)) {
                *step = bytes.iter().fold(0, |step, byte| step << 8 | u16::from(*byte));
                if *step == 0 {
                    return Err(wrong);
                }
            }
            segment = &rest[64 << wide..];
        }
        Ok(())
    }

    /// Reads a scan through; where its data end.
    fn scan(
        &mut self,
        frame: &mut Frame,
        restart: usize,
        segment: &[u8],
        mut bits: Bits<'_>,
    ) -> Result<usize, &'static str> {
        let wrong = "the header of the data of its pixels is none";
        let count = usize::from(*segment.first().ok_or(wrong)?);
        let (chosen, rest) = segment[1..].split_at_checked(2 * count).ok_or(wrong)?;
        let [low, high, approximation] = *rest else { return Err(wrong) };
        if !(1..=4).contains(&count) {
            return Err(wrong);
        }
        let mut scanned = [Scanned::default(); 4];
        for (scanned, pair) in scanned.iter_mut().zip(chosen.chunks(2)) {
            let component = frame.components[..frame.count].iter().position(|c| c.id == pair[0]).ok_or(wrong)?;
            *scanned = Scanned { component, dc: usize::from(pair[1] >> 4), ac: usize::from(pair[1] & 15) };
            if scanned.dc > 3 || scanned.ac > 3 {
                return Err(wrong);
            }
        }
        let scanned = &scanned[..count];
        let part = if frame.progressive {
            let part = Part { band: usize::from(low)..=usize::from(high), refines: approximation >> 4 != 0 };
            if high > 63 || low > high || (low == 0) != (high == 0) || (low > 0 && count > 1) {
                return Err(wrong);
            }
            Some(part)
        } else {
            None
        };
        for s in scanned {
            let component = &mut frame.components[s.component];
            component.seen |= part.as_ref().is_none_or(|part| *part.band.start() == 0);
            component.brightness = 0;
        }
        let (dc, ac) = match &part {
            None => (true, true),
            Some(part) => (*part.band.start() == 0 && !part.refines, *part.band.start() > 0),
        };
        for s in scanned {
            if dc {
                self.usual(0, s.dc)?;
            }
            if ac {
                self.usual(1, s.ac)?;
            }
        }
        if scanned.iter().any(|s| dc && !self.given[0][s.dc] || ac && !self.given[1][s.ac]) {
            // Which tables it means is not known: then only the marks are looked at.
            bits.skip();
            return Ok(bits.at);
        }
        let alone = count == 1;
        let mcus = if alone { frame.components[scanned[0].component].blocks } else { frame.mcus };
        let mut run = 0u32;
        for mcu in 0..mcus {
            if restart > 0 && mcu > 0 && mcu.is_multiple_of(restart) {
                bits.restart((mcu / restart - 1) as u8)?;
                for s in scanned {
                    frame.components[s.component].brightness = 0;
                }
                if run > 0 {
                    return Err(BEYOND_BLOCK);
                }
            }
            for s in scanned {
                let component = &mut frame.components[s.component];
                match &part {
                    None => {
                        let blocks = if alone { 1 } else { component.across * component.down };
                        let steps = &self.quantization[component.quantization];
                        for _ in 0..blocks {
                            block(&mut bits, &self.dc[s.dc], &self.ac[s.ac], steps, &mut component.brightness)?;
                        }
                        if let Some(levels) = &mut self.levels {
                            levels.now[s.component].push(component.brightness * i32::from(steps[0]));
                        }
                    }
                    Some(part) if *part.band.start() == 0 => {
                        let blocks = if alone { 1 } else { component.across * component.down };
                        for _ in 0..blocks {
                            if part.refines {
                                bits.bits(1)?;
                            } else {
                                let size = bits.code(&self.dc[s.dc])?;
                                if size > 11 {
                                    return Err(NO_CODE);
                                }
                                bits.bits(size.into())?;
                            }
                        }
                    }
                    Some(part) => {
                        let nonzero = self.nonzero.get_mut(component.first + mcu).ok_or(wrong)?;
                        let codes = &self.ac[s.ac];
                        if part.refines {
                            refine(&mut bits, codes, &part.band, nonzero, &mut run)?;
                        } else {
                            first(&mut bits, codes, &part.band, nonzero, &mut run)?;
                        }
                    }
                }
            }
        }
        if run > 0 {
            return Err(LEFT_OVER);
        }
        bits.end()?;
        Ok(bits.at)
    }
}

/// The header of a picture.
fn frame_of(progressive: bool, segment: &[u8]) -> Result<Frame, &'static str> {
    let wrong = "its header is none";
    let [8, h1, h0, w1, w0, count, rest @ ..] = segment else {
        return Err(if segment.first() == Some(&8) { wrong } else { "its values are not of 8 bits" });
    };
    let (height, width) = (usize::from(u16::from_be_bytes([*h1, *h0])), usize::from(u16::from_be_bytes([*w1, *w0])));
    let count = usize::from(*count);
    if width == 0 || height == 0 || !(1..=4).contains(&count) || rest.len() != 3 * count {
        return Err(wrong);
    }
    let mut components = [Component::default(); 4];
    for (component, bytes) in components.iter_mut().zip(rest.chunks(3)) {
        let (across, down) = (usize::from(bytes[1] >> 4), usize::from(bytes[1] & 15));
        if !(1..=4).contains(&across) || !(1..=4).contains(&down) || bytes[2] > 3 {
            return Err(wrong);
        }
        *component =
            Component { id: bytes[0], across, down, quantization: usize::from(bytes[2]), ..Component::default() };
    }
    let most = |of: fn(&Component) -> usize| components[..count].iter().map(of).max().unwrap_or(1);
    let (across, down) = (most(|c| c.across), most(|c| c.down));
    let mut first = 0;
    for component in &mut components[..count] {
        let wide = (width * component.across).div_ceil(across).div_ceil(8);
        let high = (height * component.down).div_ceil(down).div_ceil(8);
        (component.blocks, component.first) = (wide * high, first);
        first += component.blocks;
    }
    let mcus = width.div_ceil(8 * across) * height.div_ceil(8 * down);
    Ok(Frame { progressive, components, count, mcus })
}

/// A block of a picture that is not progressive.
#[inline(always)]
fn block(
    bits: &mut Bits<'_>,
    dc: &Codes,
    ac: &Codes,
    steps: &[u16; 64],
    brightness: &mut i32,
) -> Result<(), &'static str> {
    let size = bits.code(dc)?;
    if size > 11 {
        return Err(NO_CODE);
    }
    *brightness += bits.value(size.into())?;
    // The squares of the values and of their steps, without the brightness.
    let (mut energy, mut rounding) = (0.0f32, 0.0f32);
    let mut k = 1;
    while k < 64 {
        let code = bits.code(ac)?;
        let (run, size) = (usize::from(code >> 4), u32::from(code & 15));
        if size == 0 {
            if run != 15 {
                break;
            }
            k += 16;
            // Zeros to the very end are told otherwise.
            if k > 63 {
                return Err(BEYOND_BLOCK);
            }
            continue;
        }
        k += run;
        if k > 63 {
            return Err(BEYOND_BLOCK);
        }
        let step = f32::from(steps[k]);
        let value = bits.value(size)? as f32 * step;
        energy += value * value;
        rounding += step * step;
        k += 1;
    }
    if possible(*brightness, steps[0], energy, rounding) { Ok(()) } else { Err(NO_PICTURE) }
}

/// Whether bytes can make a block with this brightness and the energy of its other values.
///
/// The transform keeps the sum of squares, and a block's brightness is eight times its mean. Numbers from -128 to 127 whose mean is m have a
/// variance of at most (127 - m)(m + 128): bright and dark blocks have little else. Rounding to steps moves each value by at most half a step;
/// more is left for what encoders do at the ends of the range.
#[inline(always)]
fn possible(brightness: i32, step: u16, energy: f32, rounding: f32) -> bool {
    let (mean, room) = (brightness as f32 * f32::from(step), f32::from(step) + 16.0);
    let (below, above) = (mean + 1024.0 + room, 1016.0 + room - mean);
    if below < 0.0 || above < 0.0 {
        return false;
    }
    let most = below * above;
    energy <= most || energy.sqrt() <= most.sqrt() + rounding.sqrt() + 16.0
}

/// The first bits of a block's values in a progressive picture. `run`: blocks that follow without any.
fn first(
    bits: &mut Bits<'_>,
    codes: &Codes,
    band: &RangeInclusive<usize>,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), &'static str> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut k = *band.start();
    while k <= *band.end() {
        let code = bits.code(codes)?;
        let (zeros, size) = (u32::from(code >> 4), u32::from(code & 15));
        if size == 0 && zeros < 15 {
            *run = (1 << zeros) - 1 + bits.bits(zeros)?;
            break;
        }
        k += zeros as usize;
        if k > *band.end() {
            return Err(BEYOND_BLOCK);
        }
        if size > 0 {
            bits.bits(size)?;
            *nonzero |= 1 << k;
        }
        k += 1;
    }
    Ok(())
}

/// One more bit of a block's values in a progressive picture.
fn refine(
    bits: &mut Bits<'_>,
    codes: &Codes,
    band: &RangeInclusive<usize>,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), &'static str> {
    let mut k = *band.start();
    while *run == 0 && k <= *band.end() {
        let code = bits.code(codes)?;
        let (mut zeros, size) = (u32::from(code >> 4), code & 15);
        if size > 1 {
            return Err(NO_CODE);
        }
        if size == 0 && zeros < 15 {
            *run = (1 << zeros) + bits.bits(zeros)?;
            break;
        }
        if size == 1 {
            bits.bits(1)?;
        }
        // Those that were there have a bit each; between them zeros are counted.
        loop {
            if k > *band.end() {
                return Err(BEYOND_BLOCK);
            }
            if *nonzero >> k & 1 == 1 {
                bits.bits(1)?;
            } else if zeros == 0 {
                *nonzero |= u64::from(size) << k;
                k += 1;
                break;
            } else {
                zeros -= 1;
            }
            k += 1;
        }
    }
    if *run > 0 {
        for k in k..=*band.end() {
            if *nonzero >> k & 1 == 1 {
                bits.bits(1)?;
            }
        }
        *run -= 1;
    }
    Ok(())
}
