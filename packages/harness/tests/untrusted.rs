//! Packages and descriptions that mean harm, or were damaged, before `efm policy check`: each is answered in words, within bounds of time and memory, and
//! a good one goes through afterwards.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Whatever comes is answered in so long, however busy the machine of the tests is. It says nothing of a quiet one, where 10 s are wanted.
const ANSWERED: Duration = Duration::from_secs(60);

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/data")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A copy of a tiny package, with its encoder and its robot.
struct Package {
    root: tempfile::TempDir,
    folder: PathBuf,
}

impl Package {
    fn new(name: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in [name, "encoders/tiny"] {
            let to = root.path().join(folder);
            std::fs::create_dir_all(&to).unwrap();
            for entry in std::fs::read_dir(data().join(folder)).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        std::fs::copy(data().join("gantry.urdf"), root.path().join("robot.urdf")).unwrap();
        let limit = "{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}";
        let joints = ["slide_x", "slide_y", "slide_z", "finger"].map(|joint| format!("  {joint}: {limit}\n")).concat();
        std::fs::write(root.path().join("limits.yaml"), format!("joint_limits:\n{joints}")).unwrap();
        Self { folder: root.path().join(name), root }
    }

    /// Of the folder, or beside it.
    fn file(&self, name: &str) -> PathBuf {
        match name {
            "robot.urdf" | "limits.yaml" => self.root.path().join(name),
            "encoder.yaml" | "tokenizer.json" | "model.onnx" => self.root.path().join("encoders/tiny").join(name),
            _ => self.folder.join(name),
        }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }

    /// Writes a file and has its hash right wherever it is told.
    fn write(&self, name: &str, bytes: &[u8]) {
        let file = self.file(name);
        let before = std::fs::read(&file).map(|bytes| sha256(&bytes)).unwrap_or_default();
        std::fs::write(&file, bytes).unwrap();
        for told_in in ["policy.yaml", "encoder.yaml"] {
            if let Ok(text) = std::fs::read_to_string(self.file(told_in))
                && !before.is_empty()
                && told_in != name
            {
                std::fs::write(self.file(told_in), text.replace(&before, &sha256(bytes))).unwrap();
            }
        }
    }

    fn replace(&self, name: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.read(name)).unwrap();
        assert!(text.contains(from), "{name}: {from}");
        self.write(name, text.replacen(from, to, 1).as_bytes());
    }

    /// A pipe, a device, a folder or a file without an end in the place of a file.
    fn put(&self, name: &str, what: &str) {
        let file = self.file(name);
        std::fs::remove_file(&file).unwrap();
        match what {
            "pipe" => assert!(Command::new("mkfifo").arg(&file).status().unwrap().success()),
            "folder" => std::fs::create_dir(&file).unwrap(),
            "sparse" => std::fs::File::create(&file).unwrap().set_len(6 << 30).unwrap(),
            link => std::os::unix::fs::symlink(link, &file).unwrap(),
        }
    }

    fn check(&self, options: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_efm-policy"));
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.efm/lib/libonnxruntime.so");
        if std::env::var_os("ORT_DYLIB_PATH").is_none() && own.exists() {
            command.env("ORT_DYLIB_PATH", own);
        }
        command.arg("check").arg(&self.folder).arg("--robot").arg(self.file("robot.urdf"));
        command.arg("--joint-limits").arg(self.file("limits.yaml")).args(options);
        let began = Instant::now();
        let output = command.output().unwrap();
        assert!(began.elapsed() < ANSWERED, "{:?}: {}", began.elapsed(), words(&output));
        output
    }

    /// Refused in words that hold these.
    #[track_caller]
    fn refused(&self, options: &[&str], parts: &[&str]) {
        let output = self.check(options);
        let words = words(&output);
        assert_eq!(output.status.code(), Some(1), "{words}");
        for part in parts {
            assert!(words.contains(part), "'{part}' is not in: {words}");
        }
        assert!(words.len() < 20_000 && !words.contains("panicked"), "{}", &words[..200.min(words.len())]);
    }

