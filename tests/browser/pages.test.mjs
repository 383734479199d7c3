// Every page in both colour schemes: nothing that axe-core calls serious, nothing that the browser complains about, nothing
// wider than a phone. With SCREENSHOTS a picture of each, wide and narrow.
import assert from "node:assert/strict";
import { test } from "node:test";

import { DATA, OPERATOR, SCHEMES, WIDTHS, api, chat, faults, launch, mcp, open, shared, signIn, until } from "./common.mjs";

/** What is there, and what it is called in a picture's name. */
const PAGES = {
  now: "/",
  decisions: "/decisions",
  "decisions-none": "/decisions?outcome=block&where=model=nobody",
  "decisions-wrong": "/decisions?where=what%20is%20this",
  "decisions-unknown": "/decisions?outcome=blok&subject=ada",
  decision: () => `/decisions/${seen.blocked}`,
  "decision-failed": () => `/decisions/${seen.failed}`,
  "decision-unknown": "/decisions/dec_00000000-0000-7000-8000-000000000000",
  identities: "/identities",
  identity: "/identities/user%3Aada",
  anonymous: () => `/identities/${encodeURIComponent(seen.anonymous)}`,
  approvals: "/approvals",
  keys: "/keys",
  rules: "/rules",
  "rule-new": "/rules/new",
  "rule-tool": "/rules/new?on=tool",
  rule: "/rules/house-limit",
  history: "/rules/history",
  set: "/rules/history/1",
  failures: "/failures",
  tools: "/tools",
  audit: "/audit",
  missing: "/rules/no-such-rule",
};
/** Decisions that were made for the pages about them. */
const seen = {};
const SHOTS = process.env.SCREENSHOTS;

const SEED = `id: house-limit
on: request
mode: shadow
when: identity.kind == "user" && request.user_agent.contains("node")
then: {rate-limit: {requests: 60, per: 1m}}
because: Nobody needs more than one request a second.
rollout: 50
match:
  - {request: {user_agent: "node"}, identity: {kind: user}}
`;

let browser;
shared(
  async () => {
    browser = await launch();
    await api("POST", "/api/rules", SEED, { type: "application/yaml" });
    await api("POST", "/api/rules", "id: ask-first\non: tool\nwhen: tool.name == \"write_note\"\nthen: require-approval\nbecause: Notes are read by everybody.\n", { type: "application/yaml" });
    await api("POST", "/api/rules", "id: no-echo\non: request\nwhen: request.model == \"sim/echo\" && identity.plan == \"pro\"\nthen: block\nbecause: Nobody pays for an echo.\n", { type: "application/yaml" });
    await chat("browser-ada");
    const id = async (model) => (await chat("browser-ada", { model })).headers.get("x-weir-decision");
    [seen.failed, seen.blocked] = [await id("gone/model"), await id("sim/echo")];
    const notes = await mcp("browser-bob");
    await notes.list();
    await notes.call("write_note");
    await chat("not-a-key");
    const free = await fetch(`${DATA}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "sim/free", messages: [{ role: "user", content: "hello" }] }),
    });
    assert.equal(free.status, 200);
    seen.anonymous = await until("the anonymous caller", async () => {
      const { items } = await api("GET", "/api/decisions?limit=20");
      return items.map((item) => item.subject).find((subject) => subject.startsWith("fingerprint:"));
    });
    for (const id of [seen.failed, seen.blocked]) {
      await until(`decision ${id}`, async () => {
        const { items } = await api("GET", "/api/decisions?limit=20");
        return items.some((item) => JSON.stringify(item).includes(id));
      });
    }
  },
  async () => {
    for (const id of ["house-limit", "ask-first", "no-echo"]) await api("DELETE", `/api/rules/${id}`);
  },
);

for (const scheme of SCHEMES) {
  test(`pages are accessible and quiet (${scheme})`, async (t) => {
    const page = await open(browser, { scheme });
    await page.goto("/sign-in");
    assert.deepEqual(await faults(page), [], "sign-in");
    if (SHOTS) await page.screenshot({ path: `${SHOTS}/sign-in-${scheme}-wide.png` });
    await signIn(page, OPERATOR);
    for (const [name, path] of Object.entries(PAGES)) {
      await t.test(name, async () => {
        for (const [width, size] of Object.entries(WIDTHS)) {
          await page.setViewportSize(size);
          await page.goto(typeof path === "function" ? path() : path);
          if (name.startsWith("rule") && name !== "rules") await page.locator('#editor[data-checked="good"]').waitFor();
          if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}-${scheme}-${width}.png`, fullPage: true });
          assert.deepEqual(await faults(page), [], `${name} ${width}`);
          const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
          assert.ok(over <= 0, `${name} ${width} is ${over} px wider than the window`);
        }
      });
    }
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });
}

test("every page is reached from every other by the keyboard alone", async () => {
  const page = await open(browser);
  await signIn(page, OPERATOR);
  await page.keyboard.press("Tab");
  const skip = page.locator(".skip");
  assert.ok(await skip.evaluate((link) => link === document.activeElement));
  const links = await page.getByRole("navigation", { name: "Pages" }).getByRole("link").count();
  const seen = new Set();
  for (let n = 0; n < links + 3; n += 1) {
    await page.keyboard.press("Tab");
    seen.add(await page.evaluate(() => document.activeElement.getAttribute("href")));
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none", "the focus can be seen");
  }
  for (const path of ["/rules", "/failures", "/tools", "/audit"]) assert.ok(seen.has(path), `${path} in ${[...seen]}`);
  await page.context().close();
});
