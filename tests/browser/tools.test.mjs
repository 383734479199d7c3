// The page of tools: which layer decides each level, an override that counts at once and is taken back, a definition that
// has changed.
import assert from "node:assert/strict";
import { test } from "node:test";

import { OPERATOR, api, launch, mcp, open, says, shared, signIn, until } from "./common.mjs";

let browser;
let page;
let notes;
shared(
  async () => {
    browser = await launch();
    page = await open(browser);
    await signIn(page, OPERATOR);
    notes = await mcp("browser-bob");
    await notes.list();
  },
  () => assert.deepEqual(page.complaints, []),
);

const levels = () => page.getByRole("region", { name: "Levels of tools" });
const ceilings = () => page.getByRole("region", { name: "Ceilings of channels" });
const row = (of, name) => of.getByRole("row").filter({ has: page.getByText(name, { exact: true }) });

test("each level is shown with the layer that decides it", async () => {
  await page.goto("/tools");
  for (const [tool, level, by] of [
    ["read_note", "read_only", "configuration"],
    ["write_note", "write", "configuration"],
    ["remove_note", "dangerous", "default"],
  ]) {
    const text = await row(levels(), tool).textContent();
    assert.ok(text.includes(level) && text.includes(by), text);
  }
  assert.match(await row(ceilings(), "mcp").textContent(), /execute.*configuration/s);
});

test("an override counts at once, is in the audit list, and is taken back", async () => {
  assert.ok((await notes.call("read_note")).ok);
  await page.goto("/tools");
  const change = row(levels(), "read_note");
  await change.getByRole("combobox").selectOption("dangerous");
  await change.getByRole("button", { name: /^Set/ }).click();
  await says(page.locator(".flash"), "read_note is dangerous now");
  assert.match(await row(levels(), "read_note").textContent(), /set here/);
  assert.match(await row(levels(), "read_note").textContent(), /by admin/);
  assert.ok(!(await notes.call("read_note")).ok);
  // A higher ceiling lets it through again.
  const ceiling = row(ceilings(), "mcp");
  await ceiling.getByRole("combobox").selectOption("dangerous");
  await ceiling.getByRole("button", { name: /^Set/ }).click();
  await says(page.locator(".flash"), "mcp is dangerous now");
  assert.ok((await notes.call("read_note")).ok);
  for (const [of, name] of [[ceilings, "mcp"], [levels, "read_note"]]) {
    await row(of(), name).getByRole("button", { name: /^Take back/ }).click();
    await says(page.locator(".flash"), `what was set for ${name} is taken back`);
  }
  assert.match(await row(levels(), "read_note").textContent(), /configuration/);
  const { items } = await api("GET", "/api/audit?limit=4");
  assert.deepEqual(items.map((item) => item.action), ["tool.level.reset", "tool.ceiling.reset", "tool.ceiling", "tool.level"]);
});

test("a channel that nobody has named gets a ceiling", async () => {
  await page.goto("/tools");
  await page.getByText("Set the ceiling of another channel").click();
  await page.getByRole("textbox", { name: "Channel" }).fill("night-shift");
  await page.getByRole("combobox", { name: "Level", exact: true }).selectOption("write");
  await page.getByRole("button", { name: "Set the ceiling" }).click();
  await says(row(ceilings(), "night-shift"), /write.*set here/s);
  await row(ceilings(), "night-shift").getByRole("button", { name: /^Take back/ }).click();
  await says(page.locator(".flash"), "what was set for night-shift is taken back");
});

test("a tool that is described otherwise than before is dangerous until somebody accepts it", async () => {
  assert.ok((await notes.call("write_note")).ok);
  assert.ok((await notes.call("redefine")).ok);
  const fresh = await until("the changed definition", async () => {
    const session = await mcp("browser-bob");
    await session.list();
    return !(await session.call("write_note")).ok && session;
  });
  await page.goto("/tools");
  const changed = page.getByRole("region", { name: "Changed definitions" });
  assert.match(await changed.textContent(), /send it to somebody/);
  await changed.getByRole("button", { name: /^Accept/ }).click();
  await says(page.locator(".flash"), "the definition of write_note is accepted");
  assert.equal(await changed.count(), 0);
  assert.ok((await fresh.call("write_note")).ok);
});