    #[track_caller]
    fn accepted(&self, options: &[&str]) {
        let output = self.check(options);
        assert!(output.status.success() && words(&output).contains("will run on"), "{}", words(&output));
    }
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

// ONNX, as far as it is needed to write what nobody should.

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 127 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn field(number: u64, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn number(of: u64, value: u64) -> Vec<u8> {
    [varint(of << 3), varint(value)].concat()
}

fn node(operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| field(1, name)).collect();
    let outputs: Vec<u8> = outputs.iter().flat_map(|name| field(2, name)).collect();
    let attributes: Vec<u8> = attributes.iter().flat_map(|attribute| field(5, attribute)).collect();
    field(1, [inputs, outputs, field(4, operator), attributes].concat())
}

fn constant(name: &str, kind: u64, dims: &[u64], raw: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim)).collect();
    field(5, [dims, number(2, kind), field(8, name), field(9, raw)].concat())
}

fn value(of: u64, name: &str, kind: u64, dims: Option<&[u64]>) -> Vec<u8> {
    let shape = dims.map(|dims| field(2, dims.iter().flat_map(|dim| field(1, number(1, *dim))).collect::<Vec<_>>()));
    let tensor = field(1, [number(1, kind), shape.unwrap_or_default()].concat());
    field(of, [field(1, name), field(2, tensor)].concat())
}

const FLOAT: u64 = 1;
const INT: u64 = 7;
const BOOL: u64 = 9;

/// The graph of the package `single`, whose actions are zeros plus the value `z` that these nodes make.
fn graph(parts: &[Vec<u8>]) -> Vec<u8> {
    let inputs = [
        value(11, "image_front", FLOAT, Some(&[1, 2, 3, 3])),
        value(11, "state", FLOAT, Some(&[1, 4])),
        value(11, "text", FLOAT, Some(&[1, 4])),
    ];
    let zeros = constant("zeros", FLOAT, &[1, 2, 4], &[0; 32]);
    let sum = node("Add", &["zeros", "z"], &["actions"], &[]);
    let output = value(12, "actions", FLOAT, Some(&[1, 2, 4]));
    let graph = [parts.concat(), sum, field(2, "graph"), zeros, inputs.concat(), output].concat();
    let opset = field(8, [field(1, ""), number(2, 17)].concat());
    [number(1, 9), field(7, graph), opset].concat()
}

/// A loop whose state goes through this node, without an end.
fn endless(step: Vec<u8>) -> Vec<u8> {
    let body = [
        node("Identity", &["go"], &["goes"], &[]),
        step,
        field(2, "body"),
        value(11, "count", INT, Some(&[])),
        value(11, "go", BOOL, Some(&[])),
        value(11, "v", FLOAT, None),
        value(12, "goes", BOOL, Some(&[])),
        value(12, "w", FLOAT, None),
    ];
    let body = [field(1, "body"), field(6, body.concat()), number(20, 5)].concat();
    graph(&[
        constant("always", BOOL, &[], &[1]),
        constant("none", FLOAT, &[1], &[0; 4]),
        constant("axes", INT, &[1], &[0; 8]),
        node("Loop", &["", "always", "none"], &["grown"], &[body]),
        node("ReduceSum", &["grown", "axes"], &["z"], &[[field(1, "keepdims"), number(3, 1), number(20, 2)].concat()]),
    ])
}

/// A value of so many bytes, summed up.
fn large(bytes: u64) -> Vec<u8> {
    graph(&[
        constant("shape", INT, &[1], &(bytes / 4).to_le_bytes()),
        constant("axes", INT, &[1], &[0; 8]),
        // What depends on what is seen is not made while the graph is loaded.
        node("ReduceSum", &["state"], &["some"], &[]),
        node("Expand", &["some", "shape"], &["wide"], &[]),
        node("Exp", &["wide"], &["more"], &[]),
        node("ReduceSum", &["more"], &["z"], &[]),
    ])
}

