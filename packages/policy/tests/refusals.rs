//! Every refusal that depends on the family, word for word, and what each family is in words: `data/refusals.txt`, in which each line is a
//! change of a fixture and what is then said. To record what is said now: `EFM_RECORD=1 cargo test -p efm_policy --test refusals`.

#![allow(clippy::unwrap_used)]

#[path = "support/fixture.rs"]
mod fixture;

use fixture::Fixture;
use std::fmt::Write;

/// Fixtures, each with changes `place=value` (no value: taken out; `golden:` in the worked example; `graph:ROLE=FILE` another graph).
const CASES: &[(&str, &[&str])] = &[
    (
        "flow",
        &[
            "runner=",
            "runner=5",
            "runner=[flow_matching]",
            "runner.type=",
            "runner.type=7",
            "runner.type=telepathy",
            "runner.type=Flow_Matching",
            "runner.type=single_pass",
            "runner.type=diffusion",
            "runner.type=recurrent",
            "runner.steps=",
            "runner.steps=0",
            "runner.steps=1001",
            "runner.steps=-1",
            "runner.steps=2.5",
            "runner.steps=many",
            "runner.noise_scale=-1",
            "runner.noise_scale=.nan",
            "runner.noise_scale=11",
            "runner.noise_scale=loud",
            "runner.seed=1",
            "graphs.step=",
            "graphs.encode=",
            "graphs={}",
            "graphs.policy={file: a.onnx, sha256: a, inputs: [a], outputs: [b]}",
            "graphs.step.file=a/b.onnx",
            "graphs.step.sha256=abc",
            "graphs.step.outputs=[]",
            "graphs.step.outputs=[x]",
            "graphs.step.outputs=[v, w]",
            "graphs.step.inputs=[x, t]",
            "graphs.step.inputs=[t, x, context]",
            "graphs.step.inputs=[x, t, context, more]",
            "graphs.encode.inputs=[image_front, state]",
            "graphs.encode.inputs=[image_front, state, text, more]",
            "graphs.encode.outputs=[context, more]",
            "graphs.step.outputs=[velocity]",
            "action.horizon=5",
            "action.pad_columns=1",
            "observation.history=2",
            "observation.images.0.layout=NHWC",
            "graph:encode=encode_renamed.onnx",
            "graph:encode=encode_wide.onnx",
            "graph:encode=step_nan.onnx",
            "golden:noise=",
            "golden:noise=[1, 2]",
            "golden:noise.0=x",
            "golden:context=",
            "golden:context=x",
            "golden:actions=",
            "golden:actions=[1]",
            "golden:joints=[1]",
            "golden:sentence=",
            "golden:text=[0, 0, 0, 0]",
        ],
    ),
    (
        "single",
        &[
            "runner.type=",
            "runner.steps=4",
            "graphs={}",
            "graphs.step={file: a.onnx, sha256: a, inputs: [a], outputs: [b]}",
            "graphs.policy.outputs=[]",
            "graphs.policy.outputs=[actions, more]",
            "graphs.policy.outputs=[chunk]",
            "graphs.policy.inputs=[image_front, state]",
            "graphs.policy.inputs=[image_front, state, text, more]",
            "action.horizon=3",
            "golden:actions=[1]",
            "golden:image_front.2=7.5",
        ],
    ),
    (
        "ddpm",
        &[
            "runner.steps=7",
            "runner.steps=0",
            "runner.train_steps=0",
            "runner.train_steps=1001",
            "runner.scheduler=euler",
            "runner.scheduler=",
            "runner.schedule=linear",
            "runner.schedule=tilted",
            "runner.beta_start=0.1",
            "runner.beta_end=0.1",
            "runner.prediction=score",
            "runner.variance=huge",
            "runner.clip=0",
            "runner.clip=.inf",
            "runner.clip_of=all",
            "runner.noise_scale=-1",
            "runner.seed=1",
            "graphs.step=",
            "graphs.step.inputs=[x, t]",
            "graphs.step.outputs=[v, w]",
            "golden:noise=[1, 2]",
            "golden:noise=",
        ],
    ),
    ("ddim", &["runner.variance=posterior", "runner.clip=", "golden:noise=[1]", "golden:noise.3=x"]),
    (
        "tokens",
        &[
            "runner.tokens=51",
            "runner.tokens=",
            "runner.vocab=41",
            "runner.vocab=1",
            "runner.bins=41",
            "runner.bins=1",
            "runner.centres=14",
            "runner.first_token=40",
            "runner.first_token=-1",
            "runner.cache=[]",
            "runner.cache=5",
            "runner.cache.0.output=logits",
            "runner.cache.0.input=context",
            "runner.cache.0.more=x",
            "runner.cache=[{input: a, output: b}, {input: a, output: c}]",
            "runner.cache=[{input: a, output: b}, {input: c, output: b}]",
            "graphs.decode=",
            "graphs.decode.inputs=[input_ids, position_ids, past_key_values.0.key]",
            "graphs.decode.outputs=[logits]",
            "graph:decode=decode_open.onnx",
            "action.horizon=12",
            "golden:tokens=",
            "golden:tokens=[1]",
            "golden:tokens.5=40",
            "golden:tokens.5=1.5",
            "golden:tokens.5=-1",
        ],
    ),
    (
        "recurrent",
        &[
            "runner.state=",
            "runner.state=[]",
            "runner.state.0.input=state",
            "runner.state.1.input=h",
            "runner.state.1.output=h_next",
            "runner.state.1.hidden=1",
            "runner.reset=n",
            "runner.reset=",
            "runner.reset=text",
            "runner.memory=1",
            "observation.history=2",
            "graphs.policy.inputs=[image_front, state, text, h, n]",
            "graphs.policy.outputs=[actions, h_next]",
            "graphs.policy.outputs=[actions, h_next, n_next, more]",
            "graph:policy=recurrent_open.onnx",
            "golden:actions=[1]",
            "golden:actions=",
        ],
    ),
];

