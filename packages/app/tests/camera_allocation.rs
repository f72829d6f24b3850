//! A camera's picture of any format becomes the policy's in one pass: after the first one nothing is allocated, and the whole picture in red,
//! green and blue is never there. Only this thread's allocations are counted.
#![allow(clippy::unwrap_used)]

use efm_app::camera::{CameraStream, Picture};
use efm_core::Stamp;
use efm_core::freshness::FreshnessBounds;
use efm_vision::formats::may_be;
use efm_vision::{Formats, ResizeMode};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// How many, and how many bytes.
fn allocations() -> (usize, usize) {
    ALLOCATIONS.with(Cell::get)
}

fn count(bytes: usize) {
    ALLOCATIONS.with(|count| count.set((count.get().0 + 1, count.get().1 + bytes)));
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BOUNDS: FreshnessBounds = FreshnessBounds { max_silence: 1.0, max_age: 1.0, max_future: 0.05 };
const NOW: Stamp = Stamp::from_nanos(5_000_000_000);

#[test]
fn pictures_of_every_format_allocate_nothing_after_the_first_ones_and_little_before() {
    let (width, height) = (640u32, 480u32);
    for format in Formats::new().iter() {
        for (target, mode) in
            [((224, 224), ResizeMode::Pad), ((160, 120), ResizeMode::Stretch), ((640, 480), ResizeMode::Stretch)]
        {
            let encoding = format.names()[0];
            let step = u32::try_from(format.row_bytes(width)).unwrap();
            let data: Vec<u8> = (0..u64::from(step) * format.byte_rows(height)).map(|i| (i * 7 % 251) as u8).collect();
            let mut stream = CameraStream::new("front", target.0, target.1, mode, BOUNDS).unwrap().with_grey(true);
            if may_be(encoding).contains(&encoding) {
                stream = stream.with_formats(Formats::new().read_as(encoding, encoding).unwrap());
            }
            let picture = Picture::Raw { encoding, width, height, step, big_endian: false, data: &data };
            let mut out = Vec::new();
            let before = allocations();
            for _ in 0..8 {
                stream.process(NOW, NOW, picture, &mut out).unwrap();
            }
            let what = format!("{encoding} to {target:?}");
            let warm = allocations();
            let bytes = warm.1 - before.1;
            // The result, and some rows.
            assert!(bytes < out.len() + 160_000, "{what}: {bytes} bytes");
            for _ in 0..20 {
                stream.process(NOW, NOW, picture, &mut out).unwrap();
            }
            assert_eq!(allocations(), warm, "{what}");
        }
    }
}
