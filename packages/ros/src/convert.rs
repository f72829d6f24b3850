//! Between ROS messages and the plain types of [`efm_core`].

use efm_core::{
    ActionChunk, JointNames, JointSample, JointSampleError, Stamp, Trajectory, TrajectoryChunkError, TrajectoryPoint,
};
use r2r::builtin_interfaces::msg::{Duration as DurationMsg, Time};
use r2r::sensor_msgs::msg::JointState;
use r2r::std_msgs::msg::Header;
use r2r::trajectory_msgs::msg::{JointTrajectory, JointTrajectoryPoint};

/// The stamp of a message.
pub fn stamp(time: &Time) -> Stamp {
    Stamp::from_sec_nanosec(time.sec, time.nanosec)
}

/// A stamp as a message carries it; saturates outside of its range.
pub fn time(stamp: Stamp) -> Time {
    let (sec, nanosec) = stamp.to_sec_nanosec();
    Time { sec, nanosec }
}

/// A header.
pub fn header(stamp: Stamp, frame_id: &str) -> Header {
    Header { stamp: time(stamp), frame_id: frame_id.to_owned() }
}

/// Nanoseconds of a duration message.
pub fn duration_nanos(duration: &DurationMsg) -> i64 {
    Stamp::from_sec_nanosec(duration.sec, duration.nanosec).nanos()
}

/// A duration message; saturates outside of its range.
pub fn duration(nanos: i64) -> DurationMsg {
    let (sec, nanosec) = Stamp::from_nanos(nanos).to_sec_nanosec();
    DurationMsg { sec, nanosec }
}

/// A trajectory message as a plain trajectory. Promises nothing about its content.
pub fn trajectory(msg: JointTrajectory) -> Trajectory {
    Trajectory {
        stamp: stamp(&msg.header.stamp),
        frame_id: msg.header.frame_id,
        joint_names: msg.joint_names,
        points: msg
            .points
            .into_iter()
            .map(|point| TrajectoryPoint {
                positions: point.positions,
                velocities: point.velocities,
                accelerations: point.accelerations,
                effort: point.effort,
                time_from_start: duration_nanos(&point.time_from_start),
            })
            .collect(),
    }
}

/// A plain trajectory as a message.
pub fn trajectory_msg(trajectory: &Trajectory) -> JointTrajectory {
    let mut msg = JointTrajectory::default();
    write_trajectory(trajectory, &mut msg);
    msg
}

/// As [`trajectory_msg`], into a message that is used again and again: once it has its size, nothing is allocated.
pub fn write_trajectory(trajectory: &Trajectory, msg: &mut JointTrajectory) {
    msg.header.stamp = time(trajectory.stamp);
    msg.header.frame_id.clone_from(&trajectory.frame_id);
    msg.joint_names.clone_from(&trajectory.joint_names);
    msg.points.resize_with(trajectory.points.len(), JointTrajectoryPoint::default);
    for (to, from) in msg.points.iter_mut().zip(&trajectory.points) {
        to.positions.clone_from(&from.positions);
        to.velocities.clone_from(&from.velocities);
        to.accelerations.clone_from(&from.accelerations);
        to.effort.clone_from(&from.effort);
        to.time_from_start = duration(from.time_from_start);
    }
}

/// Picks the wanted joints out of a joint state message.
///
/// # Errors
/// When a wanted joint is missing, sizes disagree, or a wanted value is not finite.
pub fn joint_sample(wanted: &JointNames, msg: &JointState) -> Result<JointSample, JointSampleError> {
    JointSample::pick(wanted, stamp(&msg.header.stamp), &msg.name, &msg.position, &msg.velocity)
}

/// Reads an action chunk from its message, see [`ActionChunk::from_trajectory`].
///
/// # Errors
/// When names, sizes, spacing or values are not those of a chunk.
pub fn chunk(msg: JointTrajectory) -> Result<ActionChunk, TrajectoryChunkError> {
    ActionChunk::from_trajectory(&trajectory(msg))
}

/// An action chunk as its message. `frame_id` is that of the observation.
pub fn chunk_msg(chunk: &ActionChunk, frame_id: &str) -> JointTrajectory {
    trajectory_msg(&chunk.to_trajectory(frame_id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_core::ChunkError;
    use proptest::prelude::*;

    fn sample_chunk() -> ActionChunk {
        let joints = JointNames::new(["a", "b"]).unwrap();
        ActionChunk::new(Stamp::from_nanos(1_234_567_890), 0.1, joints, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap()
    }

    #[test]
    fn a_chunk_survives_its_message() {
        let msg = chunk_msg(&sample_chunk(), "camera");
        assert_eq!(msg.header.frame_id, "camera");
        assert_eq!(chunk(msg.clone()), Ok(sample_chunk()));
    }

    #[test]
    fn a_malformed_chunk_message_is_refused_by_point() {
        let good = chunk_msg(&sample_chunk(), "");
        let mut late = good.clone();
        late.points[2].time_from_start = duration(310_000_000);
        assert!(chunk(late.clone()).unwrap_err().to_string().contains("point 2"), "{:?}", chunk(late.clone()));
        let mut narrow = good.clone();
        narrow.points[1].positions.pop();
        assert_eq!(chunk(narrow), Err(TrajectoryChunkError::Width { point: 1, positions: 1, joints: 2 }));
        let mut nan = good.clone();
        nan.points[0].positions[1] = f64::NAN;
        assert!(matches!(chunk(nan), Err(TrajectoryChunkError::Chunk(ChunkError::NotFinite { step: 0, .. }))));
        let mut unnamed = good.clone();
        unnamed.joint_names[0].clear();
        assert!(matches!(chunk(unnamed), Err(TrajectoryChunkError::Names(_))));
        let mut empty = good;
        empty.points.clear();
        assert_eq!(chunk(empty), Err(TrajectoryChunkError::Chunk(ChunkError::Empty)));
    }

    proptest! {
        #[test]
        fn any_trajectory_survives_its_message(
            stamp in 0..i64::from(i32::MAX) * 1_000_000_000,
            times in prop::collection::vec(0i64..10_000_000_000, 0..5),
            value in any::<f64>().prop_filter("comparable", |v| !v.is_nan()),
        ) {
            let plain = Trajectory {
                stamp: Stamp::from_nanos(stamp),
                frame_id: "base".into(),
                joint_names: vec!["a".into()],
                points: times.iter().map(|&time_from_start| TrajectoryPoint {
                    positions: vec![value], velocities: vec![-value], time_from_start, ..Default::default()
                }).collect(),
            };
            // Into a message that held something longer before.
            let mut msg = trajectory_msg(&Trajectory { points: vec![TrajectoryPoint::default(); 9], ..Default::default() });
            write_trajectory(&plain, &mut msg);
            prop_assert_eq!(trajectory(msg), plain);
        }

        #[test]
        fn whatever_a_chunk_message_holds_reading_it_does_not_panic(
            sec in any::<i32>(), nanosec in any::<u32>(), n in 0usize..4, value in any::<f64>(),
        ) {
            let mut msg = chunk_msg(&sample_chunk(), "");
            for point in &mut msg.points {
                point.time_from_start = DurationMsg { sec, nanosec };
                point.positions = vec![value; n];
            }
            let _ = chunk(msg.clone());
        }
    }
}
