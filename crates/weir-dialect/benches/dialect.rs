//! Cost of reading requests and streams, beside the plain way with `serde_json::Value`.

fn main() {
    divan::main();
}
