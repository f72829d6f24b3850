//! Writing a LeRobotDataset, format v3.0, without Python.
//!
//! ```text
//! meta/info.json                            what the features are, fps, how many frames
//! meta/stats.json                           statistics of each feature over the data set
//! meta/tasks.parquet                        the sentences
//! meta/episodes/chunk-000/file-000.parquet  a row an episode: where its frames are, and their statistics
//! data/chunk-000/file-000.parquet           a row a frame, pictures included (PNG or JPEG bytes)
//! ```

use crate::DatasetError;
use crate::stats::{Levels, QUANTILES, Stats};
use crate::table::{Column, Shape, TableWriter, Values};
use efm_core::Stamp;
use parquet::data_type::ByteArray;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::path::{Path, PathBuf};

/// The version of the format, as `meta/info.json` names it.
pub const FORMAT: &str = "v3.0";

/// Lies in a folder that is not whole yet.
const MARK: &str = ".efm-dataset-unfinished";
const FILES_PER_CHUNK: usize = 1000;
const DATA_FILE_MB: u64 = 100;
const VIDEO_FILE_MB: u64 = 200;
/// A row group is written when it holds so many frames or so many bytes of pictures: what is in memory.
const GROUP_FRAMES: usize = 1000;
const GROUP_BYTES: usize = 32 << 20;
/// Rows of the table of episodes that are kept in memory.
const GROUP_EPISODES: u64 = 500;

/// A camera of the data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// What follows `observation.images.`.
    pub name: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// What a data set holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Frames a second.
    pub fps: u32,
    /// What LeRobot calls the robot, if anything.
    pub robot_type: Option<String>,
    /// The joints of `observation.state` and `action`.
    pub joints: Vec<String>,
    /// The cameras.
    pub cameras: Vec<Camera>,
    /// Whether there is a `next.success`.
    pub success: bool,
}

/// A picture as it is stored.
#[derive(Debug, Clone)]
pub struct Picture {
    /// PNG or JPEG.
    pub file: ByteArray,
    /// Its pixels, `[height x width x 3]`.
    pub rgb: Vec<u8>,
}

/// A frame to be written.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The moment it stands for, as the bag's header stamps tell it.
    pub stamp: Stamp,
    /// Positions of the joints, radians or metres.
    pub state: &'a [f32],
    /// Positions that are to be reached, radians or metres.
    pub action: &'a [f32],
    /// One a camera.
    pub pictures: &'a [&'a Picture],
    /// The sentence.
    pub task: &'a str,
    /// Whether the task is done when the next frame comes.
    pub success: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Episodes.
    pub episodes: u64,
    /// Frames.
    pub frames: u64,
    /// Different sentences.
    pub tasks: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Floats(usize),
    Float,
    Int,
    Bool,
    Picture { width: u32, height: u32 },
}

#[derive(Debug, Clone)]
struct Feature {
    key: String,
    kind: Kind,
    names: Option<Vec<String>>,
}

impl Feature {
    fn column(&self) -> Column {
        match self.kind {
            // LeRobot keeps what has one dimension without a list around it.
            Kind::Floats(1) | Kind::Float => Column::new(&self.key, Shape::One, Values::F32(Vec::new())),
            Kind::Floats(_) => Column::new(&self.key, Shape::List, Values::F32(Vec::new())),
            Kind::Int => Column::new(&self.key, Shape::One, Values::I64(Vec::new())),
            Kind::Bool => Column::new(&self.key, Shape::One, Values::Bool(Vec::new())),
            Kind::Picture { .. } => Column::new(&self.key, Shape::One, Values::Image(Vec::new())),
        }
    }

