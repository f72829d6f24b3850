//! Messages as they travel and lie in bags: CDR.

use efm_core::{ActionChunk, JointNames, Trajectory};
use efm_wire::cdr::{CdrReader, CdrWriter, Decode, Encode};

/// The first byte says what the rest is read as. What could be read is written the same again.
pub fn messages(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 3 {
        0 => {
            let Some(trajectory) = read::<Trajectory>(bytes) else { return };
            again(&trajectory);
            chunk(&trajectory);
        }
        1 => {
            let Some(state) = read::<efm_wire::msgs::JointState>(bytes) else { return };
            again(&state);
            if let Ok(names) = JointNames::new(state.name.clone())
                && let Ok(sample) = state.pick(&names)
            {
                assert!(sample.positions.iter().chain(&sample.velocities).all(|v| v.is_finite()));
            }
        }
        _ => {
            let _ = read::<efm_wire::msgs::Image>(bytes);
        }
    }
}

fn read<'a, M: Decode<'a>>(bytes: &'a [u8]) -> Option<M> {
    M::decode(&mut CdrReader::new(bytes, "a message").ok()?).ok()
}

fn again<M: Encode + for<'b> Decode<'b>>(message: &M) {
    let mut first = CdrWriter::new();
    message.encode(&mut first);
    let read = read::<M>(first.bytes()).expect("what was written can be read");
    let mut second = CdrWriter::new();
    read.encode(&mut second);
    assert_eq!(first.bytes(), second.bytes());
}

/// As a node takes it: names, then rows.
fn chunk(trajectory: &Trajectory) {
    let Ok(names) = JointNames::new(trajectory.joint_names.clone()) else { return };
    let step = trajectory.points.first().map_or(0.0, |p| p.time_from_start as f64 * 1e-9);
    let values: Vec<f64> = trajectory.points.iter().flat_map(|p| p.positions.iter().copied()).collect();
    if let Ok(chunk) = ActionChunk::new(trajectory.stamp, step, names, values) {
        assert!(chunk.positions().iter().all(|v| v.is_finite()) && chunk.horizon() > 0);
        let _ = chunk.ends_at();
    }
}
