//! The door for a family: nothing outside of `families/` knows which there are, and families of other kinds than the shipped ones come in by it.
#![allow(clippy::unwrap_used)]

#[path = "support/fixture.rs"]
mod fixture;

use approx::assert_abs_diff_eq;
use efm_core::{JointSample, Stamp};
use efm_policy::families::parts::{Graph, ObservationTensors, TensorProblem, Tensors, output, wires};
use efm_policy::families::{
    Family, FieldProblem, GoldenShape, GoldenTokens, Prefix, RunError, Runner, Section, Trace, names as known, register,
};
use efm_policy::{
    Goal, Guide, Manifest, Observation, Policy, PolicyPackage, RuntimeError, RuntimeOptions, fill_normal,
};
use fixture::{Fixture, names};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Text of each file of the library outside of `families/`, without what is only a test.
fn outside() -> Vec<(PathBuf, String)> {
    fn gather(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("families") {
                gather(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("families.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap().lines();
                let code = code.filter(|line| !line.trim_start().starts_with("//"));
                found.push((path, code.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    let mut found = Vec::new();
    gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 10);
    found
}

#[test]
fn no_family_is_named_outside_of_the_families() {
    let sources = outside();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/families");
    let mut forbidden: Vec<String> = vec!["\"encode\"".into(), "\"decode\"".into(), "\"policy\"".into()];
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let text = if file.is_file() { std::fs::read_to_string(&file).unwrap() } else { String::new() };
        let Some((_, named)) = text.split_once("\nimpl Section for ") else { continue };
        let spec = named.split_once(' ').unwrap().0;
        let name = named.split_once("TYPE: &'static str = \"").unwrap().1.split_once('"').unwrap().0;
        assert!(known().contains(&name), "'{name}' has no line in registry.rs");
        forbidden.extend([spec.to_owned(), format!("\"{name}\""), format!("{name}::")]);
    }
    assert!(forbidden.len() >= 3 + 3 * 5, "{forbidden:?}");
    for (file, code) in sources {
        for word in &forbidden {
            assert!(!code.contains(word.as_str()), "{} names {word}", file.display());
        }
    }
}

/// With it the tests that go through all fixtures go through all families.
#[test]
fn every_family_of_the_house_has_a_fixture() {
    let fixtures = fixture::fixtures();
    let found: BTreeSet<_> =
        (fixtures.iter()).map(|name| Manifest::read(&fixture::data().join(name)).unwrap().runner.name()).collect();
    let without: Vec<_> =
        known().into_iter().filter(|name| !name.starts_with("test_") && !found.contains(name)).collect();
    assert!(without.is_empty(), "no folder of tests/data/ has runner.type {without:?}");
}

/// What the families of this file have in common.
fn observed(package: &PolicyPackage) -> Result<ObservationTensors, RuntimeError> {
    ObservationTensors::new(package.manifest())
}

/// One graph and a value: what it gives, times `gain`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scaled {
    gain: f32,
}

#[derive(Debug)]
struct ScaledRunner {
    observation: ObservationTensors,
    graph: Graph,
    order: Vec<usize>,
    gives: String,
    gain: f32,
}

impl Section for Scaled {
    const TYPE: &'static str = "test_scaled";
}

impl Family for Scaled {
    fn graphs(&self) -> &'static [&'static str] {
        &["whole"]
    }

    fn check(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        if self.gain > 0.0 {
            return Ok(());
        }
        Err(FieldProblem::of("gain", format!("is {}; expected more than 0", self.gain)))
    }

    fn wires(&self, manifest: &Manifest) -> Result<(), FieldProblem> {
        wires::observes(manifest, "whole", [])?;
        wires::gives(manifest, "whole", "the chunk", &[])
    }

    fn tensors(&self, tensors: &mut Tensors<'_>) -> Result<(), TensorProblem> {
        tensors.output("whole", &tensors.manifest().graphs["whole"].outputs[0], "float32", tensors.chunk());
        tensors.observation("whole");
        Ok(())
    }

    fn describe(&self) -> String {
        format!("one pass, times {}", self.gain)
    }

    fn open(&self, package: &PolicyPackage, options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        let (observation, graph) = (observed(package)?, Graph::open(package, "whole", options)?);
        let order = graph.order(&observation.names());
        let gives = package.manifest().graphs["whole"].outputs[0].clone();
        Ok(Box::new(ScaledRunner { observation, graph, order, gives, gain: self.gain }))
    }
}

impl Runner for ScaledRunner {
    fn observation(&mut self) -> &mut ObservationTensors {
        &mut self.observation
    }

    fn run(
        &mut self,
        _noise: &[f32],
        _prefix: Option<Prefix<'_>>,
        actions: &mut [f32],
        _trace: Option<&mut Trace>,
    ) -> Result<(), RunError> {
        let (file, outputs) = self.graph.run(&self.observation.ordered(&self.order))?;
        let given = output(file, &outputs, &self.gives, actions.len())?;
        actions.iter_mut().zip(given).for_each(|(action, given)| *action = self.gain * given);
        Ok(())
    }
}

#[test]
fn a_family_with_a_graph_under_a_name_of_its_own_and_a_value() {
    register::<Scaled>().unwrap();
    let fixture = |gain: f64| {
        Fixture::new("single").edit(|m| {
            m["runner"] = serde_yaml::from_str(&format!("{{type: test_scaled, gain: {gain}}}")).unwrap();
            let graph = m["graphs"].as_mapping_mut().unwrap().remove("policy").unwrap();
            m["graphs"]["whole"] = graph;
        })
    };
    let plain = Fixture::new("single").open().verify_golden().unwrap();
    assert_eq!(fixture(1.0).open().verify_golden().unwrap(), plain);
    assert!(!fixture(1.5).open().verify_golden().unwrap().holds());
    names(&fixture(0.0).refusal(), &["policy.yaml: runner.gain: is 0", "more than 0"]);
    names(&fixture(1.0).edit(|m| m["runner"]["gain"] = "much".into()).refusal(), &["runner.gain", "\"much\""]);
    names(&fixture(1.0).edit(|m| m["action"]["horizon"] = 3.into()).refusal(), &["graph 'whole'", "[1, 3, 4]"]);
    names(
        &fixture(1.0).edit(|m| m["graphs"]["whole"]["outputs"] = vec!["a", "b"].into()).refusal(),
        &["graphs.whole.outputs", "expected the chunk"],
    );
    names(&Fixture::new("single").edit(|m| m["runner"]["type"] = "test_scaled".into()).refusal(), &["runner", "gain"]);
    // Values count where manifests are compared.
    let manifest = |gain| fixture(gain).load().unwrap().manifest().runner.clone();
    assert!(manifest(1.0) == manifest(1.0) && manifest(1.0) != manifest(2.0));
    assert_ne!(manifest(1.0), Fixture::new("single").load().unwrap().manifest().runner);
    assert_eq!(manifest(2.0).section::<Scaled>(), Some(&Scaled { gain: 2.0 }));
    assert!(manifest(2.0).section::<Sampled>().is_none());
}

/// No graph, but noise that is the answer, tokens, and a chunk that can be continued.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sampled {}

#[derive(Debug)]
struct SampledRunner(ObservationTensors);

impl Section for Sampled {
    const TYPE: &'static str = "test_sampled";
}

impl Family for Sampled {
    fn graphs(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        Ok(())
    }

    fn wires(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        Ok(())
    }

    fn tensors(&self, _tensors: &mut Tensors<'_>) -> Result<(), TensorProblem> {
        Ok(())
    }

    fn noise_len(&self, sample: usize) -> usize {
        2 * sample
    }

    fn draw(&self, seed: u64, sample: usize, noise: &mut [f32]) {
        let (first, second) = noise.split_at_mut(sample);
        fill_normal(seed, 0.01, first);
        second.fill(0.02);
    }

    fn golden(&self) -> GoldenShape {
        let tokens = Some(GoldenTokens { count: 2, below: 5, below_field: "the number of fingers" });
        GoldenShape { context: None, tokens }
    }

    fn continues(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "chance".to_owned()
    }

    fn open(&self, package: &PolicyPackage, _options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        Ok(Box::new(SampledRunner(observed(package)?)))
    }
}

impl Runner for SampledRunner {
    fn observation(&mut self) -> &mut ObservationTensors {
        &mut self.0
    }

    fn run(
        &mut self,
        noise: &[f32],
        prefix: Option<Prefix<'_>>,
        actions: &mut [f32],
        trace: Option<&mut Trace>,
    ) -> Result<(), RunError> {
        let (first, second) = noise.split_at(actions.len());
        for ((action, a), b) in actions.iter_mut().zip(first).zip(second) {
            *action = a + b;
        }
        if let Some(prefix) = prefix {
            prefix.keep_frozen(actions);
        }
        if let Some(trace) = trace {
            trace.tokens = vec![3, 4];
        }
        Ok(())
    }
}

fn without_graphs(name: &str, kind: &str) -> Fixture {
    Fixture::new(name).old().edit(|m| {
        m["runner"] = serde_yaml::from_str(&format!("{{type: {kind}}}")).unwrap();
        m["graphs"] = serde_yaml::from_str("{}").unwrap();
    })
}

const Q: [f64; 4] = [0.1, -0.2, 0.3, 0.03];

/// The actions of a chunk, un-normalised.
fn act(policy: &mut Policy, goal: &Goal, seed: u64, guide: Option<Guide<'_>>) -> Vec<f64> {
    let joints = JointSample { stamp: Stamp::ZERO, positions: Q.to_vec(), velocities: vec![] };
    let image = &[("front", &[7u8; 18][..])];
    let observation = Observation { stamp: Stamp::ZERO, images: image, joints: &joints, earlier: &[] };
    policy.act_guided(&observation, goal, seed, guide).unwrap();
    policy.last_actions().to_vec()
}

#[test]
fn a_family_that_samples_has_its_noise_in_the_example_and_continues_what_it_is_given() {
    register::<Sampled>().unwrap();
    let fixture = || without_graphs("single", "test_sampled");
    names(&fixture().refusal(), &["golden.json", "'noise'", "missing"]);
    let golden = |noise: usize, tokens: [i64; 2]| {
        fixture().edit_golden(|g| {
            g["noise"] = vec![0.5; noise].into();
            g["tokens"] = tokens.to_vec().into();
            g["actions"] = vec![1.0; 8].into();
        })
    };
    names(&golden(8, [3, 4]).refusal(), &["'noise'", "8 numbers; expected 16"]);
    names(&golden(16, [3, 5]).refusal(), &["'tokens'", "5", "below the number of fingers"]);
    assert!(golden(16, [3, 4]).open().verify_golden().unwrap().holds());
    assert_eq!(golden(16, [4, 3]).open().verify_golden().unwrap().tokens_wrong, 2);
    let facts = efm_policy::check(&golden(16, [3, 4]).folder, &[], None).facts;
    names(facts.last().unwrap(), &["is run by chance; can continue"]);

    let mut policy = golden(16, [3, 4]).open();
    let goal = policy.embed("push").unwrap();
    let free = act(&mut policy, &goal, 3, None);
    let mut noise = [0f32; 8];
    fill_normal(3, 0.01, &mut noise);
    for (found, noise) in free.iter().zip(noise) {
        assert_eq!(*found, f64::from(noise + 0.02));
    }
    assert_eq!(free, act(&mut policy, &goal, 3, None));
    assert_ne!(free, act(&mut policy, &goal, 4, None));
    assert!(policy.can_continue());
    let guided = act(&mut policy, &goal, 3, Some(Guide { actions: &[0.0; 8], weights: &[1.0, 0.5] }));
    assert_eq!((&guided[..4], &guided[4..]), (&[0.0; 4][..], &free[4..]));
}

/// No graph, no noise, but a memory: the first joint of the first observation since the beginning, in all columns; it says that it cannot be guided, and
/// would fail if it were.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembering {}

#[derive(Debug)]
struct RememberingRunner {
    observation: ObservationTensors,
    first: Option<f32>,
}

impl Section for Remembering {
    const TYPE: &'static str = "test_remembering";
}

impl Family for Remembering {
    fn graphs(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        Ok(())
    }

    fn wires(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        Ok(())
    }

    fn tensors(&self, _tensors: &mut Tensors<'_>) -> Result<(), TensorProblem> {
        Ok(())
    }

    fn remembers(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn open(&self, package: &PolicyPackage, _options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        Ok(Box::new(RememberingRunner { observation: observed(package)?, first: None }))
    }
}

impl Runner for RememberingRunner {
    fn observation(&mut self) -> &mut ObservationTensors {
        &mut self.observation
    }

    fn reset(&mut self) {
        self.first = None;
    }

    fn run(
        &mut self,
        _noise: &[f32],
        prefix: Option<Prefix<'_>>,
        actions: &mut [f32],
        _trace: Option<&mut Trace>,
    ) -> Result<(), RunError> {
        assert!(prefix.is_none());
        let now = self.observation.state()[0];
        actions.fill(*self.first.get_or_insert(now));
        Ok(())
    }
}

#[test]
fn a_family_that_remembers_has_an_episode_as_its_example_no_history_and_no_guide() {
    register::<Remembering>().unwrap();
    names(&without_graphs("single", "test_remembering").refusal(), &["'actions'", "8 numbers", "3 to 1000 chunks"]);
    let looking_back = without_graphs("recurrent", "test_remembering").edit(|m| m["observation"]["history"] = 2.into());
    names(&looking_back.refusal(), &["observation.history", "test_remembering, which remembers"]);
    let fixture = without_graphs("recurrent", "test_remembering").edit_golden(|g| {
        let first = g["joints"].as_array().unwrap()[0].clone();
        let first = first.as_f64().or_else(|| first[0].as_f64()).unwrap() / (0.5 + 1e-6);
        g["actions"] = vec![first; g["actions"].as_array().unwrap().len()].into();
    });
    let mut policy = fixture.open();
    let parity = policy.verify_golden().unwrap();
    assert!(parity.holds(), "{parity:?}");
    let goal = policy.embed("push").unwrap();
    assert!(!policy.can_continue());
    let guide = Guide { actions: &[0.0; 8], weights: &[1.0, 0.5] };
    for value in act(&mut policy, &goal, 3, Some(guide)) {
        assert_abs_diff_eq!(value, Q[0] / (0.5 + 1e-6), epsilon = 1e-6);
    }
}

/// Has the name of a shipped one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Impostor {}

impl Section for Impostor {
    const TYPE: &'static str = "single_pass";
}

impl Family for Impostor {
    fn graphs(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        Ok(())
    }

    fn wires(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        Ok(())
    }

    fn tensors(&self, _tensors: &mut Tensors<'_>) -> Result<(), TensorProblem> {
        Ok(())
    }

    fn describe(&self) -> String {
        String::new()
    }

    fn open(&self, package: &PolicyPackage, _options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        Ok(Box::new(SampledRunner(observed(package)?)))
    }
}

#[test]
fn a_family_does_not_take_the_name_of_another() {
    let refusal = register::<Impostor>().unwrap_err().to_string();
    names(&refusal, &["'single_pass'", "Impostor", "SinglePassSpec", "another TYPE"]);
    assert!(Fixture::new("single").open().verify_golden().unwrap().holds());
}

/// A section is read key by key, whatever their order; what stands there twice is not silently one of both.
#[test]
fn keys_of_a_section_come_in_any_order_and_once() {
    let text = std::fs::read_to_string(fixture::data().join("flow/policy.yaml")).unwrap();
    let (before, after) = text.split_once("runner:\n").unwrap();
    let after = &after[after.find("graphs:").unwrap()..];
    let read = |runner: &str| {
        Manifest::parse(&format!("{before}runner: {runner}\n{after}"), Path::new("policy.yaml"))
            .map_err(|e| e.to_string())
    };
    let plain = read("{type: flow_matching, steps: 4}").unwrap();
    for same in [
        "{steps: 4, type: flow_matching}",
        "{noise_scale: 1, steps: 4, type: flow_matching}",
        "{type: flow_matching, steps: 4, noise_scale: 1.0}",
    ] {
        assert_eq!(read(same).unwrap(), plain, "{same}");
    }
    for (twice, part) in [
        ("{type: flow_matching, steps: 4, steps: 5}", "duplicate field `steps`"),
        ("{type: flow_matching, steps: 4, type: single_pass}", "duplicate field `type`"),
        ("{steps: 4, steps: 4, type: flow_matching}", "duplicate field `steps`"),
        ("{}", "missing field `type`"),
        ("{4: 4, type: flow_matching, steps: 4}", "runner"),
    ] {
        names(&read(twice).unwrap_err(), &["policy.yaml: runner", part]);
    }
}