    fn dtype(&self) -> &'static str {
        match self.kind {
            Kind::Floats(_) | Kind::Float => "float32",
            Kind::Int => "int64",
            Kind::Bool => "bool",
            Kind::Picture { .. } => "image",
        }
    }

    fn shape(&self) -> Vec<u64> {
        match self.kind {
            Kind::Floats(dims) => vec![dims as u64],
            Kind::Float | Kind::Int | Kind::Bool => vec![1],
            Kind::Picture { width, height } => vec![u64::from(height), u64::from(width), 3],
        }
    }

    /// As Hugging Face's `datasets` notes it in a file.
    fn hugging_face(&self) -> serde_json::Value {
        let value = serde_json::json!({"dtype": self.dtype(), "_type": "Value"});
        match self.kind {
            Kind::Picture { .. } => serde_json::json!({"_type": "Image"}),
            Kind::Floats(dims) if dims > 1 => serde_json::json!({"feature": value, "length": dims, "_type": "List"}),
            _ => value,
        }
    }

    /// The columns of its statistics in the table of episodes.
    fn stats_columns(&self) -> Vec<Column> {
        let floats = || Values::F64(Vec::new());
        let (shape, extreme) = match self.kind {
            Kind::Picture { .. } => (Shape::Colours, floats()),
            Kind::Int => (Shape::List, Values::I64(Vec::new())),
            Kind::Bool => (Shape::List, Values::Bool(Vec::new())),
            Kind::Floats(_) | Kind::Float => (Shape::List, floats()),
        };
        let name = |stat: &str| format!("stats/{}/{stat}", self.key);
        let mut columns = vec![
            Column::new(name("min"), shape, extreme.clone()),
            Column::new(name("max"), shape, extreme),
            Column::new(name("mean"), shape, floats()),
            Column::new(name("std"), shape, floats()),
            Column::new(name("count"), Shape::List, Values::I64(Vec::new())),
        ];
        columns.extend(QUANTILES.iter().map(|(quantile, _)| Column::new(name(quantile), shape, floats())));
        columns
    }

    /// As `meta/stats.json` has them.
    fn stats_json(&self, stats: &Stats) -> serde_json::Value {
        let one = |value: f64, extreme: bool| match self.kind {
            Kind::Picture { .. } => serde_json::json!([[value]]),
            Kind::Int if extreme => serde_json::json!(value as i64),
            Kind::Bool if extreme => serde_json::json!(value != 0.0),
            _ => serde_json::json!(value),
        };
        let all = |values: &[f64], extreme: bool| -> Vec<_> { values.iter().map(|v| one(*v, extreme)).collect() };
        let mut map = serde_json::Map::new();
        map.insert("min".into(), all(&stats.min, true).into());
        map.insert("max".into(), all(&stats.max, true).into());
        map.insert("mean".into(), all(&stats.mean, false).into());
        map.insert("std".into(), all(&stats.std, false).into());
        map.insert("count".into(), serde_json::json!([stats.count]));
        for ((name, _), values) in QUANTILES.iter().zip(&stats.quantiles) {
            map.insert((*name).into(), all(values, false).into());
        }
        map.into()
    }
}

impl Serialize for Feature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("dtype", self.dtype())?;
        map.serialize_entry("shape", &self.shape())?;
        map.serialize_entry("names", &self.names)?;
        map.end()
    }
}

/// Features in their own order.
struct InOrder<'a>(&'a [Feature]);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|feature| (&feature.key, feature)))
    }
}

fn features(description: &Description) -> Vec<Feature> {
    let feature = |key: &str, kind| Feature { key: key.to_owned(), kind, names: None };
    let joints = |key: &str| Feature {
        names: Some(description.joints.clone()),
        ..feature(key, Kind::Floats(description.joints.len()))
    };
    let mut all = vec![joints("observation.state"), joints("action")];
    if description.success {
        all.push(feature("next.success", Kind::Bool));
    }
    all.push(feature("header_stamp", Kind::Int));
    all.extend(description.cameras.iter().map(|camera| Feature {
        names: Some(["height", "width", "channels"].map(str::to_owned).into()),
        ..feature(
            &format!("observation.images.{}", camera.name),
            Kind::Picture { width: camera.width, height: camera.height },
        )
    }));
    all.push(feature("timestamp", Kind::Float));
    all.extend(["frame_index", "episode_index", "index", "task_index"].map(|key| feature(key, Kind::Int)));
    all
}

