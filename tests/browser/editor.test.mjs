// The editor beyond the story: without scripts, with two people, with words completed, and where files are the master.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ADMIN, FILES_ADMIN, OPERATOR, VIEWER, api, launch, open, says, shared, signIn, until } from "./common.mjs";

const rule = (id, more = "") => `id: ${id}\non: request\nwhen: request.model == "sim/none"\nthen: log\n${more}`;

let browser;
shared(async () => {
  browser = await launch();
});

const session = async (options, token = OPERATOR) => {
  const page = await open(browser, options);
  await signIn(page, token);
  return page;
};
const done = async (page) => {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
};

/** Holds what a page asks for: gives a function that waits for the next question, which is not answered by itself. */
const hold = async (page, address) => {
  const asked = [];
  let wake = () => {};
  await page.route(address, (route) => {
    asked.push(route);
    wake();
  });
  return async () => {
    while (asked.length === 0) await new Promise((resolve) => (wake = resolve));
    return asked.shift();
  };
};

test("without scripts a rule is checked, saved and turned off", async () => {
  const page = await session({ scripts: false });
  await page.goto("/rules/new");
  const text = page.getByLabel("The rule");
  await text.fill(rule("by-hand").replace("log", "logg"));
  await page.getByRole("button", { name: "Save as shadow" }).click();
  await says(page.locator(".flash"), /Not done: the rule was not saved/);
  await says(page.locator("#diagnostics"), /line 4, column 7/);
  assert.match(await text.inputValue(), /then: logg/, "nothing that was typed is lost");
  await text.fill(rule("by-hand"));
  await page.getByRole("button", { name: "Check", exact: true }).click();
  await says(page.locator("#diagnostics"), /no mistakes found/);
  await page.getByRole("button", { name: "Save and enforce" }).click();
  await page.waitForURL("**/rules/by-hand");
  await says(page.locator(".flash"), /by-hand is enforced now/);
  await page.getByRole("button", { name: "Turn off" }).click();
  await says(page.locator(".flash"), /by-hand is off/);
  assert.match(await text.inputValue(), /mode: off/);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.waitForURL("**/rules");
  await done(page);
});

test("what was typed is kept to the last blank", async () => {
  const page = await session();
  const typed = `\n# Why it is there.\n\n# And for whom.\n\n${rule("kept").replace("on:", "on:  ")}\n  # the end\n`;
  await page.goto("/rules/new");
  await page.getByLabel("The rule").fill(typed);
  await page.getByRole("button", { name: "Save and enforce" }).click();
  await page.waitForURL("**/rules/kept");
  assert.equal(await page.getByLabel("The rule").inputValue(), typed);
  await api("DELETE", "/api/rules/kept");
  await done(page);
});

