//! The tensors of an observation and a goal.

use super::graph::{Inputs, zeros};
use crate::goal::Goal;
use crate::manifest::{LanguageSpec, Manifest};
use crate::runtime::{self, RuntimeError};
use ort::session::SessionInputValue;
use ort::value::Tensor;
use smallvec::SmallVec;

/// The tensors that an observation and a goal fill, made once.
#[derive(Debug)]
pub struct ObservationTensors {
    /// One a camera, in the manifest's order.
    images: Vec<(String, Tensor<f32>)>,
    state: (String, Tensor<f32>),
    language: LanguageTensors,
}

/// What a goal fills.
#[derive(Debug)]
enum LanguageTensors {
    None,
    Embedding(String, Tensor<f32>),
    Tokens { input_ids: (String, Tensor<i64>), attention_mask: (String, Tensor<i64>), pad_id: i64 },
}

impl ObservationTensors {
    /// Makes them, empty.
    ///
    /// # Errors
    /// When there is no ONNX Runtime: tensors are its own, also where no graph is run.
    pub fn new(manifest: &Manifest) -> Result<Self, RuntimeError> {
        runtime::load_library()?;
        Self::made(manifest)
            .map_err(|source| RuntimeError::Graph { graph: "(tensors of the observation)".into(), source })
    }

    fn made(manifest: &Manifest) -> ort::Result<Self> {
        let spec = &manifest.observation;
        let images = spec
            .images
            .iter()
            .map(|image| Ok((image.tensor.clone(), zeros(&manifest.observed_shape(&image.shape()))?)))
            .collect::<ort::Result<_>>()?;
        let language = match &spec.language {
            None => LanguageTensors::None,
            Some(LanguageSpec::Embedding { tensor, encoder }) => {
                LanguageTensors::Embedding(tensor.clone(), zeros(&[1, encoder.dim as i64])?)
            }
            Some(LanguageSpec::Tokens(spec)) => {
                let places = || Tensor::from_array(([1, spec.max_tokens as i64], vec![0i64; spec.max_tokens]));
                LanguageTensors::Tokens {
                    input_ids: (spec.input_ids.clone(), places()?),
                    attention_mask: (spec.attention_mask.clone(), places()?),
                    pad_id: spec.pad_id,
                }
            }
        };
        let state = zeros(&manifest.observed_shape(&[manifest.state_len() as i64]))?;
        Ok(Self { images, state: (spec.state.tensor.clone(), state), language })
    }

    /// Values of a camera's tensor, by its place in the manifest. Panics when there are fewer cameras.
    pub fn image_mut(&mut self, camera: usize) -> &mut [f32] {
        self.images[camera].1.extract_tensor_mut().1
    }

    /// Values of the state tensor: the normalised state, with a history those of all its observations, the oldest first.
    pub fn state(&self) -> &[f32] {
        self.state.1.extract_tensor().1
    }

    /// The same, to be filled.
    pub fn state_mut(&mut self) -> &mut [f32] {
        self.state.1.extract_tensor_mut().1
    }

    /// Writes a goal into its tensors. False when it is of another kind or size than the policy's.
    pub fn set_goal(&mut self, goal: &Goal) -> bool {
        match (&mut self.language, goal) {
            (LanguageTensors::None, Goal::Unheard) => true,
            (LanguageTensors::Embedding(_, tensor), Goal::Embedding(embedding)) => {
                let values = tensor.extract_tensor_mut().1;
                let fits = values.len() == embedding.values().len();
                if fits {
                    values.copy_from_slice(embedding.values());
                }
                fits
            }
            (LanguageTensors::Tokens { input_ids, attention_mask, pad_id }, Goal::Tokens(ids)) => {
                let (places, mask) = (input_ids.1.extract_tensor_mut().1, attention_mask.1.extract_tensor_mut().1);
                if ids.len() > places.len() {
                    return false;
                }
                places.fill(*pad_id);
                places[..ids.len()].copy_from_slice(ids);
                mask.fill(0);
                mask[..ids.len()].fill(1);
                true
            }
            _ => false,
        }
    }

    /// The tensors with their names.
    fn named(&self) -> SmallVec<[(&str, SessionInputValue<'_>); 16]> {
        let mut named: SmallVec<[(&str, SessionInputValue<'_>); 16]> = SmallVec::new();
        for (name, tensor) in self.images.iter().chain([&self.state]) {
            named.push((name, tensor.into()));
        }
        match &self.language {
            LanguageTensors::None => {}
            LanguageTensors::Embedding(name, tensor) => named.push((name, tensor.into())),
            LanguageTensors::Tokens { input_ids, attention_mask, .. } => {
                named.push((&input_ids.0, (&input_ids.1).into()));
                named.push((&attention_mask.0, (&attention_mask.1).into()));
            }
        }
        named
    }

    /// Names of the tensors.
    pub fn names(&self) -> Vec<&str> {
        self.named().into_iter().map(|(name, _)| name).collect()
    }

    /// The tensors in another order, by their places in [`Self::names`].
    pub fn ordered(&self, order: &[usize]) -> Inputs<'_> {
        self.ordered_with([], order)
    }

    /// The tensors and more of them in another order, by their places in [`Self::names`] and after it.
    pub fn ordered_with<'a>(
        &'a self,
        more: impl IntoIterator<Item = SessionInputValue<'a>>,
        order: &[usize],
    ) -> Inputs<'a> {
        let own = self.named().into_iter().map(|(_, tensor)| tensor);
        let mut named: SmallVec<[Option<SessionInputValue<'a>>; 16]> = own.chain(more).map(Some).collect();
        order.iter().filter_map(|place| named.get_mut(*place)?.take()).collect()
    }
}
