//! Brightness and two colour differences, of which two or four pixels share a pair.
//!
//! Which matrix and which range they are in is not in the message: it is BT.601 with limited range (16 to 235), as OpenCV reads them and so
//! cv_bridge, in OpenCV's own fixed-point numbers. A pair of colour differences is that of all its pixels: nothing is interpolated.

use super::{Kind, PixelFormat};
use crate::ImageView;
use std::ops::Range;

/// Four bytes for two pixels of a row.
#[derive(Debug)]
pub struct Packed {
    names: &'static [&'static str],
    /// Which of the four bytes are Y of the left pixel, Y of the right one, U and V.
    order: [usize; 4],
}

/// A plane of Y, then one of pairs of U and V with half as many rows.
#[derive(Debug)]
pub struct TwoPlanes {
    names: &'static [&'static str],
    /// Which of a pair are U and V.
    order: [usize; 2],
}

/// U, Y, V, Y. `yuv422` is ROS's older name.
static UYVY: Packed = Packed { names: &["uyvy", "yuv422"], order: [1, 3, 0, 2] };
/// Y, U, Y, V: what most USB cameras send. `yuv422_yuy2` is ROS's older name, and usb_cam's.
static YUYV: Packed = Packed { names: &["yuyv", "yuv422_yuy2"], order: [0, 2, 1, 3] };
/// U before V.
static NV12: TwoPlanes = TwoPlanes { names: &["nv12"], order: [0, 1] };
/// V before U.
static NV21: TwoPlanes = TwoPlanes { names: &["nv21"], order: [1, 0] };

pub(super) const KIND: Kind = Kind {
    formats: &[&UYVY, &YUYV, &NV12, &NV21],
    unread: |name| {
        // ROS gives nv24 rows of twice the width and no room for its colours, and OpenCV has no conversion of it.
        let yuv = ["yuv", "nv", "yvy", "i420", "yv12"].iter().any(|prefix| name.starts_with(prefix));
        yuv.then_some("YUV of another layout: let the camera driver send rgb8 or one of those that are read")
    },
    may_be: |name| if name == "8UC2" { &["yuyv", "uyvy"] } else { &[] },
};

/// BT.601 as OpenCV computes it.
#[derive(Clone, Copy)]
struct Colour {
    red: i32,
    green: i32,
    blue: i32,
}

const SHIFT: u32 = 20;

impl Colour {
    #[inline(always)]
    fn of(u: u8, v: u8) -> Self {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let half = 1 << (SHIFT - 1);
        Self { red: half + 1_673_527 * v, green: half - 852_492 * v - 409_993 * u, blue: half + 2_116_026 * u }
    }

    #[inline(always)]
    fn with(self, y: u8) -> [u8; 3] {
        let y = (i32::from(y) - 16).max(0) * 1_220_542;
        [self.red, self.green, self.blue].map(|channel| ((y + channel) >> SHIFT).clamp(0, 255) as u8)
    }
}

impl PixelFormat for Packed {
    fn names(&self) -> &'static [&'static str] {
        self.names
    }

    fn row_bytes(&self, width: u32) -> u64 {
        u64::from(width) * 2
    }

    fn check(&self, width: u32, _: u32) -> Result<(), &'static str> {
        if width.is_multiple_of(2) { Ok(()) } else { Err("its width must be even, as two pixels share their colour") }
    }

    fn rgb_rows(&self, image: &ImageView<'_>, rows: Range<u32>, out: &mut [u8]) {
        let [left, right, u, v] = self.order;
        for (y, out) in rows.zip(out.chunks_exact_mut(image.width() as usize * 3)) {
            for (out, four) in out.as_chunks_mut::<6>().0.iter_mut().zip(image.row(y).as_chunks::<4>().0) {
                let colour = Colour::of(four[u], four[v]);
                let ([a, b, c], [d, e, f]) = (colour.with(four[left]), colour.with(four[right]));
                *out = [a, b, c, d, e, f];
            }
        }
    }
}

impl PixelFormat for TwoPlanes {
    fn names(&self) -> &'static [&'static str] {
        self.names
    }

    fn row_bytes(&self, width: u32) -> u64 {
        u64::from(width)
    }

    fn byte_rows(&self, height: u32) -> u64 {
        u64::from(height) + u64::from(height / 2)
    }

    fn check(&self, width: u32, height: u32) -> Result<(), &'static str> {
        let even = width.is_multiple_of(2) && height.is_multiple_of(2);
        if even { Ok(()) } else { Err("its width and height must be even, as four pixels share their colour") }
    }

    fn rgb_rows(&self, image: &ImageView<'_>, rows: Range<u32>, out: &mut [u8]) {
        let [u, v] = self.order;
        for (y, out) in rows.zip(out.chunks_exact_mut(image.width() as usize * 3)) {
            let (grey, pairs) = (image.row(y), image.row(image.height() + y / 2));
            let two = grey.as_chunks::<2>().0.iter().zip(pairs.as_chunks::<2>().0);
            for (out, (grey, pair)) in out.as_chunks_mut::<6>().0.iter_mut().zip(two) {
                let colour = Colour::of(pair[u], pair[v]);
                let ([a, b, c], [d, e, f]) = (colour.with(grey[0]), colour.with(grey[1]));
                *out = [a, b, c, d, e, f];
            }
        }
    }
}
