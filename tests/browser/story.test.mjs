// The work of an operator from one end to the other, in one browser: a rule is written with a mistake, mended, rehearsed,
// put in shadow, watched, enforced, explained, lifted for somebody and rolled back; a tool call is approved; a key is
// made and revoked.
import assert from "node:assert/strict";
import { test } from "node:test";

import { OPERATOR, api, chat, launch, mcp, open, says, shared, signIn, until } from "./common.mjs";

// Multibyte letters stand before the mistake, so that a place counted in bytes or UTF-16 units would be another.
const WRONG = `id: no-scrapers
on: request
when: request.user_agent.contains("🕷 é") || request.modell == "sim/free"
then: block
because: Scrapers exhaust the shared capacity.
instead: Ask for a key.
match:
  - {request: {model: sim/free}}
no_match:
  - {request: {model: sim/echo}}
`;
const RIGHT = WRONG.replace("modell", "model");

let browser;
let page;
shared(
  async () => {
    browser = await launch();
    page = await open(browser);
    await signIn(page, OPERATOR);
  },
  () => assert.deepEqual(page.complaints, []),
);

const checked = (state) => page.locator(`#editor[data-checked="${state}"]`).waitFor();
const button = (name) => page.getByRole("button", { name, exact: true });

test("a mistake is shown at its place while one types, and is mended", async () => {
  await page.goto("/rules");
  await page.getByRole("link", { name: "New rule" }).click();
  await checked("good");
  const text = page.getByLabel("The rule");
  await text.fill(WRONG);
  await checked("bad");
  const column = [...WRONG.split("\n")[2]].join("").indexOf("request.modell");
  const characters = [...WRONG.split("\n")[2].slice(0, column)].length + 1;
  const list = page.locator("#diagnostics");
  const place = list.getByRole("button", { name: /^line 3, column/ });
  const told = Number(/column (\d+)/.exec(await place.textContent())[1]);
  assert.ok(told >= characters && told <= characters + "request.modell".length, `${told} is not about ${characters}`);
  assert.match(await list.textContent(), /modell/);
  assert.match(await list.textContent(), /model/);
  // The place selects what is meant, and a mark lies there.
  await place.click();
  const meant = await text.evaluate((field) => field.value.slice(field.selectionStart, field.selectionEnd));
  assert.match("request.modell", new RegExp(meant));
  assert.equal(await page.locator("#marks mark.bad").textContent(), meant);
  await text.fill(RIGHT);
  await checked("good");
  assert.equal(await page.locator("#marks mark").count(), 0);
  const examples = page.locator("#examples");
  assert.equal(await examples.getByText("holds").count(), 2);
});

test("an example that fails is named", async () => {
  const text = page.getByLabel("The rule");
  await text.fill(RIGHT.replace("  - {request: {model: sim/echo}}", "  - {request: {model: sim/free}}"));
  await checked("bad");
  const examples = page.locator("#examples");
  assert.equal(await examples.getByText("fails").count(), 1);
  assert.match(await examples.textContent(), /must not match, but does/);
  await text.fill(RIGHT);
  await checked("good");
});

test("a backtest beside the text says what would be blocked", async () => {
  // Decisions of which some would have been blocked.
  for (const model of ["sim/free", "sim/free", "sim/echo"]) assert.equal((await chat("browser-eve", { model })).status, 200);
  await until("the decisions", async () => {
    const { items } = await api("GET", "/api/decisions?subject=user:eve&limit=10");
    return items.length >= 3;
  });
  await button("Backtest").click();
  await page.locator('#backtest[data-state="ended"]').waitFor();
  const report = await page.locator("#backtest").textContent();
  assert.match(report, /done/);
  assert.match(report, /newly blocked/);
  assert.match(report, /user:eve/);
  assert.equal(await page.getByLabel("The rule").inputValue(), RIGHT, "what was typed stays");
  assert.equal((await chat("browser-eve")).status, 200, "a rehearsal blocks nobody");
});

test("saved as shadow it counts what live traffic would meet, and blocks nobody", async () => {
  await button("Save as shadow").click();
  await page.waitForURL("**/rules/no-scrapers");
  await says(page.locator(".flash"), "no-scrapers is in shadow");
  for (let n = 0; n < 3; n += 1) assert.equal((await chat("browser-eve")).status, 200);
  // The page brings itself up to date.
  await page.locator("#standing div").filter({ hasText: /^Shadow hits3 in 24 hours/ }).first().waitFor();
  await page.goto("/rules");
  await page.getByRole("link", { name: "no-scrapers" }).waitFor();
});