/// What an episode's statistics are made of.
#[derive(Debug)]
struct Episode {
    length: u64,
    frames: u64,
    state: Vec<f32>,
    action: Vec<f32>,
    success: Vec<f64>,
    stamps: Vec<f64>,
    tasks: Vec<u64>,
    levels: Vec<Levels>,
    file: usize,
}

/// Writes a data set, frame by frame, to `DIR.part`; [`Self::finish`] gives it its name. Memory holds one row group, and 4 bytes a number of the
/// episode for its statistics.
#[derive(Debug)]
pub struct DatasetWriter {
    dir: PathBuf,
    part: PathBuf,
    description: Description,
    features: Vec<Feature>,
    data: Option<TableWriter>,
    /// Files that are over.
    file: usize,
    columns: Vec<Column>,
    group_frames: usize,
    group_bytes: usize,
    episodes: Option<TableWriter>,
    episode_columns: Vec<Column>,
    episode: Option<Episode>,
    tasks: Vec<String>,
    stats: Vec<Option<Stats>>,
    written: Written,
}

impl DatasetWriter {
    /// A new data set. What an interrupted run left in `DIR.part` is removed.
    ///
    /// # Errors
    /// When `dir` is there already, `DIR.part` is somebody else's, or nothing can be written there.
    pub fn create(dir: &Path, description: Description) -> Result<Self, DatasetError> {
        if dir.symlink_metadata().is_ok() {
            return Err(DatasetError::Exists(dir.to_owned()));
        }
        let mut name = dir.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = dir.with_file_name(name);
        if part.join(MARK).is_file() {
            std::fs::remove_dir_all(&part).map_err(DatasetError::io(&part))?;
        }
        if part.symlink_metadata().is_ok() {
            return Err(DatasetError::Exists(part));
        }
        std::fs::create_dir_all(&part).map_err(DatasetError::io(&part))?;
        let mark = part.join(MARK);
        std::fs::write(&mark, "").map_err(DatasetError::io(mark))?;
        let features = features(&description);
        let mut episode_columns = vec![
            Column::new("episode_index", Shape::One, Values::I64(Vec::new())),
            Column::new("tasks", Shape::List, Values::Text(Vec::new())),
        ];
        let counts = ["length", "data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index"];
        let whole = |name: &&str| Column::new(*name, Shape::One, Values::I64(Vec::new()));
        episode_columns.extend(counts.iter().map(whole));
        episode_columns.extend(features.iter().flat_map(Feature::stats_columns));
        episode_columns.extend(["meta/episodes/chunk_index", "meta/episodes/file_index"].iter().map(whole));
        Ok(Self {
            dir: dir.to_owned(),
            part,
            columns: features.iter().map(Feature::column).collect(),
            stats: vec![None; features.len()],
            description,
            features,
            data: None,
            file: 0,
            group_frames: 0,
            group_bytes: 0,
            episodes: None,
            episode_columns,
            episode: None,
            tasks: Vec::new(),
            written: Written::default(),
        })
    }

    /// Where the data set is until it is whole.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Begins an episode of so many frames.
    ///
    /// # Errors
    /// When a full file cannot be completed.
    pub fn begin_episode(&mut self, length: u64) -> Result<(), DatasetError> {
        self.end_episode()?;
        let full = self.data.as_ref().is_some_and(|data| data.bytes() + self.group_bytes as u64 >= DATA_FILE_MB << 20);
        if full {
            self.close_data()?;
        }
        self.episode = Some(Episode {
            length,
            frames: 0,
            state: Vec::new(),
            action: Vec::new(),
            success: Vec::new(),
            stamps: Vec::new(),
            tasks: Vec::new(),
            levels: vec![Levels::new(length); self.description.cameras.len()],
            file: self.file,
        });
        Ok(())
    }

