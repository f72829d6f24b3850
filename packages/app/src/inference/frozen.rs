//! Cameras that show the same picture to the bit while the measured joints move.
//!
//! A camera that hangs may go on sending its last picture under new stamps. Noise makes each picture of a real camera another one; one without
//! noise, as a simulator's, repeats itself while nothing moves. So a picture that stays is no trouble by itself, and nothing is wrong at rest: what
//! is wrong is a picture that stays while joints move by more than can go unseen.

use efm_core::{JointNames, Stamp};

/// What to do about a frozen camera.
pub const REVIVE: &str = "start the camera anew; where it has no noise and does not see the arm, raise the parameter 'max_unseen_motion' (0: any)";

/// So long after its first stamp a picture that stays may show joints of another time, s: those come on a way of their own, late or early, and in
/// between the arm may have been set elsewhere (a simulator that is reset). What was measured then is no place to count motion from.
const UNSURE: f64 = 0.1;

/// A picture that stays.
#[derive(Debug, Clone)]
struct Same {
    crc: u32,
    /// Of the first and of the newest that shows it.
    since: Stamp,
    newest: Stamp,
    /// Joints when it had stayed for [`UNSURE`].
    joints: Option<Vec<f64>>,
    trouble: Option<String>,
}

/// What the cameras showed.
#[derive(Debug, Clone)]
pub struct FrozenCameras {
    /// Motion of a joint that may go unseen, rad or m; none: any.
    most: Option<f64>,
    names: JointNames,
    cameras: Vec<Option<Same>>,
}

impl FrozenCameras {
    /// For so many cameras and the joints of these names. `most`: how far one of them may move, in rad or m, while a picture stays the same to
    /// the bit; 0: as far as it likes.
    pub fn new(cameras: usize, names: JointNames, most: f64) -> Self {
        Self { most: (most > 0.0).then_some(most), names, cameras: vec![None; cameras] }
    }

    /// Whether there is something to look for.
    pub fn looks(&self) -> bool {
        self.most.is_some()
    }

    /// Whether a picture of this stamp was seen already.
    pub fn knows(&self, camera: usize, stamp: Stamp) -> bool {
        self.cameras.get(camera).and_then(Option::as_ref).is_some_and(|same| same.newest == stamp)
    }

    /// A camera's picture of this stamp, by its CRC-32, and the joints at its time as far as they are known.
    pub fn see(&mut self, camera: usize, stamp: Stamp, crc: u32, joints: Option<&[f64]>) {
        let (Some(most), Some(slot)) = (self.most, self.cameras.get_mut(camera)) else { return };
        let goes_on = |same: &&mut Same| same.crc == crc && stamp >= same.newest;
        let Some(same) = slot.as_mut().filter(goes_on) else {
            *slot = Some(Same { crc, since: stamp, newest: stamp, joints: None, trouble: None });
            return;
        };
        same.newest = stamp;
        let Some(joints) = joints.filter(|_| stamp.seconds_since(same.since) >= UNSURE) else { return };
        let began = same.joints.get_or_insert_with(|| joints.to_vec());
        let moved = began.iter().zip(joints).map(|(a, b)| (b - a).abs()).enumerate();
        let Some((joint, by)) = moved.max_by(|(_, a), (_, b)| a.total_cmp(b)) else { return };
        // Once found it stays so until another picture comes: the arm stops, and may be moved back.
        if by > most {
            let (name, span) = (self.names.as_slice().get(joint), stamp.seconds_since(same.since));
            same.trouble = Some(format!(
                "sends the same picture to the bit under new stamps, for {span:.1} s, while joint '{}' moved by {by:.2}: it is frozen",
                name.map_or("?", String::as_str)
            ));
        }
    }

    /// Why a camera's pictures must not be worked on.
    pub fn trouble(&self, camera: usize) -> Option<&str> {
        self.cameras.get(camera)?.as_ref()?.trouble.as_deref()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(ms * 1_000_000)
    }

    fn cameras(most: f64) -> FrozenCameras {
        FrozenCameras::new(2, JointNames::new(["shoulder", "finger"]).unwrap(), most)
    }

