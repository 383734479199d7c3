// What the tests of MCP share: where weir is, and a way in for clients that cannot send a key.
import { createServer, request } from "node:http";
import { spawn } from "node:child_process";

export const { WEIR_BINARY: binary, WEIR_DATA: data, WEIR_MCP_MODULES: modules, WEIR_MCP_CONFORMANCE: conformance } = process.env;
export const everything = `${modules}/node_modules/@modelcontextprotocol/server-everything/dist/index.js`;
export const ada = { Authorization: "Bearer mcp-key-ada" };
export const url = (server) => new URL(`${data}/mcp/${server}`);
// The command line of `weir mcp` before a server on stdio.
export const proxied = (...command) => ["mcp", "--config", "weir.yaml", "--user", "ada", "--", ...command];

// Adds the key to every request and changes nothing else.
export async function withKey(target) {
  const server = createServer((incoming, outgoing) => {
    const { hostname, port, pathname } = new URL(target);
    const headers = { ...incoming.headers, authorization: ada.Authorization };
    const onward = request({ hostname, port, path: pathname, method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      outgoing.flushHeaders();
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => onward.destroy());
    incoming.pipe(onward);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/mcp`, close: () => server.closeAllConnections() ?? server.close() };
}

// Runs a program to its end and gives what it printed.
export function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    let printed = "";
    child.stdout.on("data", (chunk) => { printed += chunk; });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, printed }));
  });
}