    /// Adds a frame to the episode that was begun.
    ///
    /// # Errors
    /// When it cannot be written, or is not of the data set's shape.
    pub fn add_frame(&mut self, frame: &Frame) -> Result<(), DatasetError> {
        let joints = self.description.joints.len();
        let sizes = [frame.state.len() == joints, frame.action.len() == joints];
        let fits = sizes == [true; 2] && frame.pictures.len() == self.description.cameras.len();
        let Some(episode) = self.episode.as_mut().filter(|episode| fits && episode.frames < episode.length) else {
            return Err(DatasetError::Options(format!(
                "a frame of {} joints, {} actions and {} pictures is not one of the episode that was begun",
                frame.state.len(),
                frame.action.len(),
                frame.pictures.len()
            )));
        };
        let task = self.tasks.iter().position(|task| task == frame.task).unwrap_or_else(|| {
            self.tasks.push(frame.task.to_owned());
            self.tasks.len() - 1
        }) as u64;
        let n = episode.frames;
        for ((levels, picture), camera) in episode.levels.iter_mut().zip(frame.pictures).zip(&self.description.cameras)
        {
            levels.see(n, camera.width, camera.height, &picture.rgb);
        }
        episode.state.extend_from_slice(frame.state);
        episode.action.extend_from_slice(frame.action);
        episode.success.push(f64::from(u8::from(frame.success)));
        episode.stamps.push(frame.stamp.nanos() as f64);
        episode.tasks.push(task);
        episode.frames += 1;

        let mut pictures = frame.pictures.iter();
        for (feature, column) in self.features.iter().zip(&mut self.columns) {
            match (&mut column.values, feature.key.as_str()) {
                (Values::F32(to), "observation.state") => to.extend_from_slice(frame.state),
                (Values::F32(to), "action") => to.extend_from_slice(frame.action),
                // As LeRobot computes it: in double precision, then rounded.
                (Values::F32(to), _) => to.push((n as f64 / f64::from(self.description.fps)) as f32),
                (Values::Bool(to), _) => to.push(frame.success),
                (Values::I64(to), key) => to.push(match key {
                    "header_stamp" => frame.stamp.nanos(),
                    "frame_index" => n as i64,
                    "episode_index" => self.written.episodes as i64,
                    "index" => self.written.frames as i64,
                    _ => task as i64,
                }),
                (Values::Image(to), _) => {
                    let file = pictures.next().map(|picture| picture.file.clone()).unwrap_or_default();
                    self.group_bytes += file.len();
                    to.push(file);
                }
                (Values::F64(_) | Values::Text(_), _) => {}
            }
            if column.shape == Shape::List {
                column.lengths.push(joints);
            }
        }
        self.written.frames += 1;
        self.group_frames += 1;
        if self.group_frames >= GROUP_FRAMES || self.group_bytes >= GROUP_BYTES {
            self.flush_data()?;
        }
        Ok(())
    }

