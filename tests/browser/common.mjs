// What the tests of the console share: the browser, signing in, traffic, and looking for what is wrong on a page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, beforeEach } from "node:test";

import { chromium } from "playwright-core";

export const DATA = process.env.WEIR_DATA;
export const ADMIN = process.env.WEIR_ADMIN;
/** A weir whose rules are written in files. */
export const FILES_ADMIN = process.env.WEIR_FILES_ADMIN;

export const OPERATOR = "browser-operator";
export const APPROVER = "browser-approver";
export const VIEWER = "browser-viewer";

/** Against hanging only: how long anything on a page may take, in milliseconds, on a slow machine that does other work. */
export const PATIENCE = 60_000;

export const SCHEMES = ["light", "dark"];
export const WIDTHS = { wide: { width: 1280, height: 900 }, narrow: { width: 390, height: 844 } };

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const launched = [];
export async function launch() {
  const args = ["--no-sandbox", "--disable-dev-shm-usage"];
  const browser = await chromium.launch({ executablePath: process.env.WEIR_BROWSER, args });
  launched.push(browser);
  return browser;
}

/**
 * Makes what the tests of a file share before the first of them that runs; after the last one it is checked and taken
 * away, and browsers are closed whatever happens. A `before` of the runner would run also where a filter leaves no test of
 * the file, and would not be waited for: its browser stayed, and the runner with it.
 */
export function shared(make, end = () => {}) {
  let made;
  beforeEach(() => (made ??= make()));
  after(async () => {
    if (!made) return;
    try {
      await made;
      await end();
    } finally {
      await Promise.all(launched.map((browser) => browser.close()));
    }
  });
}

/** A page of a browser of its own, which notes what the console of the browser complains about. */
export async function open(browser, { scheme = "light", size = WIDTHS.wide, scripts = true, base = ADMIN } = {}) {
  const context = await browser.newContext({
    baseURL: base,
    colorScheme: scheme,
    viewport: size,
    javaScriptEnabled: scripts,
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  if (process.env.SLOW) {
    const tools = await context.newCDPSession(page);
    await tools.send("Emulation.setCPUThrottlingRate", { rate: Number(process.env.SLOW) });
  }
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // A refusal that a test asks for is told by the browser as well; a test that asks for one looks at its words.
    const refusal = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !refusal) page.complaints.push(message.text());
  });
  return page;
}

export async function signIn(page, token = OPERATOR) {
  await page.goto("/sign-in");
  await page.locator("main input[type=password]").fill(token);
  await page.locator("main form button[type=submit], main form button:not([type])").first().click();
  await page.waitForURL((url) => url.pathname !== "/sign-in");
}

/**
 * Waits until a place on a page says what it should, and the page is there as a whole: a button leads to the next page in
 * its own time, and what is read of it before its end came may be half of it. Gives all that the place says.
 */
export async function says(place, expected) {
  const found = place.filter({ hasText: expected }).first();
  try {
    await found.waitFor();
  } catch {
    assert.fail(`${expected} did not come; instead: ${(await place.allTextContents()).join(" | ") || "nothing"}`);
  }
  await place.page().waitForLoadState();
  return found.textContent();
}

/** What axe-core finds that is serious or critical. */
export async function faults(page) {
  // What is looked at is not to be exchanged meanwhile.
  await page.evaluate(() => window.weir?.pause(true));
  // The policy of the page forbids scripts of others, so axe comes in by the browser's own way.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target}: ${node.any.map((any) => any.message)}`).join("; ")}`);
}

/** Asks the admin API; `expected` is the status. */
export async function api(method, path, body, { expected, token = OPERATOR, base = ADMIN, type } = {}) {
  const response = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": type ?? "application/json" }) },
    body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  if (expected !== undefined) assert.equal(response.status, expected, text);
  else assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text;
}

/** One request through the data plane. */
export async function chat(key, { model = "sim/free", prompt = "hello", headers = {} } = {}) {
  const response = await fetch(`${DATA}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
    body: JSON.stringify({ model, messages: [{ role: "user", content: prompt }] }),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** Asks again until there is an answer that is not empty: for what other tasks of weir do in the background. */
export async function until(what, probe) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) assert.fail(`${what} did not come within ${PATIENCE} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A session of the Model Context Protocol with a tool server behind weir. */
export async function mcp(key, server = "notes") {
  const headers = {
    authorization: `Bearer ${key}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
  };
  let number = 0;
  const send = async (message) => {
    const response = await fetch(`${DATA}/mcp/${server}`, {
      method: "POST",
      headers,
      body: JSON.stringify({ jsonrpc: "2.0", ...message }),
    });
    const session = response.headers.get("mcp-session-id");
    if (session) headers["mcp-session-id"] = session;
    const text = await response.text();
    if (!text) return undefined;
    const data = text.startsWith("{") ? text : text.split("\n").filter((line) => line.startsWith("data: {")).at(-1).slice(6);
    return JSON.parse(data);
  };
  const ask = (method, params = {}) => send({ id: (number += 1), method, params });
  const { result } = await ask("initialize", {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name: "browser-tests", version: "1" },
  });
  headers["mcp-protocol-version"] = result.protocolVersion;
  await send({ method: "notifications/initialized" });
  return {
    list: async () => (await ask("tools/list")).result.tools.map((tool) => tool.name),
    call: async (name, args = { name: "n" }) => {
      const { result, error } = await ask("tools/call", { name, arguments: args });
      return { ok: !error && !result.isError, text: JSON.stringify(result ?? error) };
    },
  };
}
