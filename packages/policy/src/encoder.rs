//! Sentence encoders: a tokenizer and a graph that turn words into a vector of length one.
//!
//! Encoders are shared by policies and found by the hash of their model file: embeddings of another encoder (or of another
//! quantisation of the same one) would look fine and mean something else to the policy.

use crate::files::{self, FileError};
use crate::manifest::{EncoderRef, FileSpec, ManifestError, check_file};
use crate::names;
use crate::operators::Operators;
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use efm_core::reading::{beginning, said_by_parser};
use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;
use serde::Deserialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use tokenizers::{Tokenizer, TruncationParams};

/// Longest sentence that is read, in bytes. What exceeds the encoder's own number of tokens is cut off silently, as in training;
/// a text of this length is not an instruction but a mistake.
pub const MAX_SENTENCE_BYTES: usize = 8192;

/// Name of an encoder's manifest in its folder.
pub const ENCODER_FILE: &str = "encoder.yaml";

/// `encoder.yaml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EncoderManifest {
    /// For people.
    pub name: String,
    /// The graph: token ids in, an L2-normalised embedding out.
    pub model: FileSpec,
    /// In the format of the `tokenizers` library.
    pub tokenizer: FileSpec,
    /// Some of `input_ids`, `attention_mask`, `token_type_ids`: int64 `[1, tokens]`.
    pub inputs: Vec<String>,
    /// Name of the output: float32 `[1, dim]`.
    pub output: String,
    /// Length of an embedding.
    pub dim: usize,
    /// Longer sentences are cut, special tokens included.
    pub max_tokens: usize,
    /// Worked examples of the original model.
    #[serde(default)]
    pub golden: Option<FileSpec>,
}

const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

impl EncoderManifest {
    /// Reads and checks `encoder.yaml`.
    ///
    /// # Errors
    /// Naming the file and the field.
    pub fn read(file: &Path) -> Result<Self, ManifestError> {
        let (folder, name) = (file.parent().unwrap_or(Path::new("")), file.file_name().unwrap_or_default());
        let file = file.to_owned();
        // A plain name stands for one in the working directory, which is no folder by the name of nothing.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let text = files::read_settings(folder, &name.to_string_lossy())
            .map_err(|source| ManifestError::Read { file: file.clone(), source })?;
        let manifest: Self = names::read(&text, &file)?;
        manifest.check().map_err(|(field, problem)| ManifestError::Field { file, field, problem })?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), (String, String)> {
        check_file("model", &self.model.file, &self.model.sha256)?;
        check_file("tokenizer", &self.tokenizer.file, &self.tokenizer.sha256)?;
        if let Some(golden) = &self.golden {
            check_file("golden", &golden.file, &golden.sha256)?;
        }
        if let Some(unknown) = self.inputs.iter().find(|i| !INPUTS.contains(&i.as_str())) {
            return Err(("inputs".into(), format!("'{unknown}' is not one of {INPUTS:?}")));
        }
        if !self.inputs.iter().any(|i| i == INPUTS[0]) {
            return Err(("inputs".into(), "lacks input_ids".into()));
        }
        if !(1..=65_536).contains(&self.dim) {
            return Err(("dim".into(), format!("is {}; expected 1 to 65536", self.dim)));
        }
        if !(8..=8192).contains(&self.max_tokens) {
            return Err(("max_tokens".into(), format!("is {}; expected 8 to 8192", self.max_tokens)));
        }
        Ok(())
    }
}