    /// Ends the episode that was begun, if one was.
    ///
    /// # Errors
    /// When the table of episodes cannot be written.
    fn end_episode(&mut self) -> Result<(), DatasetError> {
        let Some(episode) = self.episode.take() else { return Ok(()) };
        if episode.frames == 0 {
            return Ok(());
        }
        let n = episode.frames;
        let (from, to) = (self.written.frames - n, self.written.frames);
        let counted = |range: std::ops::Range<u64>| range.map(|i| i as f64).collect::<Vec<_>>();
        let joints = self.description.joints.len();
        let mut levels = episode.levels.iter();
        let stats: Vec<Stats> = self
            .features
            .iter()
            .map(|feature| match (feature.key.as_str(), feature.kind) {
                (_, Kind::Picture { .. }) => levels.next().map_or_else(|| Stats::of_values(&[]), Levels::stats),
                ("observation.state", _) => Stats::of_vectors(&episode.state, joints),
                ("action", _) => Stats::of_vectors(&episode.action, joints),
                ("next.success", _) => Stats::of_values(&episode.success),
                ("header_stamp", _) => Stats::of_values(&episode.stamps),
                ("timestamp", _) => {
                    let fps = f64::from(self.description.fps);
                    Stats::of_values(&(0..n).map(|i| i as f64 / fps).collect::<Vec<_>>())
                }
                ("frame_index", _) => Stats::of_values(&counted(0..n)),
                ("episode_index", _) => Stats::of_values(&vec![self.written.episodes as f64; n as usize]),
                ("index", _) => Stats::of_values(&counted(from..to)),
                _ => Stats::of_values(&episode.tasks.iter().map(|task| *task as f64).collect::<Vec<_>>()),
            })
            .collect();

        let mut sentences: Vec<u64> = Vec::new();
        for task in episode.tasks {
            if !sentences.contains(&task) {
                sentences.push(task);
            }
        }
        let texts: Vec<&str> =
            sentences.iter().filter_map(|t| self.tasks.get(*t as usize)).map(String::as_str).collect();
        let (chunk, file) = (episode.file / FILES_PER_CHUNK, episode.file % FILES_PER_CHUNK);
        let numbers = [self.written.episodes, n, chunk as u64, file as u64, from, to, 0, 0];
        let mut numbers = numbers.into_iter().map(|number| number as i64);
        let mut rows = stats.iter().flat_map(|stats| {
            let first = [&stats.min, &stats.max, &stats.mean, &stats.std].map(Clone::clone);
            first.into_iter().chain([vec![stats.count as f64]]).chain(stats.quantiles.iter().cloned())
        });
        for column in &mut self.episode_columns {
            match (&mut column.values, column.shape) {
                (Values::Text(to), _) => {
                    to.extend(texts.iter().map(|text| ByteArray::from(*text)));
                    column.lengths.push(texts.len());
                }
                (Values::I64(to), Shape::One) => to.extend(numbers.next()),
                (values, shape) => {
                    let Some(row) = rows.next() else { continue };
                    let length = push_stats(values, &row);
                    if shape == Shape::List {
                        column.lengths.push(length);
                    }
                }
            }
        }
        for (all, stats) in self.stats.iter_mut().zip(stats) {
            *all = match all.take() {
                Some(before) => Stats::of_episodes(&[before, stats]),
                None => Some(stats),
            };
        }
        self.written.episodes += 1;
        if self.written.episodes.is_multiple_of(GROUP_EPISODES) {
            self.flush_episodes()?;
        }
        Ok(())
    }

    fn flush_data(&mut self) -> Result<(), DatasetError> {
        if self.group_frames == 0 {
            return Ok(());
        }
        let data = match &mut self.data {
            Some(data) => data,
            none => {
                let (chunk, file) = (self.file / FILES_PER_CHUNK, self.file % FILES_PER_CHUNK);
                let path = self.part.join(format!("data/chunk-{chunk:03}/file-{file:03}.parquet"));
                none.insert(TableWriter::create(path, &self.columns)?)
            }
        };
        data.flush(&mut self.columns)?;
        (self.group_frames, self.group_bytes) = (0, 0);
        Ok(())
    }

    fn close_data(&mut self) -> Result<(), DatasetError> {
        self.flush_data()?;
        if let Some(data) = self.data.take() {
            let features: serde_json::Map<String, serde_json::Value> =
                self.features.iter().map(|feature| (feature.key.clone(), feature.hugging_face())).collect();
            let note = serde_json::json!({"info": {"features": features}}).to_string();
            data.finish(Some(("huggingface", note)))?;
            self.file += 1;
        }
        Ok(())
    }

    fn flush_episodes(&mut self) -> Result<(), DatasetError> {
        let table = match &mut self.episodes {
            Some(table) => table,
            none => {
                let path = self.part.join("meta/episodes/chunk-000/file-000.parquet");
                none.insert(TableWriter::create(path, &self.episode_columns)?)
            }
        };
        table.flush(&mut self.episode_columns)
    }

