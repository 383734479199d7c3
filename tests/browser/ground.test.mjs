// What the other tests stand on: a weir that answers on both planes, and a browser that shows what it says.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ADMIN, FILES_ADMIN, api, chat, launch, open, shared, until } from "./common.mjs";

let browser;
shared(async () => {
  browser = await launch();
});

test("both weirs answer a browser", async () => {
  for (const base of [ADMIN, FILES_ADMIN]) {
    const page = await open(browser, { base });
    const response = await page.goto("/healthz");
    assert.equal(response.status(), 200);
    await page.context().close();
  }
});

test("what goes through the data plane is in the list of decisions", async () => {
  const { status, headers } = await chat("browser-ada");
  assert.equal(status, 200);
  const id = headers.get("x-weir-decision");
  await until(`decision ${id}`, async () => {
    const { items } = await api("GET", "/api/decisions?limit=10");
    return items.some((item) => JSON.stringify(item).includes(id));
  });
});