/// Products of large matrices, one after the other.
fn slow() -> Vec<u8> {
    let mut parts = vec![
        constant("shape", INT, &[2], &[3000u64.to_le_bytes(), 3000u64.to_le_bytes()].concat()),
        node("ReduceSum", &["state"], &["some"], &[]),
        node("Expand", &["some", "shape"], &["m0"], &[]),
    ];
    for k in 0..200 {
        let (from, to) = (format!("m{k}"), format!("m{}", k + 1));
        parts.push(node("MatMul", &[&from, "m0"], &[&to], &[]));
    }
    parts.push(node("ReduceSum", &["m200"], &["z"], &[]));
    graph(&parts)
}

#[test]
fn a_good_package_goes_through_before_and_after() {
    let package = Package::new("single");
    package.accepted(&[]);
    package.write("policy.onnx", &endless(node("Identity", &["v"], &["w"], &[])));
    package.refused(&[], &["policy.onnx", "'Loop'", "--allow-operator"]);
    package.write("policy.onnx", &std::fs::read(data().join("single/policy.onnx")).unwrap());
    package.accepted(&["--memory", "800"]);
}

/// What it is, the graph, options, and what is told.
type Case<'a> = (&'a str, Vec<u8>, &'a [&'a str], &'a [&'a str]);

#[test]
fn what_has_no_end_ends_and_what_raises_the_bound_is_told() {
    let same = || node("Identity", &["v"], &["w"], &[]);
    let grows = || node("Concat", &["v", "v"], &["w"], &[[field(1, "axis"), number(3, 0), number(20, 2)].concat()]);
    let cases: [Case<'_>; 5] = [
        (
            "an endless loop",
            endless(same()),
            &["--allow-operator", "Loop", "--cpu-time", "1"],
            &["1 s of processor time", "--cpu-time"],
        ),
        ("by time", endless(same()), &["--allow-operator", "*", "--time", "2"], &["more than 2 s", "--time"]),
        ("what grows", endless(grows()), &["--allow-operator", "Loop"], &["MB of memory", "--memory"]),
        ("4 GB a chunk", large(4 << 30), &[], &["MB of memory", "--memory"]),
        ("slow without a loop", slow(), &["--cpu-time", "1"], &["1 s of processor time", "--cpu-time"]),
    ];
    for (what, graph, options, parts) in cases {
        let package = Package::new("single");
        package.write("policy.onnx", &graph);
        println!("{what}");
        package.refused(options, parts);
    }
}

#[test]
fn what_is_no_file_or_has_no_end_is_refused_wherever_it_is_named() {
    for (file, what, said) in [
        ("policy.yaml", "pipe", "plain file is wanted"),
        ("policy.yaml", "sparse", "6442450944 bytes"),
        ("robot.urdf", "/dev/zero", "plain file is wanted"),
        ("robot.urdf", "sparse", "6442450944 bytes"),
        ("limits.yaml", "pipe", "plain file is wanted"),
        ("golden.json", "/dev/zero", "outside of its package"),
        ("golden.json", "pipe", "plain file is wanted"),
        ("policy.onnx", "sparse", "6442450944 bytes"),
        ("tokenizer.json", "folder", "a file is wanted"),
        ("encoder.yaml", "/etc/passwd", "outside of its package"),
    ] {
        let package = Package::new("single");
        package.put(file, what);
        println!("{file}: {what}");
        package.refused(&[], &[said]);
    }
}

