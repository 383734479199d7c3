// The OpenAI SDK for Node, unmodified, against weir.
import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

import { DATA, KEY, MODEL, PROMPT, REFUSALS, WEATHER, all, broken, checkHeaders, refused } from "./common.mjs";

const messages = [{ role: "user", content: PROMPT }];
const ERRORS = {
  400: OpenAI.BadRequestError,
  401: OpenAI.AuthenticationError,
  402: OpenAI.APIError, // it has no class of its own
  403: OpenAI.PermissionDeniedError,
  404: OpenAI.NotFoundError,
  429: OpenAI.RateLimitError,
  503: OpenAI.InternalServerError,
};

const client = (key = KEY) =>
  new OpenAI({ baseURL: `${DATA}/v1`, apiKey: key, maxRetries: 0, timeout: 30_000 });

const chat = ({ key, model = MODEL, headers, ...more } = {}) =>
  client(key).chat.completions.create({ model, messages, ...more }, { headers });
const respond = ({ key, model = MODEL, headers, ...more } = {}) =>
  client(key).responses.create({ model, input: PROMPT, ...more }, { headers });
const embed = ({ key, model = MODEL, headers } = {}) =>
  client(key).embeddings.create({ model, input: PROMPT }, { headers });

test("chat", async () => {
  const { data, response } = await chat().withResponse();
  checkHeaders(response.headers);
  assert.equal(data.model, MODEL);
  assert.ok(data.choices[0].message.content.includes(PROMPT));
  assert.equal(data.choices[0].finish_reason, "stop");
  assert.ok(data.usage.prompt_tokens > 0 && data.usage.completion_tokens > 0);
});

test("chat, streamed", async () => {
  const { data, response } = await chat({
    stream: true,
    stream_options: { include_usage: true },
  }).withResponse();
  checkHeaders(response.headers);
  const chunks = await all(data);
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  assert.ok(text.includes(PROMPT), text);
  assert.deepEqual([...new Set(chunks.map((chunk) => chunk.model))], [MODEL]);
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
});

test("chat calls a tool", async () => {
  const tools = [{ type: "function", function: { name: "weather", parameters: WEATHER } }];
  const answer = await chat({ model: "sim/tool", tools });
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  assert.equal(answer.choices[0].message.tool_calls[0].function.name, "weather");
});

test("responses", async () => {
  const { data, response } = await respond().withResponse();
  checkHeaders(response.headers);
  assert.equal(data.model, MODEL);
  assert.equal(data.status, "completed");
  assert.ok(data.output_text.includes(PROMPT));
  assert.ok(data.usage.output_tokens > 0);
});

test("responses, streamed", async () => {
  const stream = client().responses.stream({ model: MODEL, input: PROMPT });
  const events = await all(stream);
  const text = events
    .filter((event) => event.type === "response.output_text.delta")
    .map((event) => event.delta)
    .join("");
  assert.ok(text.includes(PROMPT), text);
  const final = await stream.finalResponse();
  assert.equal(final.output_text, text);
  assert.ok(final.usage.output_tokens > 0);
});

test("embeddings", async () => {
  const answer = await embed();
  assert.ok(answer.data[0].embedding.length > 0);
  assert.ok(answer.data[0].embedding.every((number) => typeof number === "number"));
  assert.ok(answer.usage.prompt_tokens > 0);
});

test("models", async () => {
  const models = (await all(client().models.list())).map((model) => model.id);
  assert.ok(models.includes("listed/echo") && models.includes(MODEL), models.join(" "));
});

test("a free model without a key", async () => {
  const answer = await chat({ key: "anonymous", model: "sim/free" });
  assert.ok(answer.choices[0].message.content.includes(PROMPT));
});

for (const [status, { errorType, ...given }] of Object.entries(REFUSALS)) {
  const calls = {
    chat: () => chat(given),
    "chat, streamed": () => chat({ ...given, stream: true }),
    responses: () => respond(given),
    "responses, streamed": () => respond({ ...given, stream: true }),
    embeddings: () => embed(given),
  };
  for (const [operation, call] of Object.entries(calls)) {
    test(`${status}: ${operation}`, async () => {
      const error = await refused(call, ERRORS[status], Number(status), errorType);
      assert.equal(error.code, errorType);
    });
  }
}

test("bad requests", async () => {
  for (const call of [() => chat({ messages: "no list" }), () => respond({ input: 7 })]) {
    await refused(call, ERRORS[400], 400, "invalid_request");
  }
});

test("a paid model without a key", async () => {
  await refused(() => chat({ key: "anonymous" }), ERRORS[401], 401, "paid_model_auth_required");
});

test("a limit lets its number pass", async () => {
  const key = "sdk-limited-openai-node";
  await chat({ key });
  await chat({ key });
  const error = await refused(() => chat({ key }), ERRORS[429], 429, "rate_limit_exceeded");
  assert.equal(error.headers.get("x-weir-limit"), "rule:two-an-hour");
});

test("a stream that breaks throws", async () => {
  const error = await broken(await chat({ model: "sim/cut", stream: true }));
  assert.ok(error instanceof OpenAI.APIError && !(error instanceof OpenAI.APIConnectionError), `${error}`);
});
