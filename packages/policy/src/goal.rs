//! What a policy is told to do, in the form that it understands.

use crate::encoder::{
    Embedding, EncoderError, EncoderPackage, SentenceEncoder, SentenceError, check_sentence, ids, read_tokenizer,
};
use crate::files;
use crate::manifest::{LanguageSpec, Manifest, TokensSpec};
use crate::operators::Operators;
use crate::package::PackageError;
use crate::runtime::RuntimeOptions;
use std::path::{Path, PathBuf};
use tokenizers::{Tokenizer, TruncationParams};

/// What a sentence means to a policy.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// To one that is told vectors.
    Embedding(Embedding),
    /// To one that reads tokens: their ids, special tokens included, without what fills up.
    Tokens(Vec<i64>),
    /// To one that knows one task and does it whatever it is told.
    Unheard,
}

impl From<Embedding> for Goal {
    fn from(embedding: Embedding) -> Self {
        Self::Embedding(embedding)
    }
}

impl Goal {
    /// The vector, where it is one.
    pub fn embedding(&self) -> Option<&Embedding> {
        match self {
            Self::Embedding(embedding) => Some(embedding),
            Self::Tokens(_) | Self::Unheard => None,
        }
    }

    /// Cosine of the angle to another goal: 1 for tokens that are the same and for policies that do not listen, NaN for what cannot be compared.
    pub fn cosine(&self, other: &Self) -> f64 {
        match (self, other) {
            (Self::Embedding(a), Self::Embedding(b)) => a.cosine(b),
            (Self::Tokens(a), Self::Tokens(b)) => f64::from(u8::from(a == b)),
            (Self::Unheard, Self::Unheard) => 1.0,
            _ => f64::NAN,
        }
    }

    /// Values that it fills, for messages.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Embedding(embedding) => embedding.values().len(),
            Self::Tokens(ids) => ids.len(),
            Self::Unheard => 0,
        }
    }
}

/// What a package needs for sentences, in memory.
#[derive(Debug, Clone)]
pub(crate) enum LanguagePackage {
    None,
    Encoder(Box<EncoderPackage>),
    Tokenizer(Vec<u8>),
}

impl LanguagePackage {
    /// Reads what the manifest of a folder asks for; encoders are looked for on the search path.
    pub fn load(
        folder: &Path,
        manifest: &Manifest,
        search_path: &[PathBuf],
        allowed: &Operators,
    ) -> Result<Self, PackageError> {
        Ok(match &manifest.observation.language {
            None => Self::None,
            Some(LanguageSpec::Embedding { encoder, .. }) => {
                Self::Encoder(Box::new(EncoderPackage::find_with(encoder, search_path, allowed)?))
            }
            Some(LanguageSpec::Tokens(spec)) => {
                let bytes = files::read_checked(folder, &spec.tokenizer.file, &spec.tokenizer.sha256, files::JSON)?;
                // What cannot be opened is refused with the package and not later.
                WordTokenizer::new(&bytes, spec, folder)?;
                Self::Tokenizer(bytes)
            }
        })
    }
}

/// Turns sentences into goals.
#[derive(Debug)]
pub(crate) enum Listener {
    Deaf,
    Encoder(Box<SentenceEncoder>),
    Tokenizer(Box<WordTokenizer>),
}

impl Listener {
    pub fn open(
        package: &LanguagePackage,
        manifest: &Manifest,
        folder: &Path,
        options: RuntimeOptions,
    ) -> Result<Self, EncoderError> {
        Ok(match (package, &manifest.observation.language) {
            (LanguagePackage::Encoder(package), _) => Self::Encoder(Box::new(SentenceEncoder::open(package, options)?)),
            (LanguagePackage::Tokenizer(bytes), Some(LanguageSpec::Tokens(spec))) => {
                Self::Tokenizer(Box::new(WordTokenizer::new(bytes, spec, folder)?))
            }
            _ => Self::Deaf,
        })
    }

    pub fn hear(&mut self, sentence: &str) -> Result<Goal, SentenceError> {
        match self {
            Self::Deaf => check_sentence(sentence).map(|()| Goal::Unheard),
            Self::Encoder(encoder) => encoder.embed(sentence).map(Goal::Embedding),
            Self::Tokenizer(tokenizer) => tokenizer.tokens(sentence).map(Goal::Tokens),
        }
    }
}

/// The tokenizer of a policy that reads tokens.
pub(crate) struct WordTokenizer {
    tokenizer: Tokenizer,
    suffix: String,
}

impl std::fmt::Debug for WordTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordTokenizer").field("suffix", &self.suffix).finish_non_exhaustive()
    }
}

impl WordTokenizer {
    fn new(bytes: &[u8], spec: &TokensSpec, folder: &Path) -> Result<Self, EncoderError> {
        let file = folder.join(&spec.tokenizer.file);
        let bad = |problem: String| EncoderError::Tokenizer { file: file.clone(), problem };
        let mut tokenizer = read_tokenizer(bytes).map_err(bad)?;
        let truncation = TruncationParams { max_length: spec.max_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|e| bad(e.to_string()))?;
        // The tensors are filled up with the manifest's own id.
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, suffix: spec.suffix.clone() })
    }

    /// Ids of a sentence with its suffix, special tokens included, cut at the policy's length.
    fn tokens(&self, sentence: &str) -> Result<Vec<i64>, SentenceError> {
        check_sentence(sentence)?;
        match sentence.ends_with(&self.suffix) {
            true => ids(&self.tokenizer, sentence),
            false => ids(&self.tokenizer, &format!("{sentence}{}", self.suffix)),
        }
    }
}