#[test]
fn what_is_deep_or_long_or_many_is_refused() {
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let chain = |count: usize| -> String {
        let joint = |k| {
            format!(
                "<link name='l{k}'/><joint name='j{k}' type='fixed'><parent link='l{k}'/><child link='l{}'/></joint>",
                k + 1
            )
        };
        let joints: String = (0..count).map(joint).collect();
        format!("<robot name='r'><link name='l{count}'/>{joints}</robot>")
    };
    let listed: String = (0..100_000).map(|k| format!("  j{k}: {{max_velocity: 1.0}}\n")).collect();
    let spoil: [(&str, String, &str); 10] = [
        ("robot.urdf", chain(100_000), "200000 elements"),
        ("robot.urdf", chain(5_000), "5000 elements <joint>; at most 1000"),
        ("robot.urdf", nested("<robot>", "</robot>"), "within each other"),
        ("robot.urdf", "<".repeat(5_000_000), "robot description"),
        ("limits.yaml", nested("[", "]"), "limits.yaml"),
        ("limits.yaml", nested("{a: ", "}"), "limits.yaml"),
        ("limits.yaml", format!("joint_limits:\n{listed}"), "limits.yaml"),
        ("policy.yaml", nested("[", "]"), "policy.yaml"),
        ("policy.yaml", "- ".repeat(100_000), "policy.yaml"),
        ("golden.json", format!("{{\"joints\": {}}}", nested("[", "]")), "golden.json"),
    ];
    for (file, text, said) in spoil {
        let package = Package::new("single");
        println!("{file}: {} bytes", text.len());
        package.write(file, text.as_bytes());
        package.refused(&[], &[said]);
    }
}

#[test]
fn names_that_are_not_what_they_look_like_are_refused() {
    let long = "x".repeat(3 << 20);
    for (from, to, said) in [
        ("name: single", "name: \"sin\\u202egle\"", "policy.name"),
        ("name: single", "name: \"sin\\u0007gle\"", "policy.name"),
        ("name: single", &format!("name: {long}"), "policy.name"),
        ("version: 0.0.1", "version: \"0\\n1\"", "policy.version"),
        ("description: A fixture.", "description: \"A \\u2066fixture.\"", "policy.description"),
        ("note: not trained", "note: \"\\u202e\"", "training.note"),
        ("tensor: text", "tensor: \"te\\u200bxt\"", "observation.language.tensor"),
        ("file: policy.onnx", "file: ../single/policy.onnx", "graphs.policy.file"),
    ] {
        let package = Package::new("single");
        package.replace("policy.yaml", from, to);
        package.refused(&[], &["policy.yaml", said]);
    }
    let package = Package::new("single");
    package.replace("robot.urdf", "slide_x", "sli\u{202e}de_x");
    package.refused(&[], &["joint", "u{202e}"]);
    let package = Package::new("single");
    package.replace("robot.urdf", "slide_x", &"y".repeat(10 << 20));
    package.refused(&[], &["10485760 bytes"]);
}

/// Numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }
}

/// Spoils one thing of a package, says what.
fn spoil(dice: &mut Dice, package: &Package) -> String {
    let graphs: Vec<String> = std::fs::read_dir(&package.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".onnx"))
        .collect();
    let graph = graphs.iter().min().unwrap().clone();
    let file = dice.of(&[
        "policy.yaml",
        "golden.json",
        "robot.urdf",
        "limits.yaml",
        "encoder.yaml",
        "tokenizer.json",
        "model.onnx",
        &graph,
        &graph,
    ]);
    let mut bytes = package.read(file);
    let way = dice.roll(10);
    match way {
        0 => {
            let what = dice.of(&["pipe", "folder", "sparse", "/dev/zero", "/dev/urandom", "/etc/passwd"]);
            package.put(file, what);
            return format!("{file} is a {what}");
        }
        1 => bytes.truncate(dice.roll(bytes.len())),
        2 => (0..1 + dice.roll(20)).for_each(|_| {
            let at = dice.roll(bytes.len());
            bytes[at] = dice.roll(256) as u8;
        }),
        3 => {
            let more = dice.of(&["[", "{\"a\":", "<a>", "- ", "&a [*a,", "\u{202e}", "\0", "!!"]).repeat(100_000);
            let at = dice.roll(bytes.len());
            bytes.splice(at..at, more.into_bytes());
        }
        4 => {
            // A number becomes another one.
            let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
            if let Some(at) = digits.get(dice.roll(digits.len())) {
                let other = dice.of(&["1e308", "-1", "99999999999999999999", "NaN", "0", "1000000000", "2147483648"]);
                bytes.splice(*at..*at + 1, other.bytes());
            }
        }
        5 => {
            let length = dice.roll(bytes.len());
            let piece = bytes[..length].to_vec();
            bytes.extend(piece);
        }
        6 => bytes = (0..dice.roll(1 << 20)).map(|_| dice.roll(256) as u8).collect(),
        7 => {
            // A letter becomes what does not show.
            let letters: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_alphabetic()).collect();
            if let Some(at) = letters.get(dice.roll(letters.len())) {
                bytes.splice(*at..*at + 1, dice.of(&["\u{202e}", "\u{7}", "\u{200b}", "\u{2066}"]).bytes());
            }
        }
        8 => bytes.extend(vec![b' '; dice.roll(40) << 20]),
        _ => {
            let long = b"n".repeat(dice.of(&[2_000, 1 << 20, 10 << 20]));
            let at = dice.roll(bytes.len());
            bytes.splice(at..at, long);
        }
    }
    package.write(file, &bytes);
    format!("{file}, way {way}")
}

