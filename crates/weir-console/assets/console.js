// What the console's pages do beyond forms and links: they bring themselves up to date, ask before they act, copy, and
// keep times fresh. Every page works without this file. Data is never made markup here: a fresh copy of a page is parsed
// as a document of its own, in which no script runs, and whole elements are taken from it.
"use strict";
(() => {
  const units = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;
  // The server's clock counts, not the browser's.
  const ahead = Date.now() - Number(meta("now") || Date.now());

  function relative(at) {
    const seconds = Math.trunc((Date.now() - ahead - at) / 1000);
    if (Math.abs(seconds) < 5) return "now";
    const [size, unit] = units.find(([size]) => Math.abs(seconds) >= size) || units[3];
    const count = Math.trunc(Math.abs(seconds) / size);
    const span = `${count.toLocaleString("en-US")} ${unit}${count === 1 ? "" : "s"}`;
    return seconds > 0 ? `${span} ago` : `in ${span}`;
  }

  function freshenTimes() {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const words = relative(Date.parse(time.dateTime));
      if (time.textContent !== words) time.textContent = words;
    }
  }
  setInterval(freshenTimes, 5000);

  // Live parts.
  let paused = false;
  let busy = false;
  const due = new Map();

  // What was typed or chosen and not sent yet. Where no option is marked, the first one is chosen from the beginning.
  const isTouched = (field) => field.type === "hidden" ? false
    : field.tagName === "SELECT" ? field.value !== ([...field.options].findLast((option) => option.defaultSelected) ?? field.options[0])?.value
    : field.value !== field.defaultValue || field.checked !== field.defaultChecked;

  // A press that has begun ends on what it began on, and what a pointer lies on to press it is not exchanged for another.
  const isPressed = (part) => part.matches(":active") || part.querySelector("button:enabled:hover") !== null;

  function isInUse(part) {
    if (isPressed(part) || [...part.querySelectorAll("input, textarea, select")].some(isTouched)) return true;
    const selection = document.getSelection();
    const selects = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
    return selects || (part.contains(document.activeElement) && document.activeElement !== part);
  }

  async function refresh(parts) {
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html", "x-weir-live": "1" }, credentials: "same-origin" });
      if (answer.status === 401) return say("Your session has ended. Load the page again to sign in.");
      if (!answer.ok) return say("The page cannot be brought up to date now; it is tried again.");
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Somebody has asked meanwhile that nothing move.
      if (paused) return;
      for (const part of parts) {
        const now = fresh.getElementById(part.id);
        if (!now || isInUse(part)) continue;
        const open = new Set([...part.querySelectorAll("details[open][id]")].map((d) => d.id));
        const taken = document.importNode(now, true);
        for (const details of taken.querySelectorAll("details[id]")) if (open.has(details.id)) details.open = true;
        part.replaceChildren(...taken.childNodes);
      }
      say("");
      document.dispatchEvent(new CustomEvent("weir:fresh"));
    } catch {
      say("weir does not answer; it is tried again.");
    } finally {
      busy = false;
    }
  }

  function say(words) {
    const place = document.getElementById("live-state");
    if (place && place.textContent !== words) place.textContent = words;
  }

  function tick() {
    if (paused || busy || document.hidden) return;
    const now = Date.now();
    const parts = [...document.querySelectorAll("[data-live]")].filter((part) => {
      if (!due.has(part.id)) due.set(part.id, now + 1000 * Number(part.dataset.live));
      return due.get(part.id) <= now;
    });
    for (const part of parts) due.set(part.id, now + 1000 * Number(part.dataset.live));
    if (parts.length) refresh(parts);
  }
  setInterval(tick, 500);

  for (const button of document.querySelectorAll("button[data-pause]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      button.textContent = paused ? "Go on" : "Pause";
    });
  }

  // On a narrow screen the pages lie in a row that is moved.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

  // Asking before acting.
  document.addEventListener("submit", (event) => {
    const words = event.submitter?.dataset.confirm || event.target.dataset.confirm;
    if (words && !confirm(words)) event.preventDefault();
  });

  // Copying.
  function offerCopies() {
    for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = !navigator.clipboard;
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button[data-copy]");
    if (!button || button.textContent === "Copied") return;
    const words = button.textContent;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, 2000);
  });

  // Fields that only count with a certain choice: <div data-when="scope=until">.
  function showFields(form) {
    for (const part of form.querySelectorAll("[data-when]")) {
      const [name, value] = part.dataset.when.split("=");
      part.hidden = form.elements[name]?.value !== value;
    }
  }
  function setUp() {
    offerCopies();
    for (const form of document.querySelectorAll("form:has([data-when])")) {
      showFields(form);
      form.addEventListener("change", () => showFields(form));
    }
  }
  setUp();
  document.addEventListener("weir:fresh", setUp);

  // What other scripts of ours need.
  window.weir = { csrf: meta("csrf"), isPressed, pause: (on) => { paused = on; } };
})();