/// Why an encoder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// No encoder with this hash.
    #[error(
        "sentence encoder '{name}' (sha256 {sha256}) is not in {}; found: {}",
        list(looked.iter().map(|p| p.display().to_string())),
        list(found.iter().cloned())
    )]
    Missing {
        /// As the policy names it.
        name: String,
        /// Of the wanted model file.
        sha256: String,
        /// Folders that were looked at.
        looked: Vec<PathBuf>,
        /// Name and hash of what is there, or why it could not be read.
        found: Vec<String>,
    },
    /// Its embeddings have another length than the policy expects.
    #[error("{}: dim: is {found}, but the policy expects {expected}", file.display())]
    Dim {
        /// The encoder's manifest.
        file: PathBuf,
        /// Of the encoder.
        found: usize,
        /// Of the policy.
        expected: usize,
    },
    /// Its manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// One of its files is missing or changed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its graph does not match its manifest.
    #[error("{}: {problem}", file.display())]
    Graph {
        /// The graph.
        file: PathBuf,
        /// Naming the tensor.
        problem: String,
    },
    /// The tokenizer cannot be read.
    #[error("{}: {problem}", file.display())]
    Tokenizer {
        /// The tokenizer's file.
        file: PathBuf,
        /// From the library.
        problem: String,
    },
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

fn list(items: impl Iterator<Item = String>) -> String {
    // Each is a place, or what is wrong there.
    let told: Vec<String> = items.take(8).map(|item| beginning(&item, 300)).collect();
    if told.is_empty() { "nothing".into() } else { told.join(", ") }
}

/// Why a sentence has no embedding.
#[derive(Debug, thiserror::Error)]
pub enum SentenceError {
    /// Nothing but white space.
    #[error("the sentence is empty")]
    Empty,
    /// Longer than [`MAX_SENTENCE_BYTES`].
    #[error("the sentence is {0} bytes long; at most {MAX_SENTENCE_BYTES} are read")]
    TooLong(usize),
    /// The tokenizer refused it.
    #[error("the sentence cannot be tokenized: {0}")]
    Tokenizer(String),
    /// The encoder gave something that is not a finite vector.
    #[error("the sentence encoder gave {0}")]
    Output(String),
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// Whether a sentence may be an instruction.
pub(crate) fn check_sentence(sentence: &str) -> Result<(), SentenceError> {
    if sentence.trim().is_empty() {
        return Err(SentenceError::Empty);
    }
    if sentence.len() > MAX_SENTENCE_BYTES {
        return Err(SentenceError::TooLong(sentence.len()));
    }
    Ok(())
}

/// From the bytes of a file in the format of the `tokenizers` library.
pub(crate) fn read_tokenizer(bytes: &[u8]) -> Result<Tokenizer, String> {
    // From a text and not from bytes: the reader of bytes is generic, and all that it reads would be compiled here once more.
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    text.parse().map_err(|e: tokenizers::Error| said_by_parser(&e))
}

/// Ids of a text, special tokens included.
pub(crate) fn ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<i64>, SentenceError> {
    let encoding = tokenizer.encode(text, true).map_err(|e| SentenceError::Tokenizer(e.to_string()))?;
    Ok(encoding.get_ids().iter().map(|id| i64::from(*id)).collect())
}

/// A sentence as a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// From values, which must be finite and not all zero.
    ///
    /// # Errors
    /// Otherwise.
    pub fn new(values: Vec<f32>) -> Result<Self, SentenceError> {
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(SentenceError::Output(format!("{} at place {i} of an embedding", values[i])));
        }
        if values.iter().all(|v| *v == 0.0) {
            return Err(SentenceError::Output("an embedding without direction".into()));
        }
        Ok(Self(values))
    }

    /// The vector.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// Cosine of the angle to another embedding; NaN when the lengths differ.
    pub fn cosine(&self, other: &Self) -> f64 {
        if self.0.len() != other.0.len() {
            return f64::NAN;
        }
        let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
        dot(&self.0, &other.0) / (dot(&self.0, &self.0) * dot(&other.0, &other.0)).sqrt()
    }
}

/// An encoder's files, hashed and in memory: what was checked is what will run.
#[derive(Debug, Clone)]
pub struct EncoderPackage {
    /// Where it lies.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: EncoderManifest,
    model: Vec<u8>,
    tokenizer: Vec<u8>,
}

impl EncoderPackage {
    /// Finds an encoder by hash in `<folder>/encoders/*/encoder.yaml` for each folder in turn.
    ///
    /// # Errors
    /// When none has the hash, or the one that has is damaged or disagrees with its own manifest.
    pub fn find(wanted: &EncoderRef, search_path: &[PathBuf]) -> Result<Self, EncoderError> {
        Self::find_with(wanted, search_path, &Operators::default())
    }