    #[test]
    fn a_picture_that_stays_while_a_joint_moves_is_told_with_the_joint_until_another_comes() {
        let mut cameras = cameras(0.1);
        for i in 0..20 {
            cameras.see(0, ms(33 * i), 7, Some(&[0.01 * i as f64, 0.0]));
        }
        let told = cameras.trouble(0).unwrap();
        assert!(told.contains("'shoulder'") && told.contains("frozen"), "{told}");
        assert_eq!(cameras.trouble(1), None);
        // Led back to where it was: still frozen.
        cameras.see(0, ms(700), 7, Some(&[0.0, 0.0]));
        assert!(cameras.trouble(0).is_some());
        cameras.see(0, ms(733), 8, Some(&[0.2, 0.0]));
        assert_eq!(cameras.trouble(0), None);
    }

    #[test]
    fn a_scene_at_rest_may_show_the_same_for_ever_and_the_arm_starts_from_there() {
        let mut cameras = cameras(0.1);
        for i in 0..10_000 {
            cameras.see(0, ms(33 * i), 7, Some(&[1.0 + 1e-4 * (i % 3) as f64, 0.04]));
        }
        assert_eq!(cameras.trouble(0), None);
        // Each picture of the motion is another one.
        for i in 0..100 {
            cameras.see(0, ms(400_000 + 33 * i), 8 + i as u32, Some(&[1.0 + 0.03 * i as f64, 0.04]));
        }
        assert_eq!(cameras.trouble(0), None);
    }

    #[test]
    fn a_slow_camera_is_judged_by_its_own_stamps() {
        let mut cameras = cameras(0.1);
        cameras.see(0, ms(0), 7, Some(&[0.0, 0.0]));
        assert!(cameras.knows(0, ms(0)) && !cameras.knows(0, ms(1)) && !cameras.knows(1, ms(0)));
        // The next picture shows what moved meanwhile.
        cameras.see(0, ms(1000), 8, Some(&[0.9, 0.0]));
        assert_eq!(cameras.trouble(0), None);
    }

    #[test]
    fn an_arm_that_is_set_elsewhere_while_the_picture_is_taken_is_no_motion() {
        let mut cameras = cameras(0.1);
        // The first picture after a reset, whose joints are still those before, or between both.
        for joints in [[0.9, 0.0], [0.4, 0.0]] {
            cameras.see(0, ms(0), 7 + joints[0] as u32, Some(&joints));
        }
        for i in 1..100 {
            cameras.see(0, ms(33 * i), 7, Some(&[0.0, 0.0]));
        }
        assert_eq!(cameras.trouble(0), None);
        // What hangs is still found where it moves on.
        for i in 100..120 {
            cameras.see(0, ms(33 * i), 7, Some(&[0.01 * (i - 100) as f64, 0.0]));
        }
        assert!(cameras.trouble(0).is_some());
    }

    #[test]
    fn creeping_adds_up_and_joints_that_come_later_begin_then() {
        let mut cameras = cameras(0.1);
        cameras.see(1, ms(0), 7, None);
        for i in 0..1500 {
            cameras.see(1, ms(100 + 33 * i), 7, Some(&[0.5, 1e-4 * i as f64]));
        }
        assert!(cameras.trouble(1).unwrap().contains("'finger'"));
    }

    #[test]
    fn time_that_goes_back_begins_anew_and_zero_looks_at_nothing() {
        let mut some = cameras(0.1);
        some.see(0, ms(9000), 7, Some(&[0.0, 0.0]));
        some.see(0, ms(100), 7, Some(&[1.0, 0.0]));
        some.see(0, ms(300), 7, Some(&[1.0, 0.0]));
        assert_eq!(some.trouble(0), None);
        let mut none = cameras(0.0);
        none.see(0, ms(0), 7, Some(&[0.0, 0.0]));
        none.see(0, ms(100), 7, Some(&[3.0, 0.0]));
        assert!(!none.looks() && none.trouble(0).is_none());
    }
}
