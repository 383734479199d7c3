// The official suite, servers and clients, through a real weir.
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import * as modern from "@modelcontextprotocol/client";
import { StdioClientTransport as ModernStdio } from "@modelcontextprotocol/client/stdio";
import { ada, binary, conformance, everything, modules, proxied, run, url, withKey } from "./common.mjs";

const node = process.execPath;
const over = {
  stdio: () => new StdioClientTransport({ command: binary, args: proxied(node, everything, "stdio"), env: process.env, stderr: "ignore" }),
  http: () => new StreamableHTTPClientTransport(url("everything"), { requestInit: { headers: ada } }),
};

// It is closed whatever becomes of the test: the server that it started would keep the runner waiting.
async function connected(t, transport, Kind = Client) {
  const client = new Kind({ name: "test", version: "1" }, { capabilities: { elicitation: {}, sampling: {} } });
  t.after(() => client.close());
  await client.connect(transport);
  return client;
}

// Each scenario with how many of its checks passed and failed.
async function suite(target) {
  const cli = `${modules}/node_modules/@modelcontextprotocol/conformance/dist/index.js`;
  const { printed } = await run(node, [cli, "server", "--url", target, "-o", mkdtempSync(join(tmpdir(), "weir-mcp-"))]);
  return printed.split("=== SUMMARY ===")[1]?.trim() ?? printed;
}

test("the conformance suite gives through weir what it gives without", async (t) => {
  const ways = await Promise.all([withKey(url("conformance")), withKey(url("conformance-http"))]);
  t.after(() => ways.forEach((way) => way.close()));
  const [direct, ...through] = await Promise.all([conformance, ...ways.map((way) => way.url)].map(suite));
  assert.match(direct, /Total: \d{2,} passed, 0 failed/);
  for (const result of through) assert.equal(result, direct);
});

for (const [name, transport] of Object.entries(over)) {
  test(`the TypeScript SDK before server-everything over ${name}`, async (t) => {
    const client = await connected(t, transport());
    const { tools } = await client.listTools();
    const names = tools.map((tool) => tool.name);
    assert.ok(names.includes("echo") && !names.includes("get-tiny-image"), names.join());
    const said = await client.callTool({ name: "echo", arguments: { message: "hello" } });
    assert.equal(said.content[0].text, "Echo: hello");

    const denied = await client.callTool({ name: "get-env", arguments: {} });
    assert.equal(denied.isError, true);
    assert.match(denied.content[0].text, /^Blocked: .*The environment holds keys.*Ask the operator.*Relay this to the user/s);
    assert.equal(denied.structuredContent.rule, "no-environment");
    // The tool promises a form for its results: the client would throw another one away, and the model would not hear.
    const promised = await client.callTool({ name: "get-structured-content", arguments: { location: "Chicago" } });
    assert.match(promised.content[0].text, /^Blocked: /);
    const hidden = await client.callTool({ name: "get-tiny-image", arguments: {} });
    assert.equal(hidden.structuredContent.kind, "unknown_tool");

    assert.ok((await client.listResources()).resources.length > 0);
    assert.ok((await client.listPrompts()).prompts.length > 0);
    // As it arrives: the SDK hands a step on later than it takes the result, and drops one that came together with it.
    const steps = [];
    const taken = client.transport.onmessage;
    client.transport.onmessage = (message, extra) => {
      if (message.method === "notifications/progress") steps.push(message.params.progress);
      taken(message, extra);
    };
    const slow = { name: "trigger-long-running-operation", arguments: { duration: 0.2, steps: 2 } };
    await client.callTool(slow, undefined, { onprogress: () => {} });
    assert.deepEqual(steps, [1, 2]);
    await client.close();
  });
}

test("the TypeScript SDK of the current protocol falls back to the server's", async (t) => {
  const transports = [
    new ModernStdio({ command: binary, args: proxied(node, everything, "stdio"), env: process.env, stderr: "ignore" }),
    new modern.StreamableHTTPClientTransport(url("everything"), { requestInit: { headers: ada } }),
  ];
  for (const transport of transports) {
    const client = await connected(t, transport, modern.Client);
    const denied = await client.callTool({ name: "get-env", arguments: {} });
    assert.equal(denied.structuredContent.rule, "no-environment");
    const said = await client.callTool({ name: "echo", arguments: { message: "hello" } });
    assert.equal(said.content[0].text, "Echo: hello");
    await client.close();
  }
});

test("server-filesystem works, within the ceiling of the key's channel", async (t) => {
  const folder = mkdtempSync(join(process.cwd(), "files-"));
  writeFileSync(join(folder, "note.txt"), "found");
  const path = join(folder, "note.txt");
  const client = await connected(t, new StreamableHTTPClientTransport(url("files"), { requestInit: { headers: ada } }));
  const read = await client.callTool({ name: "read_text_file", arguments: { path } });
  assert.equal(read.content[0].text, "found");
  await client.close();
  const web = { Authorization: "Bearer mcp-key-web" };
  const low = await connected(t, new StreamableHTTPClientTransport(url("files"), { requestInit: { headers: web } }));
  const write = await low.callTool({ name: "write_file", arguments: { path, content: "x" } });
  assert.match(write.content[0].text, /^Blocked: .*tools\.channel_permissions\.web/s);
  await low.close();
});

test("who has no key has no way in", async (t) => {
  await assert.rejects(connected(t, new StreamableHTTPClientTransport(url("everything"))), /API key/);
});

// It has no secrets to keep.
process.env.MCP_INSPECTOR_SECRET_STORE = "memory";

// The inspector's command line, with a server as its configuration names it.
for (const [name, server] of Object.entries({
  stdio: { command: binary, args: proxied(node, everything, "stdio"), env: process.env },
  http: { type: "streamable-http", url: url("everything").toString(), headers: ada },
})) {
  test(`the inspector's command line before server-everything over ${name}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "weir-mcp-"));
    const config = join(folder, "mcp.json");
    writeFileSync(config, JSON.stringify({ mcpServers: { weir: server } }));
    const cli = `${modules}/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js`;
    const inspect = async (...args) => {
      const { printed } = await run(node, [cli, "--cli", "--config", config, "--server", "weir", ...args]);
      return JSON.parse(printed.slice(printed.indexOf("{")));
    };
    const { tools } = await inspect("--method", "tools/list");
    assert.ok(tools.some((tool) => tool.name === "echo") && !tools.some((tool) => tool.name === "get-tiny-image"));
    const said = await inspect("--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=hello");
    assert.equal(said.content[0].text, "Echo: hello");
    const denied = await inspect("--method", "tools/call", "--tool-name", "get-env");
    assert.match(denied.content[0].text, /^Blocked: .*Relay this to the user/s);
    assert.equal(denied.structuredContent.rule, "no-environment");
  });
}