    /// As [`Self::find`], of a graph that may have these operators.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_with(wanted: &EncoderRef, search_path: &[PathBuf], allowed: &Operators) -> Result<Self, EncoderError> {
        match Self::folder_of(wanted, search_path)? {
            Ok(folder) => Self::load_with(&folder, allowed),
            Err(found) => {
                let (name, sha256) = (wanted.name.clone(), wanted.sha256.clone());
                Err(EncoderError::Missing { name, sha256, looked: search_path.to_vec(), found })
            }
        }
    }

    /// The folder of the encoder; else what is there instead.
    fn folder_of(wanted: &EncoderRef, search_path: &[PathBuf]) -> Result<Result<PathBuf, Vec<String>>, EncoderError> {
        let mut found = Vec::new();
        for folder in search_path {
            let Ok(entries) = std::fs::read_dir(folder.join("encoders")) else { continue };
            let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
            folders.sort();
            for folder in folders.into_iter().filter(|f| f.join(ENCODER_FILE).is_file()) {
                let file = folder.join(ENCODER_FILE);
                match EncoderManifest::read(&file) {
                    Ok(manifest) if manifest.model.sha256 == wanted.sha256 => {
                        if manifest.dim != wanted.dim {
                            return Err(EncoderError::Dim { file, found: manifest.dim, expected: wanted.dim });
                        }
                        return Ok(Ok(folder));
                    }
                    Ok(other) => found.push(format!("{} (sha256 {})", other.name, other.model.sha256)),
                    Err(e) => found.push(e.to_string()),
                }
            }
        }
        Ok(Err(found))
    }

    /// Bytes of the files of an encoder; 0 where it is not found.
    pub(crate) fn size(wanted: &EncoderRef, search_path: &[PathBuf]) -> u64 {
        let Ok(Ok(folder)) = Self::folder_of(wanted, search_path) else { return 0 };
        let Ok(manifest) = EncoderManifest::read(&folder.join(ENCODER_FILE)) else { return 0 };
        files::size(&folder, &[&manifest.model.file, &manifest.tokenizer.file])
    }

    /// Loads the encoder in a folder.
    ///
    /// # Errors
    /// When its manifest is wrong, or a file is missing or changed.
    pub fn load(folder: &Path) -> Result<Self, EncoderError> {
        Self::load_with(folder, &Operators::default())
    }

    /// As [`Self::load`], of a graph that may have these operators.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(folder: &Path, allowed: &Operators) -> Result<Self, EncoderError> {
        let manifest = EncoderManifest::read(&folder.join(ENCODER_FILE))?;
        let model = files::read_graph(folder, &manifest.model.file, &manifest.model.sha256, allowed)?;
        let tokenizer = files::read_checked(folder, &manifest.tokenizer.file, &manifest.tokenizer.sha256, files::JSON)?;
        Ok(Self { folder: folder.to_owned(), manifest, model, tokenizer })
    }

    /// The worked examples, when the encoder has some.
    ///
    /// # Errors
    /// When the file is missing, changed or malformed.
    pub fn golden(&self) -> Result<Vec<GoldenSentence>, EncoderError> {
        let Some(golden) = &self.manifest.golden else { return Ok(Vec::new()) };
        let bytes = files::read_checked(&self.folder, &golden.file, &golden.sha256, files::JSON)?;
        serde_json::from_slice(files::unmarked(&bytes))
            .map_err(|e| EncoderError::Tokenizer { file: self.folder.join(&golden.file), problem: said_by_parser(&e) })
    }
}

/// A worked example of an encoder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct GoldenSentence {
    /// In words.
    pub sentence: String,
    /// With the special tokens.
    pub input_ids: Vec<i64>,
    /// By the original float32 model.
    pub embedding: Vec<f32>,
}

/// An encoder ready to run.
pub struct SentenceEncoder {
    manifest: EncoderManifest,
    file: PathBuf,
    tokenizer: Tokenizer,
    session: Session,
}

