//! Where fuzzing begins.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::Value;

/// A name for people, and an input.
pub type Seed = (String, Vec<u8>);

/// The heads of inputs: how each body comes when it is a seed.
const AS_IT_IS: [u8; 4] = [9, 0, 0, 0];
const IN_A_STREAM: [u8; 4] = [2, 1, 0, 1];
const GZIPPED: [u8; 4] = [10, 0, 1, 2];
const DEFLATED: [u8; 4] = [3, 0, 2, 0];

fn seed(name: &str, head: [u8; 4], body: &[u8]) -> Seed {
    (name.to_owned(), [head.as_slice(), body].concat())
}

/// The files, the labelled failures and the cases: what is small enough to be mutated.
pub fn small() -> Vec<Seed> {
    let mut seeds = files();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    for (file, members) in
        [("failures.jsonl", vec!["/body"]), ("cases.jsonl", vec!["/given/body", "/given/text"])]
    {
        let text = std::fs::read_to_string(data.join(file)).unwrap();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let bodies = members.iter().filter_map(|member| line.pointer(member)?.as_str());
            seeds.extend(bodies.map(|body| seed(file, AS_IT_IS, body.as_bytes())));
        }
    }
    let gzip = gzipped(b"{\"error\": {\"message\": \"slow down\", \"code\": \"rate_limit_exceeded\"}}");
    seeds.push(seed("gzip", GZIPPED, &gzip));
    seeds.push(seed("gzip cut short", GZIPPED, &gzip[..gzip.len() / 2]));
    seeds.push(seed("gzip in gzip", GZIPPED, &gzipped(&gzip)));
    seeds
}

/// The files of `seeds`: shapes by hand, and inputs that once broke something. They have their heads.
fn files() -> Vec<Seed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &Path| (path.display().to_string(), std::fs::read(path).unwrap());
    paths.iter().map(|path| read(path)).collect()
}

/// What is large: run as it is, never mutated.
pub fn large() -> Vec<Seed> {
    const FIFTY_MB: usize = 50_000_000;
    let unit = |unit: &str, bytes: usize| unit.repeat(bytes / unit.len());
    let binary: Vec<u8> = (0..FIFTY_MB).map(|n| ((n * 7919) >> 3) as u8).collect();
    let mut seeds = vec![
        seed("50 MB of binary", AS_IT_IS, &binary),
        seed("50 MB of prose", AS_IT_IS, unit("the model is overloaded, ", FIFTY_MB).as_bytes()),
        seed("a zip bomb", GZIPPED, &gzipped(&vec![b'{'; FIFTY_MB])),
        seed("a bomb of deflate", DEFLATED, &deflated(&vec![b' '; FIFTY_MB])),
        seed("a bomb in a bomb", GZIPPED, &gzipped(&gzipped(&vec![b'a'; FIFTY_MB]))),
    ];
    // Each is about as long as is read of a body.
    for text in [
        "{\"error\":",
        "[",
        "{",
        "\"",
        "\\\"",
        "\\",
        "'",
        "{'a':",
        "data: {\"error\":{\"message\":\"x\"}}\n\n",
        "data:",
        "<p>",
        "<html><title>x",
        "&#x27;",
        "{\\\"error\\\":",
        "{\"error\":{\"message\":\"{",
        "http://10.0.0.1/",
        "://",
        "try again in 1s ",
        "Error code: 429 - {",
        "API error (429",
        "\u{0}",
        "\u{feff}",
        "日本語",
        "error: ",
        "\r\n",
        "{\"a\":1}",
        "sk-",
        "\"code\":\"x\",",
        "An error occurred (",
        "-----BEGIN PRIVATE KEY-----",
        "<",
        "&",
        "(",
        "at /",
    ] {
        seeds.push(seed(&format!("a MB of {text:?}"), AS_IT_IS, unit(text, 1_100_000).as_bytes()));
        seeds.push(seed(
            &format!("a MB of {text:?} in a stream"),
            IN_A_STREAM,
            unit(text, 1_100_000).as_bytes(),
        ));
    }
    let mut nested = "\"it broke\"".to_owned();
    while nested.len() < 200_000 {
        nested = serde_json::to_string(&format!("{{\"error\": {{\"message\": {nested}}}}}")).unwrap();
    }
    seeds.push(seed("JSON in JSON in JSON", AS_IT_IS, nested.as_bytes()));
    seeds
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