/// So many packages, each with one thing spoilt, and some graphs without an end.
fn generated(count: usize) {
    let mut dice = Dice(20);
    let mut slowest = (Duration::ZERO, String::new());
    let mut accepted = 0;
    for k in 0..count {
        let package = Package::new(dice.of(&["single", "flow", "ddpm", "ddim", "tokens", "recurrent"]));
        let mut options: Vec<&str> = Vec::new();
        let what = match k % 20 {
            7 => {
                let package_graph = package.file("policy.onnx");
                if package_graph.exists() && package.folder.ends_with("single") {
                    package.write("policy.onnx", &large(u64::from(1 + dice.roll(40) as u32) << 28));
                    options.extend(["--cpu-time", "3"]);
                    "a large value".to_owned()
                } else {
                    spoil(&mut dice, &package)
                }
            }
            _ => spoil(&mut dice, &package),
        };
        let began = Instant::now();
        let output = package.check(&options);
        let (code, words) = (output.status.code(), words(&output));
        assert!(matches!(code, Some(0 | 1)), "{k}: {what}: {code:?} {words}");
        assert!(!words.contains("panicked") && words.len() < 50_000, "{k}: {what}: {}", &words[..300.min(words.len())]);
        assert_eq!(code == Some(0), words.contains("will run on"), "{k}: {what}: {words}");
        accepted += usize::from(code == Some(0));
        if began.elapsed() > slowest.0 {
            slowest = (began.elapsed(), format!("{k}: {what}"));
        }
    }
    // SAFETY: the call fills a plain value.
    let most = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage.ru_maxrss / 1024
    };
    println!("{count} packages, {accepted} of them run all the same; the slowest took {slowest:?}; {most} MB at most");
    assert!(most < 1500, "{most} MB");
    Package::new("flow").accepted(&[]);
}

#[test]
fn a_dozen_generated_packages_are_answered() {
    generated(12);
}

#[test]
#[ignore = "some minutes; `./efm test --full` runs it"]
fn two_hundred_generated_packages_are_answered() {
    generated(200);
}

/// The answers of fixtures are JSON, which this crate reads elsewhere too.
#[test]
fn golden_examples_with_other_numbers_are_refused() {
    let spoilt: [(&str, Value); 4] = [
        ("actions", json!([1e308])),
        ("sentence", json!("")),
        ("joints", json!([[[[0.1]]]])),
        ("image_front", json!(vec![300; 18])),
    ];
    for (key, value) in spoilt {
        let package = Package::new("single");
        let mut golden: Value = serde_json::from_slice(&package.read("golden.json")).unwrap();
        golden[key] = value;
        package.write("golden.json", golden.to_string().as_bytes());
        package.refused(&[], &["golden.json", key]);
    }
}