    /// Completes the data set, adds `extra` files (name below the folder, text), and gives the folder its name.
    ///
    /// # Errors
    /// When something cannot be written, or the name was taken meanwhile.
    pub fn finish(mut self, extra: &[(&str, String)]) -> Result<Written, DatasetError> {
        self.end_episode()?;
        self.close_data()?;
        self.flush_episodes()?;
        if let Some(table) = self.episodes.take() {
            table.finish(None)?;
        }
        self.write_tasks()?;
        self.written.tasks = self.tasks.len() as u64;
        let stats: serde_json::Map<String, serde_json::Value> = self
            .features
            .iter()
            .zip(&self.stats)
            .filter_map(|(feature, stats)| Some((feature.key.clone(), feature.stats_json(stats.as_ref()?))))
            .collect();
        self.write_text("meta/stats.json", &pretty(&stats))?;
        self.write_text("meta/info.json", &pretty(&self.info()))?;
        for (name, text) in extra {
            self.write_text(name, text)?;
        }
        let mark = self.part.join(MARK);
        std::fs::remove_file(&mark).map_err(DatasetError::io(mark))?;
        if self.dir.symlink_metadata().is_ok() {
            return Err(DatasetError::Exists(self.dir));
        }
        std::fs::rename(&self.part, &self.dir).map_err(DatasetError::io(&self.dir))?;
        Ok(self.written)
    }

    fn info(&self) -> impl Serialize + use<'_> {
        #[derive(serde::Serialize)]
        struct Info<'a> {
            codebase_version: &'static str,
            robot_type: Option<&'a str>,
            total_episodes: u64,
            total_frames: u64,
            total_tasks: u64,
            chunks_size: usize,
            data_files_size_in_mb: u64,
            video_files_size_in_mb: u64,
            fps: u32,
            splits: std::collections::BTreeMap<&'static str, String>,
            data_path: &'static str,
            video_path: Option<&'static str>,
            features: InOrder<'a>,
        }
        Info {
            codebase_version: FORMAT,
            robot_type: self.description.robot_type.as_deref(),
            total_episodes: self.written.episodes,
            total_frames: self.written.frames,
            total_tasks: self.written.tasks,
            chunks_size: FILES_PER_CHUNK,
            data_files_size_in_mb: DATA_FILE_MB,
            video_files_size_in_mb: VIDEO_FILE_MB,
            fps: self.description.fps,
            splits: [("train", format!("0:{}", self.written.episodes))].into(),
            data_path: "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            video_path: None,
            features: InOrder(&self.features),
        }
    }

    /// The sentences, as a pandas frame whose index they are.
    fn write_tasks(&self) -> Result<(), DatasetError> {
        let index = "__index_level_0__";
        let column = |name: Option<&str>, field: &str, pandas: &str, numpy: &str| serde_json::json!({"name": name, "field_name": field, "pandas_type": pandas, "numpy_type": numpy, "metadata": null});
        let note = serde_json::json!({
            "index_columns": [index],
            "column_indexes": [{"name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object",
                "metadata": {"encoding": "UTF-8"}}],
            "columns": [
                column(Some("task_index"), "task_index", "int64", "int64"),
                column(None, index, "unicode", "object"),
            ],
            "creator": {"library": "embodied_fm", "version": env!("CARGO_PKG_VERSION")},
            "pandas_version": "2.2.3",
        });
        let texts = self.tasks.iter().map(|task| ByteArray::from(task.as_str())).collect();
        let mut columns = [
            Column::new("task_index", Shape::One, Values::I64((0..self.tasks.len() as i64).collect())),
            Column::new(index, Shape::One, Values::Text(texts)),
        ];
        let mut table = TableWriter::create(self.part.join("meta/tasks.parquet"), &columns)?;
        table.flush(&mut columns)?;
        table.finish(Some(("pandas", note.to_string())))
    }

    fn write_text(&self, name: &str, text: &str) -> Result<(), DatasetError> {
        let path = self.part.join(name);
        std::fs::write(&path, text).map_err(DatasetError::io(path))
    }
}

/// Adds a cell of the statistics to its column, and says how many values that were.
fn push_stats(values: &mut Values, row: &[f64]) -> usize {
    match values {
        Values::F64(to) => to.extend_from_slice(row),
        Values::I64(to) => to.extend(row.iter().map(|value| *value as i64)),
        Values::Bool(to) => to.extend(row.iter().map(|value| *value != 0.0)),
        Values::F32(_) | Values::Text(_) | Values::Image(_) => {}
    }
    row.len()
}

/// JSON for people to read.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    // Maps with texts for keys and finite numbers always have a JSON form.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
