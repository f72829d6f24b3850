//! CDR that knows which message it is: whoever publishes it cannot send it as another one.

use crate::cdr::{CdrWriter, Encode, RosType};
use efm_core::{Stamp, Trajectory};
use std::marker::PhantomData;

/// A whole message of type `T` as CDR, with its encapsulation header. Made of nothing but what writes a `T`; can be written again and again, so that a
/// stream of messages costs no allocation.
#[derive(Debug)]
pub struct CdrOf<T> {
    out: CdrWriter,
    of: PhantomData<fn(T)>,
}

impl<T: Encode + Default> CdrOf<T> {
    /// The message without values.
    pub fn new() -> Self {
        Self::from(&T::default())
    }
}

impl<T: Encode + Default> Default for CdrOf<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Encode> From<&T> for CdrOf<T> {
    fn from(message: &T) -> Self {
        let mut cdr = Self { out: CdrWriter::new(), of: PhantomData };
        cdr.write(message);
        cdr
    }
}

impl<T: Encode> CdrOf<T> {
    /// Holds this message from now on. The memory is kept.
    pub fn write(&mut self, message: &T) {
        self.out.restart();
        message.encode(&mut self.out);
    }
}

impl<T: RosType> CdrOf<T> {
    /// Its ROS type, as `package/msg/Type`.
    pub const TYPE: &'static str = T::TYPE;

    /// The bytes, header included.
    pub fn bytes(&self) -> &[u8] {
        self.out.bytes()
    }
}

/// One point of a trajectory, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PointView<'a> {
    /// Radians or metres.
    pub positions: &'a [f64],
    /// rad/s or m/s.
    pub velocities: &'a [f64],
    /// From the trajectory's stamp, ns.
    pub time_from_start: i64,
}

impl CdrOf<Trajectory> {
    /// Holds a trajectory of these joints without points from now on; [`Points::push`] adds them. So none has to be put together first.
    pub fn begin(&mut self, stamp: Stamp, joints: &[String]) -> Points<'_> {
        self.out.restart();
        self.out.stamp(stamp);
        self.out.string("");
        self.out.strings(joints);
        let at = self.out.count_later();
        Points { out: &mut self.out, at, points: 0 }
    }
}

/// A trajectory that is being written. After each point it is a whole message.
#[derive(Debug)]
pub struct Points<'a> {
    out: &'a mut CdrWriter,
    /// Where their number stands.
    at: usize,
    points: u32,
}

impl Points<'_> {
    /// Adds a point, without accelerations and efforts.
    pub fn push(&mut self, point: PointView<'_>) {
        self.out.f64_sequence(point.positions);
        self.out.f64_sequence(point.velocities);
        self.out.count(0);
        self.out.count(0);
        // A builtin_interfaces/Duration lies as a Time does.
        self.out.stamp(Stamp::from_nanos(point.time_from_start));
        self.points += 1;
        self.out.set_count(self.at, self.points);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cdr::Decode;
    use crate::msgs::{Image, JointState, StringMsg};
    use efm_core::TrajectoryPoint;

    fn trajectory(points: usize) -> Trajectory {
        let point = |k: usize| TrajectoryPoint {
            positions: vec![k as f64, -1.0],
            velocities: vec![0.5, 0.25],
            time_from_start: 20_000_000 * (k as i64 + 1),
            ..TrajectoryPoint::default()
        };
        Trajectory {
            stamp: Stamp::from_nanos(12_000_000_345),
            joint_names: vec!["a".into(), "long_name".into()],
            points: (0..points).map(point).collect(),
            ..Trajectory::default()
        }
    }

    #[test]
    fn points_that_are_pushed_are_written_as_those_of_a_whole_message() {
        let mut cdr = CdrOf::new();
        for points in [3, 0, 1, 50] {
            let wanted = trajectory(points);
            let mut out = cdr.begin(wanted.stamp, &wanted.joint_names);
            for point in &wanted.points {
                out.push(PointView {
                    positions: &point.positions,
                    velocities: &point.velocities,
                    time_from_start: point.time_from_start,
                });
            }
            assert_eq!(cdr.bytes(), wanted.to_cdr(), "{points}");
        }
    }

    #[test]
    fn a_trajectory_is_whole_after_each_point() {
        let wanted = trajectory(2);
        let mut cdr = CdrOf::new();
        let mut out = cdr.begin(wanted.stamp, &wanted.joint_names);
        let point = &wanted.points[0];
        out.push(PointView {
            positions: &point.positions,
            velocities: &point.velocities,
            time_from_start: point.time_from_start,
        });
        let read = Trajectory::from_cdr(cdr.bytes()).unwrap();
        assert_eq!(read.points, wanted.points[..1]);
    }

    #[test]
    fn what_was_written_is_read_back_and_its_memory_is_used_again() {
        let state = JointState { name: vec!["a".into()], position: vec![0.5], ..JointState::default() };
        let mut cdr = CdrOf::from(&state);
        let place = cdr.bytes().as_ptr();
        for _ in 0..3 {
            cdr.write(&state);
            assert_eq!(JointState::from_cdr(cdr.bytes()).unwrap(), state);
        }
        assert_eq!(cdr.bytes().as_ptr(), place);
    }

    #[test]
    fn it_knows_its_type_and_is_a_message_from_the_start() {
        assert_eq!(CdrOf::<Trajectory>::TYPE, "trajectory_msgs/msg/JointTrajectory");
        assert_eq!(CdrOf::<StringMsg>::new().bytes(), StringMsg::default().to_cdr());
        assert_eq!(CdrOf::<Image>::new().bytes(), Image::default().to_cdr());
    }
}
