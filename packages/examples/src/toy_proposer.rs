//! A proposer that stays: every row of a chunk is the pose that was measured. Which joints, how many rows and how far apart says the manifest of the
//! policy package; its graphs are not opened.
//!
//! Added by `efm_app::inference::proposers::register::<Stay>()` where a program starts, and chosen by `proposer: stay`; a proposer of this repository
//! stands in `packages/app/src/inference/` instead and has its line in `proposers.rs`.

use efm_app::inference::engine::{ActError, Acted, Opened, Setup, Sight};
use efm_app::inference::proposer::{Named, Proposer};
use efm_core::{ActionChunk, JointNames, Level, Reason};
use efm_policy::{Manifest, check_robot};
use efm_robot::RobotModel;
use std::path::PathBuf;

/// See the module.
#[derive(Debug)]
pub struct Stay {
    /// Of the policy package.
    folder: PathBuf,
    /// Once it is open: joints, rows, and the seconds between them.
    shape: Option<(JointNames, usize, f64)>,
    told: bool,
}

impl Named for Stay {
    const NAME: &'static str = "stay";

    fn new(setup: &Setup) -> Self {
        Self { folder: setup.folder.clone(), shape: None, told: false }
    }
}

impl Proposer for Stay {
    fn open(&mut self, urdf: &str) -> Result<Opened, Reason> {
        let refuse = |text: String| Reason::new("no_stay", Level::Error, text, "");
        let robot = RobotModel::from_urdf(urdf).map_err(|e| refuse(format!("robot_description: {e}")))?;
        let manifest = Manifest::read(&self.folder).map_err(|e| refuse(e.to_string()))?;
        check_robot(&manifest, &robot).map_err(|e| refuse(e.to_string()))?;
        let joints = manifest.joints().map_err(|e| refuse(e.to_string()))?;
        self.shape = Some((joints, manifest.action.horizon, manifest.action.step));
        // Nothing of the package but its manifest is used, so there is no hash to tell.
        let (name, none) = ("stay".to_owned(), Vec::new);
        Ok(Opened { name, hash: String::new(), guides: false, not_compared: none(), remarks: none() })
    }

    fn tell(&mut self, _sentence: &str) -> Result<(), Reason> {
        self.told = true;
        Ok(())
    }

    fn propose(&mut self, sight: &Sight) -> Result<Acted, ActError> {
        let (joints, rows, step) = self.shape.as_ref().ok_or(ActError::Closed)?;
        if !self.told {
            return Err(ActError::Untold);
        }
        let made = ActionChunk::new(sight.stamp, *step, joints.clone(), sight.joints.positions.repeat(*rows));
        let chunk = made.map_err(|error| Reason::new("no_stay", Level::Error, error.to_string(), ""))?;
        // No time that is worth telling: a look takes no graph.
        Ok(Acted { chunk, seconds: 0.0, guided: None })
    }
}
