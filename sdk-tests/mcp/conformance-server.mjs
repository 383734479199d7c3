// The server that the official conformance suite asks for, on the official SDK: over stdio, or with a port over HTTP.
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import * as types from "@modelcontextprotocol/sdk/types.js";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";
const pause = () => new Promise((resolve) => setTimeout(resolve, 50));
const text = (said) => ({ type: "text", text: said });
const image = { type: "image", data: PNG, mimeType: "image/png" };
const resource = (uri, body) => ({ type: "resource", resource: { uri, mimeType: "application/json", text: body } });
const choice = (values, titles) => values.map((value, at) => ({ const: value, title: titles[at] }));

async function elicit(server, extra, message, properties, required) {
  const params = { message, requestedSchema: { type: "object", properties, ...(required ? { required } : {}) } };
  const request = { method: "elicitation/create", params };
  const answer = await server.request(request, types.ElicitResultSchema, { relatedRequestId: extra.requestId });
  return [text(`Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content)}`)];
}

const string = { type: "string" };
const options = ["option1", "option2", "option3"];
const tools = {
  test_simple_text: { run: () => [text("This is a simple text response for testing.")] },
  test_image_content: { run: () => [image] },
  test_audio_content: { run: () => [{ type: "audio", data: WAV, mimeType: "audio/wav" }] },
  test_embedded_resource: { run: () => [resource("test://embedded-resource", "embedded")] },
  test_multiple_content_types: { run: () => [text("Multiple content types test:"), image, resource("test://mixed", "{}")] },
  test_tool_with_logging: {
    run: async (_args, extra) => {
      for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
        await extra.sendNotification({ method: "notifications/message", params: { level: "info", data } });
        await pause();
      }
      return [text("logged")];
    },
  },
  test_tool_with_progress: {
    run: async (_args, extra) => {
      for (const progress of [0, 50, 100]) {
        const progressToken = extra._meta?.progressToken;
        if (progressToken !== undefined) {
          await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress, total: 100 } });
        }
        await pause();
      }
      return [text("done")];
    },
  },
  test_error_handling: { run: () => { throw new Error("This tool intentionally returns an error for testing"); } },
  test_sampling: {
    properties: { prompt: string },
    run: async ({ prompt }, extra, server) => {
      const params = { messages: [{ role: "user", content: text(prompt) }], maxTokens: 100 };
      const request = { method: "sampling/createMessage", params };
      const answer = await server.request(request, types.CreateMessageResultSchema, { relatedRequestId: extra.requestId });
      return [text(`LLM response: ${answer.content.text}`)];
    },
  },
  test_elicitation: {
    properties: { message: string },
    run: ({ message }, extra, server) => elicit(server, extra, message, { username: string, email: string }, ["username", "email"]),
  },
  test_elicitation_sep1034_defaults: {
    run: (_args, extra, server) => elicit(server, extra, "defaults", {
      name: { type: "string", default: "John Doe" },
      age: { type: "integer", default: 30 },
      score: { type: "number", default: 95.5 },
      status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
      verified: { type: "boolean", default: true },
    }),
  },
  test_elicitation_sep1330_enums: {
    run: (_args, extra, server) => elicit(server, extra, "enums", {
      untitledSingle: { type: "string", enum: options },
      titledSingle: { type: "string", oneOf: choice(["value1", "value2", "value3"], ["First Option", "Second Option", "Third Option"]) },
      legacyEnum: { type: "string", enum: ["opt1", "opt2", "opt3"], enumNames: ["Option One", "Option Two", "Option Three"] },
      untitledMulti: { type: "array", items: { type: "string", enum: options } },
      titledMulti: { type: "array", items: { anyOf: choice(["value1", "value2", "value3"], ["First Choice", "Second Choice", "Third Choice"]) } },
    }),
  },
  json_schema_2020_12_tool: {
    schema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: { address: { type: "object", properties: { street: string, city: string } } },
      properties: { name: string, address: { $ref: "#/$defs/address" } },
      additionalProperties: false,
    },
    run: () => [text("ok")],
  },
};

const resources = {
  "test://static-text": { mimeType: "text/plain", text: "This is the content of the static text resource." },
  "test://static-binary": { mimeType: "image/png", blob: PNG },
  "test://example-resource": { mimeType: "text/plain", text: "example" },
  "test://watched-resource": { mimeType: "text/plain", text: "watched" },
};
const prompts = {
  test_simple_prompt: () => [text("This is a simple prompt for testing.")],
  test_prompt_with_arguments: (args) => [text(`Prompt with arguments: arg1='${args.arg1}', arg2='${args.arg2}'`)],
  test_prompt_with_embedded_resource: (args) => [resource(args.resourceUri ?? "test://x", "embedded"), text("Process it.")],
  test_prompt_with_image: () => [image, text("What is this?")],
};

function server() {
  const capabilities = { tools: {}, resources: { subscribe: true }, prompts: {}, logging: {}, completions: {} };
  const made = new Server({ name: "conformance", version: "1" }, { capabilities });
  const on = (schema, answer) => made.setRequestHandler(schema, answer);
  on(types.ListToolsRequestSchema, () => ({
    tools: Object.entries(tools).map(([name, tool]) => ({
      name,
      description: name,
      inputSchema: tool.schema ?? { type: "object", properties: tool.properties ?? {}, required: Object.keys(tool.properties ?? {}) },
    })),
  }));
  on(types.CallToolRequestSchema, async ({ params }, extra) => {
    try {
      return { content: await tools[params.name].run(params.arguments ?? {}, extra, made) };
    } catch (error) {
      return { content: [text(String(error.message))], isError: true };
    }
  });
  on(types.ListResourcesRequestSchema, () => ({ resources: Object.entries(resources).map(([uri, { mimeType }]) => ({ uri, name: uri, mimeType })) }));
  on(types.ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: [{ uriTemplate: "test://template/{id}/data", name: "data" }] }));
  on(types.ReadResourceRequestSchema, ({ params: { uri } }) => {
    const id = /^test:\/\/template\/(.*)\/data$/.exec(uri)?.[1];
    const found = id ? { mimeType: "application/json", text: JSON.stringify({ id, templateTest: true }) } : resources[uri];
    return { contents: [{ uri, ...found }] };
  });
  on(types.SubscribeRequestSchema, () => ({}));
  on(types.UnsubscribeRequestSchema, () => ({}));
  on(types.ListPromptsRequestSchema, () => ({ prompts: Object.keys(prompts).map((name) => ({ name, description: name })) }));
  on(types.GetPromptRequestSchema, ({ params }) => ({
    messages: prompts[params.name](params.arguments ?? {}).map((content) => ({ role: "user", content })),
  }));
  on(types.CompleteRequestSchema, () => ({ completion: { values: ["paris", "park"], total: 2, hasMore: false } }));
  on(types.SetLevelRequestSchema, () => ({}));
  return made;
}

async function overHttp(port) {
  const sessions = new Map();
  const http = createServer(async (request, response) => {
    let transport = sessions.get(request.headers["mcp-session-id"]);
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => sessions.set(id, transport),
        enableDnsRebindingProtection: true,
        allowedHosts: [`127.0.0.1:${http.address().port}`, `localhost:${http.address().port}`],
      });
      await server().connect(transport);
    }
    await transport.handleRequest(request, response);
  });
  http.listen(port, "127.0.0.1", () => console.log(`ready http://127.0.0.1:${http.address().port}/mcp`));
}

if (process.argv[2] === undefined) {
  await server().connect(new StdioServerTransport());
} else {
  await overHttp(Number(process.argv[2]));
}