/// Puts a value (none: takes it out) at a place of a tree of YAML or JSON.
macro_rules! put {
    ($tree:expr, $place:expr, $value:expr, $object:ident) => {{
        let (path, last) = $place.rsplit_once('.').unwrap_or(("", $place));
        let mut at = $tree;
        for key in path.split('.').filter(|key| !key.is_empty()) {
            at = match key.parse::<usize>() {
                Ok(place) => &mut at[place],
                Err(_) => &mut at[key],
            };
        }
        match ($value, last.parse::<usize>()) {
            (None, _) => drop(at.$object().unwrap().remove(last)),
            (Some(value), Ok(place)) => at[place] = value,
            (Some(value), Err(_)) => at[last] = value,
        }
    }};
}

fn changed(name: &str, change: &str) -> Fixture {
    let fixture = Fixture::new(name);
    let (place, value) = change.split_once('=').unwrap();
    let value = Some(value).filter(|value| !value.is_empty());
    if let Some(role) = place.strip_prefix("graph:") {
        fixture.swap_graph(role, value.unwrap())
    } else if let Some(place) = place.strip_prefix("golden:") {
        let value = value.map(|value| serde_yaml::from_str::<serde_json::Value>(value).unwrap());
        fixture.edit_golden(|golden| put!(golden, place, value, as_object_mut))
    } else {
        let value = value.map(|value| serde_yaml::from_str(value).unwrap());
        fixture.edit(|manifest| put!(manifest, place, value, as_mapping_mut))
    }
}

#[test]
fn what_a_family_refuses_is_told_in_the_words_that_were_recorded() {
    let families: Vec<String> = efm_policy::families::names().iter().map(|name| format!("`{name}`")).collect();
    let (families, mut said) = (families.join(", "), String::new());
    for (name, changes) in CASES {
        let facts = efm_policy::check(&Fixture::new(name).folder, &[], None).facts;
        writeln!(said, "{name}: {}", facts.last().unwrap()).unwrap();
        for change in *changes {
            let fixture = changed(name, change);
            let answer = fixture.load().map_or_else(|error| error.to_string(), |_| "is accepted".to_owned());
            let answer = answer.replace(&format!("{}/", fixture.folder.display()), "").replace('\n', " ");
            // One more family is no other refusal.
            let answer = answer.replace(&families, "the families");
            writeln!(said, "{name} {change}: {answer}").unwrap();
        }
    }
    let file = fixture::data().join("refusals.txt");
    if std::env::var_os("EFM_RECORD").is_some() {
        std::fs::write(&file, &said).unwrap();
    }
    let recorded = std::fs::read_to_string(&file).unwrap_or_default();
    for (now, before) in said.lines().zip(recorded.lines()) {
        assert_eq!(now, before);
    }
    assert_eq!(said.lines().count(), recorded.lines().count());
}
