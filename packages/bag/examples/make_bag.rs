//! Writes a bag with one topic of every type that the crate knows, for trying other readers on it:
//! `cargo run -p efm_bag --example make_bag -- FOLDER [FRAMES WIDTH HEIGHT LEVEL]`. Prints time and size; level 0 is none.

use efm_bag::msgs::*;
use efm_bag::{BagOptions, BagReader, BagWriter, Compression};
use efm_core::{Stamp, Trajectory, TrajectoryPoint};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let dir = args.first().ok_or("give a folder")?;
    let number = |i: usize, default: u32| args.get(i).map_or(Ok(default), |a| a.parse());
    let (frames, width, height, level) = (number(1, 100)?, number(2, 96)?, number(3, 72)?, number(4, 1)?);
    let compression = if level == 0 { Compression::None } else { Compression::Zstd(level) };
    let joints: Vec<String> = (1..=7).map(|i| format!("panda_joint{i}")).collect();
    let start = Stamp::from_sec_nanosec(1_700_000_000, 0);

    // A gradient with a moving square and a little sensor noise: neither trivial nor impossible to compress.
    let mut noise = 1_u32;
    let mut pixels = vec![0_u8; (width * height * 3) as usize];
    let began = Instant::now();
    let mut drawing = std::time::Duration::ZERO;
    let mut bag = BagWriter::create(dir, BagOptions { compression, ..BagOptions::default() })?;
    bag.write("instruction", &StringMsg::new("put the red cube left"), start)?;
    for frame in 0..frames {
        let t = start.offset_nanos(i64::from(frame) * 100_000_000);
        let draw = Instant::now();
        for (i, pixel) in pixels.chunks_exact_mut(3).enumerate() {
            let (x, y) = (i as u32 % width, i as u32 / width);
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let square = (x + width - frame % width) % width < width / 8 && y > height / 2;
            let grain = (noise >> 31) as u8;
            pixel.copy_from_slice(&[
                if square { 200 } else { 90 } + grain,
                (x * 255 / width) as u8,
                (y * 255 / height) as u8,
            ]);
        }
        drawing += draw.elapsed();
        let header = Header::new(t, "front_optical");
        bag.write("observation/front/image", &ImageView::rgb8(t, "front_optical", width, height, &pixels), t)?;
        for k in 0..10 {
            let t = t.offset_nanos(k * 10_000_000);
            let message = JointState {
                header: Header::new(t, ""),
                name: joints.clone(),
                position: vec![0.1 * f64::from(frame); 7],
                velocity: vec![0.5; 7],
                effort: vec![],
            };
            bag.write("joint_states", &message, t)?;
        }
        let points = (1..=16)
            .map(|k| TrajectoryPoint {
                positions: vec![0.01 * k as f64; 7],
                time_from_start: k * 100_000_000,
                ..Default::default()
            })
            .collect();
        let chunk = Trajectory { stamp: t, frame_id: String::new(), joint_names: joints.clone(), points };
        bag.write("action_chunk", &chunk, t)?;
        bag.write(
            "front/camera_info",
            &CameraInfo::pinhole(header.clone(), width, height, [90.0; 2], [48.0, 36.0]),
            t,
        )?;
        bag.write(
            "front/compressed",
            &CompressedImage { header: header.clone(), format: "jpeg".into(), data: vec![1, 2, 3] },
            t,
        )?;
        bag.write("/clock", &Clock { clock: t }, t)?;
        let status = DiagnosticStatus {
            name: "make_bag: frames".into(),
            values: vec![("frame".into(), frame.to_string())],
            ..Default::default()
        };
        bag.write("/diagnostics", &DiagnosticArray { header, status: vec![status] }, t)?;
    }
    let summary = bag.finish()?;
    let wrote = began.elapsed() - drawing;

    let began = Instant::now();
    let mut read = 0_u64;
    for message in BagReader::open(dir)? {
        let message = message?;
        if message.topic_is("observation/front/image") {
            read += message.decode::<ImageView>()?.data.len() as u64;
        }
    }
    println!(
        "{} messages, {} bytes ({} image bytes); written in {:.1} ms, read in {:.1} ms",
        summary.messages,
        summary.bytes,
        read,
        wrote.as_secs_f64() * 1e3,
        began.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}
