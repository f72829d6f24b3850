//! Why bags could not be made a data set.

use std::path::PathBuf;

/// What went wrong, with the bag and topic that it went wrong in.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// No bag was given.
    #[error("no bag was given")]
    NoBag,
    /// The data set is there already.
    #[error("{0} is there already; a data set is written to a new folder")]
    Exists(PathBuf),
    /// A file of the data set could not be written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A table could not be written.
    #[error("{path}: {source}")]
    Parquet {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: parquet::errors::ParquetError,
    },
    /// A bag could not be read.
    #[error("{bag}: {source}")]
    Bag {
        /// Which bag.
        bag: PathBuf,
        /// What is wrong.
        source: efm_bag::BagError,
    },
    /// A bag lacks what was asked for, or holds what cannot be used.
    #[error("{bag}: {problem}")]
    Unfit {
        /// Which bag.
        bag: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A topic of a bag cannot be used.
    #[error("{bag}: topic '{topic}': {problem}")]
    Topic {
        /// Which bag.
        bag: PathBuf,
        /// Which topic.
        topic: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Options that contradict each other or the bags.
    #[error("{0}")]
    Options(String),
    /// Nothing was left.
    #[error("no frame of the {bags} bags could be used: {why}")]
    Nothing {
        /// How many bags there were.
        bags: usize,
        /// What became of the frames.
        why: String,
    },
}

impl DatasetError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