impl std::fmt::Debug for SentenceEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentenceEncoder").field("name", &self.manifest.name).finish_non_exhaustive()
    }
}

impl SentenceEncoder {
    /// Makes the session and checks the graph against the manifest.
    ///
    /// # Errors
    /// When the tokenizer or the graph cannot be read, or the graph has other tensors than the manifest says.
    pub fn open(package: &EncoderPackage, options: RuntimeOptions) -> Result<Self, EncoderError> {
        let manifest = package.manifest.clone();
        let file = package.folder.join(&manifest.model.file);
        let session = runtime::session(&package.model, &file, options, true)?;
        let (inputs, outputs) = runtime::signature(&session);
        let wrong = |problem| EncoderError::Graph { file: file.clone(), problem };
        for name in &manifest.inputs {
            match inputs.iter().find(|t| t.name == *name) {
                None => return Err(wrong(format!("has no input '{name}'"))),
                Some(t) if !t.accepts("int64", &[1, -1]) => {
                    return Err(wrong(format!("input '{name}' is {t}; expected int64 [1, tokens]")));
                }
                Some(_) => {}
            }
        }
        if let Some(extra) = inputs.iter().find(|t| !manifest.inputs.contains(&t.name)) {
            return Err(wrong(format!("needs an input '{}' that {ENCODER_FILE} does not list", extra.name)));
        }
        match outputs.iter().find(|t| t.name == manifest.output) {
            None => return Err(wrong(format!("has no output '{}'", manifest.output))),
            Some(t) if !t.accepts("float32", &[1, manifest.dim as i64]) => {
                let problem = format!("output '{}' is {t}; expected float32 [1, {}]", manifest.output, manifest.dim);
                return Err(wrong(problem));
            }
            Some(_) => {}
        }

        let tokenizer_file = package.folder.join(&manifest.tokenizer.file);
        let bad = |problem: String| EncoderError::Tokenizer { file: tokenizer_file.clone(), problem };
        let mut tokenizer = read_tokenizer(&package.tokenizer).map_err(bad)?;
        let truncation = TruncationParams { max_length: manifest.max_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|e| bad(e.to_string()))?;
        // One sentence at a time: padding would only add work.
        tokenizer.with_padding(None);
        Ok(Self { manifest, file, tokenizer, session })
    }

    /// Length of an embedding.
    pub fn dim(&self) -> usize {
        self.manifest.dim
    }

    /// Token ids of a sentence, special tokens included, cut at the encoder's length.
    ///
    /// # Errors
    /// When the sentence is empty or absurdly long.
    pub fn tokens(&self, sentence: &str) -> Result<Vec<i64>, SentenceError> {
        check_sentence(sentence)?;
        ids(&self.tokenizer, sentence)
    }

    /// The embedding of a sentence.
    ///
    /// # Errors
    /// When the sentence is empty or absurdly long, or the graph gives something that is not a finite vector.
    pub fn embed(&mut self, sentence: &str) -> Result<Embedding, SentenceError> {
        let ids = self.tokens(sentence)?;
        let (mask, types) = (vec![1i64; ids.len()], vec![0i64; ids.len()]);
        let failed = |source| RuntimeError::Graph { graph: self.file.display().to_string(), source };
        let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(3);
        for name in &self.manifest.inputs {
            let values: &[i64] = match name.as_str() {
                "input_ids" => &ids,
                "attention_mask" => &mask,
                _ => &types,
            };
            let tensor = TensorRef::from_array_view(([1, values.len()], values)).map_err(failed)?;
            inputs.push((name.as_str().into(), tensor.into()));
        }
        let outputs = self.session.run(inputs).map_err(failed)?;
        let Some(output) = outputs.get(&self.manifest.output) else {
            return Err(SentenceError::Output(format!("no output '{}'", self.manifest.output)));
        };
        let (_, values) = output.try_extract_tensor::<f32>().map_err(failed)?;
        if values.len() != self.manifest.dim {
            return Err(SentenceError::Output(format!("{} values; expected {}", values.len(), self.manifest.dim)));
        }
        Embedding::new(values.to_vec())
    }
}
