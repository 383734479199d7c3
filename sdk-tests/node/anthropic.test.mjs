// The Anthropic SDK for Node, unmodified, against weir.
import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { DATA, KEY, MODEL, PROMPT, REFUSALS, WEATHER, broken, checkHeaders, refused } from "./common.mjs";

const messages = [{ role: "user", content: PROMPT }];
const ERRORS = {
  400: Anthropic.BadRequestError,
  401: Anthropic.AuthenticationError,
  402: Anthropic.APIError,
  403: Anthropic.PermissionDeniedError,
  404: Anthropic.NotFoundError,
  429: Anthropic.RateLimitError,
  503: Anthropic.InternalServerError,
};
const TYPES = {
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
  503: "api_error",
};

const client = (key = KEY) =>
  new Anthropic({ baseURL: DATA, apiKey: key, maxRetries: 0, timeout: 30_000 });

const create = ({ key, model = MODEL, headers, ...more } = {}) =>
  client(key).messages.create({ model, messages, max_tokens: 64, ...more }, { headers });
const count = ({ key, model = MODEL, headers } = {}) =>
  client(key).messages.countTokens({ model, messages }, { headers });

test("messages", async () => {
  const { data, response } = await create().withResponse();
  checkHeaders(response.headers);
  assert.equal(data.model, MODEL);
  assert.equal(data.stop_reason, "end_turn");
  assert.ok(data.content[0].text.includes(PROMPT));
  assert.ok(data.usage.input_tokens > 0 && data.usage.output_tokens > 0);
});

test("messages, streamed", async () => {
  const stream = client().messages.stream({ model: MODEL, messages, max_tokens: 64 });
  const text = [];
  stream.on("text", (delta) => text.push(delta));
  const final = await stream.finalMessage();
  assert.ok(text.join("").includes(PROMPT), text.join(""));
  assert.equal(final.content[0].text, text.join(""));
  assert.equal(final.model, MODEL);
  assert.equal(final.stop_reason, "end_turn");
  assert.ok(final.usage.output_tokens > 0);
});

test("messages call a tool", async () => {
  const answer = await create({ model: "sim/tool", tools: [{ name: "weather", input_schema: WEATHER }] });
  assert.equal(answer.stop_reason, "tool_use");
  assert.equal(answer.content.find((block) => block.type === "tool_use").name, "weather");
});

test("count of tokens", async () => {
  assert.ok((await count()).input_tokens > 0);
});

for (const [status, { errorType, ...given }] of Object.entries(REFUSALS)) {
  const calls = {
    messages: () => create(given),
    "messages, streamed": () => create({ ...given, stream: true }),
    "count of tokens": () => count(given),
  };
  for (const [operation, call] of Object.entries(calls)) {
    test(`${status}: ${operation}`, async () => {
      const error = await refused(call, ERRORS[status], Number(status), errorType);
      assert.equal(error.error.error.type, TYPES[status]);
    });
  }
}

test("bad requests", async () => {
  await refused(() => create({ messages: "no list" }), ERRORS[400], 400, "invalid_request");
});

test("a limit lets its number pass", async () => {
  const key = "sdk-limited-anthropic-node";
  await create({ key });
  await create({ key });
  const error = await refused(() => create({ key }), ERRORS[429], 429, "rate_limit_exceeded");
  assert.equal(error.headers.get("x-weir-limit"), "rule:two-an-hour");
});

test("a stream that breaks throws", async () => {
  const error = await broken(await create({ model: "sim/cut", stream: true }));
  assert.ok(error instanceof Anthropic.APIError && !(error instanceof Anthropic.APIConnectionError), `${error}`);
});