test("what two people save at once is lost for neither", async () => {
  await api("POST", "/api/rules", rule("shared"), { type: "application/yaml" });
  const [ada, bob] = [await session(), await session()];
  for (const page of [ada, bob]) await page.goto("/rules/shared");
  await ada.getByLabel("The rule").fill(rule("shared", "because: Ada's reason.\n"));
  await ada.getByRole("button", { name: "Save and enforce" }).click();
  await ada.getByText("shared is enforced now").waitFor();
  await bob.getByLabel("The rule").fill(rule("shared", "because: Bob's reason.\n"));
  await bob.getByRole("button", { name: "Save and enforce" }).click();
  const told = await says(bob.getByRole("alert"), /somebody else has saved this rule/);
  assert.match(told, /Ada's reason/);
  assert.match(await bob.getByLabel("The rule").inputValue(), /Bob's reason/);
  assert.match(JSON.stringify(await api("GET", "/api/rules/shared")), /Ada's reason/);
  await bob.getByRole("button", { name: "Save and enforce" }).click();
  await bob.getByText("shared is enforced now").waitFor();
  assert.match(JSON.stringify(await api("GET", "/api/rules/shared")), /Bob's reason/);
  await api("DELETE", "/api/rules/shared");
  await done(ada);
  await done(bob);
});

test("facts and functions are completed with the keyboard", async () => {
  const page = await session();
  const words = await hold(page, "**/api/rules/vocabulary");
  await page.goto("/rules/new");
  const text = page.getByLabel("The rule");
  await text.fill("id: x\non: request\nwhen: ");
  await text.press("End");
  // The words come when somebody types already.
  await text.pressSequentially("request.user_a");
  await (await words()).continue();
  const list = page.getByRole("listbox");
  await list.waitFor();
  const option = list.getByRole("option").first();
  assert.match(await option.textContent(), /request\.user_agent string/);
  assert.equal(await text.getAttribute("aria-activedescendant"), await option.getAttribute("id"));
  await text.press("Enter");
  assert.match(await text.inputValue(), /when: request\.user_agent$/);
  await text.pressSequentially(".conta");
  await list.waitFor();
  await text.press("Tab");
  assert.match(await text.inputValue(), /request\.user_agent\.contains\(\)$/);
  // A rule on requests reads no facts of failures.
  await text.fill("id: x\non: request\nwhen: ");
  await text.pressSequentially("failur");
  await page.locator('#editor[data-checked="bad"]').waitFor();
  assert.equal(await list.isVisible(), false);
  await text.press("Control+Space");
  await text.press("Escape");
  // A closed list leaves Tab to the page.
  await text.press("Tab");
  assert.equal(await text.evaluate((field) => field === document.activeElement), false);
  await text.fill("id: my-rule\n");
  page.on("dialog", (dialog) => dialog.accept());
  await done(page);
});

test("the check of an older text says nothing of a newer one", async () => {
  const page = await session();
  await page.clock.install();
  const check = await hold(page, "**/api/rules/draft");
  await page.goto("/rules/new");
  const first = await check();
  // The next check waits until typing has paused, and no time goes by.
  await page.clock.pauseAt(Date.now() + 3_600_000);
  await page.evaluate(() => {
    const form = document.getElementById("editor");
    window.states = [];
    new MutationObserver(() => window.states.push(form.dataset.checked)).observe(form, { attributeFilter: ["data-checked"] });
  });
  await page.getByLabel("The rule").fill(rule("newer"));
  const mistake = { severity: "error", message: "of the older text", line: 1, column: 1, length: 2 };
  await first.fulfill({ json: { diagnostics: [mistake], examples: [] } });
  await page.clock.runFor(1_000);
  await (await check()).continue();
  await page.locator('#editor[data-checked="good"]').waitFor();
  assert.deepEqual([...new Set(await page.evaluate(() => window.states))], ["waiting", "good"]);
  await done(page);
});

test("a backtest that runs can be stopped while its report is kept up to date", async () => {
  const page = await session();
  const path = "/rules/backtests/bt_held";
  const report = (state, stop) => `<!doctype html><div id="backtest-report"><div data-state="${state}">${state}${stop}</div></div>`;
  const stop = `<form method="post" action="${path}/stop"><button>Stop</button></form>`;
  let copies = 0;
  let stopped = false;
  await page.goto("/rules/new");
  await page.locator('#editor[data-checked="good"]').waitFor();
  // The report lies at the address that has answered, and is asked for again there.
  await page.route("**/rules/new", (route) => {
    copies += 1;
    return route.fulfill({ contentType: "text/html", body: stopped ? report("stopped", "") : report("running", stop) });
  });
  await page.route(`**${path}/stop`, (route) => {
    stopped = true;
    return route.fulfill({ contentType: "text/html", body: report("stopped", "") });
  });
  await page.getByRole("button", { name: "Backtest", exact: true }).click();
  const button = page.locator("#backtest").getByRole("button", { name: "Stop" });
  await button.waitFor();
  // A slow press: meanwhile the report has come again, twice.
  const { x, y, width, height } = await button.boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.mouse.down();
  const before = copies;
  await until("two more copies", () => copies >= before + 2);
  await page.mouse.up();
  await page.locator('#backtest[data-state="ended"]').waitFor();
  assert.match(await page.locator("#backtest").textContent(), /stopped/);
  await done(page);
});

test("a session that ends in mid-edit loses nothing", async () => {
  const page = await session();
  await page.goto("/rules/new");
  await page.getByLabel("The rule").fill(rule("survivor"));
  await page.locator('#editor[data-checked="good"]').waitFor();
  await page.context().clearCookies();
  await page.getByRole("button", { name: "Save as shadow" }).click();
  await page.locator("main input[type=password]").fill(OPERATOR);
  await page.locator("main form button").first().click();
  await page.getByRole("button", { name: "Send it now" }).click();
  await page.getByText("survivor is in shadow").waitFor();
  await api("DELETE", "/api/rules/survivor");
  await done(page);
});

test("text from outside stays text", async () => {
  const page = await session();
  await page.goto("/rules/new");
  await page.getByLabel("The rule").fill(rule("markup", `because: "<img src=x onerror=alert(1)>"\nmatch:\n  - {request: {model: "<script>alert(1)</script>"}}\n`));
  await page.locator('#editor[data-checked="bad"]').waitFor();
  assert.match(await page.locator("#examples").textContent(), /<script>/);
  await page.getByRole("button", { name: "Save as shadow" }).click();
  await says(page.locator(".flash"), /the rule was not saved/);
  await says(page.locator("#diagnostics"), /must match/);
  assert.equal(await page.locator("main img, main script:not([src])").count(), 0);
  await done(page);
});

test("a rule of a megabyte and a condition nested a thousand deep get a message", async () => {
  const page = await session();
  for (const when of [`${"(".repeat(1000)}true${")".repeat(1000)}`, `request.model == "${"x".repeat(1_000_000)}"`]) {
    await page.goto("/rules/new");
    await page.getByLabel("The rule").fill(`id: deep\non: request\nwhen: '${when}'\nthen: log\n`);
    await page.locator('#editor[data-checked="bad"], #editor[data-checked="unknown"]').waitFor();
    assert.match(await page.locator("#diagnostics").textContent(), /at most|deep|long/);
    page.once("dialog", (dialog) => dialog.accept());
  }
  await page.context().close();
});

test("what is too large to be sent is not sent, and stays", async () => {
  const page = await session();
  await page.goto("/rules/new");
  await page.locator('#editor[data-checked="good"], #editor[data-checked="bad"]').waitFor();
  const sent = [];
  page.on("request", (request) => sent.push(`${request.method()} ${request.url()}`));
  const text = page.getByLabel("The rule");
  await text.evaluate((field) => {
    field.value = `id: huge\nwhen: "${"x".repeat(5 << 20)}"\n`;
    field.dispatchEvent(new Event("input"));
  });
  const told = page.locator("#diagnostics").getByText(/at most 4.0 MiB are taken. Nothing was sent/);
  await told.waitFor();
  // Typed once more: what is told on saving stays when the check comes that the typing has asked for.
  await text.evaluate((field) => field.dispatchEvent(new Event("input")));
  await page.getByRole("button", { name: "Save as shadow" }).click();
  await told.waitFor();
  assert.deepEqual(sent, []);
  assert.equal(await text.evaluate((field) => field.value.length > 5 << 20), true);
  page.once("dialog", (dialog) => dialog.accept());
  await page.context().close();
});

test("where files are the master they are named, and nothing can be saved", async () => {
  const page = await session({ base: FILES_ADMIN });
  await page.goto("/rules/scrapers");
  assert.match(await page.locator("[role=note]").textContent(), /rules\.yaml/);
  assert.equal(await page.getByRole("button", { name: /Save|Enforce|Delete|Turn off/ }).count(), 0);
  await page.getByLabel("The rule").fill(rule("scrapers").replace("request.model", "request.modell"));
  await page.locator('#editor[data-checked="bad"]').waitFor();
  await done(page);
  assert.notEqual(ADMIN, FILES_ADMIN);
});

test("a viewer reads and is offered no change", async () => {
  const page = await session({}, VIEWER);
  for (const path of ["/rules", "/rules/history", "/tools", "/failures"]) {
    await page.goto(path);
    const buttons = await page.locator("main button:visible").allTextContents();
    assert.deepEqual(buttons.filter((words) => /save|set|roll|accept|delete|enforce/i.test(words)), [], path);
  }
  await done(page);
});
