//! Embeddings: a small vector of length one that follows from the text alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Head;
use super::scene::Scene;

/// Of a vector when the request does not say.
const DIMENSIONS: usize = 8;

/// More are not made: a request cannot ask for memory.
const DIMENSIONS_MAX: usize = 4096;

pub(super) fn whole(head: &Head<'_>, scene: &Scene) -> Value {
    let dimensions = scene.dimensions.unwrap_or(DIMENSIONS).clamp(1, DIMENSIONS_MAX);
    let data: Vec<Value> = scene
        .inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input, dimensions);
            let embedding = if scene.base64 { json!(packed(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    json!({
        "object": "list",
        "data": data,
        "model": head.model,
        "usage": {"prompt_tokens": scene.input_words, "total_tokens": scene.input_words},
    })
}

/// Little-endian single floats in base64, as the OpenAI SDKs ask for by themselves.
fn packed(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

/// Numbers from a hash of the text (FNV-1a, mixed on for each), scaled to length one.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut state = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let raw: Vec<f32> = (0..dimensions)
        .map(|_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let high = u16::try_from(state >> 48).unwrap_or_default();
            f32::from(high) / f32::from(u16::MAX) - 0.5
        })
        .collect();
    let length = raw.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > 0.0 { raw.into_iter().map(|number| number / length).collect() } else { raw }
}
