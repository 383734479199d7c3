// What both SDKs' tests share: where weir is, and what every answer of its must carry.
import assert from "node:assert/strict";

export const DATA = process.env.WEIR_DATA;
assert.match(DATA ?? "", /^http:\/\/127\.0\.0\.1:/, "WEIR_DATA says where weir is");

export const KEY = "sdk-key";
export const PROMPT = "Say this, please.";
export const MODEL = "sim/echo";

// Status -> how to bring it about: the key, the model, or a header, and the type of error that must come of it.
export const REFUSALS = {
  401: { key: "not-a-key", errorType: "invalid_api_key" },
  402: { key: "sdk-broke-key", errorType: "usage_limit_exceeded" },
  403: { headers: { "x-weir-feature": "blocked" }, errorType: "abuse_blocked" },
  404: { model: "nobody/nothing", errorType: "model_not_found" },
  429: { headers: { "x-weir-feature": "throttled" }, errorType: "rate_limit_exceeded" },
  503: { model: "keyless/model", errorType: "temporarily_unavailable" },
};

export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};

// Every answer names its decision and its request, and says what weir cost.
export function checkHeaders(headers) {
  assert.match(headers.get("x-weir-decision"), /^dec_[0-9a-f-]{36}$/);
  assert.ok(headers.get("x-request-id"));
  assert.match(headers.get("x-weir-overhead-ms"), /^\d+(\.\d+)?$/);
}

// Calls, expects an error of exactly this class with this status and type, and gives it.
export async function refused(call, errorClass, status, errorType) {
  const error = await thrown(call);
  assert.ok(error instanceof errorClass, `${status}: ${error?.constructor?.name}: ${error?.message}`);
  assert.equal(error.status, status);
  checkHeaders(error.headers);
  const body = error.error.error ?? error.error;
  assert.equal(body.error_type, errorType);
  assert.equal(body.decision, error.headers.get("x-weir-decision"));
  assert.equal(error.headers.get("x-should-retry"), [429, 503].includes(status) ? null : "false");
  if (status === 429) {
    assert.ok(Number(error.headers.get("retry-after")) >= 1);
    assert.ok(error.headers.get("x-weir-limit"));
  }
  return error;
}

export async function thrown(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  assert.fail("nothing was thrown");
}

// Reads a stream that breaks, and gives what was thrown; something must have come before.
export async function broken(stream) {
  const items = [];
  const error = await thrown(async () => {
    for await (const item of stream) items.push(item);
  });
  assert.ok(items.length > 0, `nothing came before ${error}`);
  return error;
}

// The members of a stream, as a list.
export async function all(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}