test("enforced it blocks, and the block leads to its explanation", async () => {
  await page.goto("/rules/no-scrapers");
  await button("Enforce").click();
  await says(page.locator(".flash"), "no-scrapers is enforced now");
  const refused = await chat("browser-eve");
  assert.equal(refused.status, 403);
  assert.match(JSON.stringify(refused.body), /Ask for a key|Scrapers|dec_/);
  const id = refused.headers.get("x-weir-decision");
  await until("the sample", async () => {
    await page.reload();
    return (await page.locator(`#standing a[href="/decisions/${id}"]`).count()) > 0;
  });
  await page.locator(`#standing a[href="/decisions/${id}"]`).first().click();
  await says(page.getByRole("heading"), `Why ${id}`);
  const told = await page.locator("main").textContent();
  assert.match(told, /no-scrapers/);
  assert.match(told, /Scrapers exhaust the shared capacity/);
  assert.match(told, /request\.model == "sim\/free"/, "the part of the condition that made it true");
});

test("the identity is exempted from its page, and passes", async () => {
  await page.getByRole("link", { name: "user:eve", exact: true }).first().click();
  await page.getByLabel("Exempt it for").waitFor();
  await button("Exempt").click();
  await says(page.locator(".flash"), "Done");
  await until("the exemption", async () => (await chat("browser-eve")).status === 200);
  assert.equal((await chat("browser-bob")).status, 403, "of others nothing is lifted");
});

test("what was changed is taken back", async () => {
  await page.goto("/rules/history");
  const sets = page.getByRole("link", { name: /^Set \d+$/ });
  await sets.first().waitFor();
  assert.match(await page.locator("main").textContent(), /added no-scrapers/);
  await sets.nth(1).click();
  await page.waitForURL("**/rules/history/*");
  const changes = await page.locator(".changes").textContent();
  assert.match(changes, /mode/);
  assert.match(changes, /shadow/);
  await button("Roll back to this set").click();
  await says(page.locator(".flash"), /are in force again/);
  assert.equal((await chat("browser-bob")).status, 200);
});

test("a tool call that waits is approved, and runs once", async () => {
  await api("POST", "/api/rules", "id: ask-first\non: tool\nwhen: tool.name == \"read_note\"\nthen: require-approval\nbecause: Notes are private.\n", { type: "application/yaml" });
  const notes = await mcp("browser-bob");
  await notes.list();
  const first = await notes.call("read_note", { name: "diary" });
  assert.ok(!first.ok);
  await page.goto("/approvals");
  const card = page.getByRole("article").filter({ hasText: "read_note" });
  assert.match(await card.textContent(), /user:bob/);
  assert.match(await card.textContent(), /rule ask-first/);
  await card.getByRole("button", { name: "Approve" }).click();
  await says(page.locator(".flash"), "Done");
  assert.ok((await notes.call("read_note", { name: "diary" })).ok);
  assert.ok(!(await notes.call("read_note", { name: "diary" })).ok, "a yes for one call is used up by it");
  await api("DELETE", "/api/rules/ask-first");
});

test("a key is made, shown once, used and revoked", async () => {
  await page.goto("/keys");
  await page.getByText("Make a key").click();
  await page.getByLabel("User").fill("grace");
  await page.getByLabel("Budget in US dollars").fill("much");
  await button("Make the key").click();
  await page.getByText("it must be a number of US dollars").waitFor();
  // Coming back to the refusal sends no form: what was typed is in the address.
  await page.goto("/audit");
  const back = await page.goBack();
  assert.equal(back?.request().method() ?? "GET", "GET");
  await page.getByText("it must be a number of US dollars").waitFor();
  assert.equal(await page.getByLabel("User").inputValue(), "grace");
  await page.getByLabel("Budget in US dollars").fill("5");
  await button("Make the key").click();
  await page.waitForURL("**/keys/*/made");
  const key = await page.locator("#made-key").textContent();
  assert.ok(!page.url().includes(key));
  assert.equal((await chat(key)).status, 200);
  // Loading the page again sends no form, makes no second key and does not show this one.
  await page.reload();
  assert.match(await page.locator("main").textContent(), /is not shown again/);
  assert.ok(!(await page.content()).includes(key));
  await page.getByRole("link", { name: "All keys" }).click();
  await page.waitForURL("**/keys");
  assert.ok(!(await page.locator("main").textContent()).includes(key), "it is shown once");
  const row = page.getByRole("row").filter({ hasText: "grace" });
  assert.equal(await row.count(), 1);
  assert.match(await row.textContent(), /of \$5\.00/);
  page.once("dialog", (dialog) => dialog.accept());
  await row.getByRole("button", { name: "Revoke" }).click();
  await says(page.locator(".flash"), "Done");
  await until("the revocation", async () => (await chat(key)).status === 401);
});
