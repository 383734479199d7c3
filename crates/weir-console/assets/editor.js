// The editor of rules: it checks while one types and marks each mistake at its place, completes facts and functions, and
// runs the examples. The page works without this file. Data becomes text nodes only, never markup.
//
// Places come in characters (code points) from 1; a field counts UTF-16 units from 0. `unitOf` is the bridge.
"use strict";
(() => {
  const form = document.getElementById("editor");
  if (!form) return;
  const field = document.getElementById("text");
  const marks = document.getElementById("marks");
  const words = document.getElementById("words");
  const state = document.getElementById("editor-state");
  const diagnostics = document.getElementById("diagnostics");
  const examples = document.getElementById("examples");
  const rule = form.dataset.rule;
  const CHECK_AFTER_MS = 250;
  const WORDS_MAX = 12;
  /** No word is longer; what is looked for in a text is bounded. */
  const WORD_UNITS_MAX = 100;
  /** A longer text gets no marks behind it: the browser would lay the whole of it out twice. */
  const MARKED_UNITS_MAX = 256 * 1024;

  const make = (name, className, ...children) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...children);
    return element;
  };
  const headers = { "x-weir-csrf": window.weir?.csrf ?? "", accept: "application/json" };

  // Places.

  /** The offset in UTF-16 units of a line and a column in characters, both from 1. */
  function unitOf(text, line, column) {
    let at = 0;
    for (let n = 1; n < line; n += 1) {
      const end = text.indexOf("\n", at);
      if (end < 0) return text.length;
      at = end + 1;
    }
    const rest = text.slice(at).split("\n", 1)[0];
    return at + [...rest].slice(0, column - 1).join("").length;
  }

  /** The offset after so many characters from an offset, within its line. */
  function unitsOn(text, at, length) {
    const rest = text.slice(at).split("\n", 1)[0];
    return at + [...rest].slice(0, length).join("").length;
  }

  // Marks lie behind the field, in the same letters, and move with it.

  function draw(found) {
    const text = field.value;
    if (text.length > MARKED_UNITS_MAX) {
      marks.replaceChildren();
      return;
    }
    const spans = found
      .filter((diagnostic) => diagnostic.line > 0)
      .map((diagnostic) => {
        const start = unitOf(text, diagnostic.line, diagnostic.column);
        return { start, end: Math.max(unitsOn(text, start, diagnostic.length), start + 1), bad: diagnostic.severity === "error" };
      })
      .sort((a, b) => a.start - b.start);
    marks.replaceChildren();
    let at = 0;
    for (const { start, end, bad } of spans) {
      if (start < at) continue;
      const meant = text.slice(start, end);
      marks.append(text.slice(at, start), make("mark", bad ? "bad" : "warn", meant.trim() === "" ? " " : meant));
      at = meant.trim() === "" ? start : end;
    }
    // A last line without letters has no height of its own.
    marks.append(`${text.slice(at)}\n `);
    follow();
  }

  function follow() {
    marks.scrollTop = field.scrollTop;
    marks.scrollLeft = field.scrollLeft;
  }
  field.addEventListener("scroll", follow);

  // Checking.

  let asked = 0;
  let timer;
  let checked;

  /** Forgets a check that is due or under way: what is told next is not to be replaced by its answer. */
  function forgetCheck() {
    clearTimeout(timer);
    return (asked += 1);
  }

  /** What is said of a text too large to be sent, and undefined of any other. */
  function tooLarge() {
    const size = new URLSearchParams(new FormData(form)).toString().replaceAll("%0A", "%0D%0A").length;
    const most = Number(form.dataset.most);
    if (size <= most) return undefined;
    const mib = (bytes) => `${(bytes / 1048576).toFixed(1)} MiB`;
    return `This is ${mib(size)} as it is sent, and at most ${mib(most)} are taken. Nothing was sent, and what you typed stays here.`;
  }

  async function check() {
    const number = forgetCheck();
    const refusal = tooLarge();
    if (refusal) {
      say(refusal);
      return;
    }
    const query = rule ? `?replaces=${encodeURIComponent(rule)}` : "";
    try {
      const answer = await fetch(`/api/rules/draft${query}`, {
        method: "POST",
        headers: { ...headers, "content-type": "application/yaml" },
        body: field.value,
        credentials: "same-origin",
      });
      const found = await (answer.ok ? answer.json() : answer.json().catch(() => ({})));
      // What was typed meanwhile is checked by a later question.
      if (number !== asked) return;
      if (answer.status === 401) {
        say("Your session has ended. Nothing that you typed is lost: save, sign in when you are asked to, and it is sent.");
        return;
      }
      if (!answer.ok) {
        say(found.detail ?? "The rule could not be checked.");
        return;
      }
      show(found);
    } catch {
      if (number === asked) say("weir does not answer; what you typed stays here.");
    }
  }

  function say(text) {
    diagnostics.replaceChildren(make("h2", "", "Check"), make("p", "fault", text));
    form.dataset.checked = "unknown";
  }

  function badge(tone, sign, text) {
    const mark = make("span", "sign", sign);
    mark.setAttribute("aria-hidden", "true");
    return make("span", `badge ${tone}`, mark, text);
  }

  function show(found) {
    checked = found;
    const broken = found.diagnostics.some((diagnostic) => diagnostic.severity === "error");
    field.setAttribute("aria-invalid", String(broken));
    draw(found.diagnostics);
    const list = make("ol", "diagnostics", ...found.diagnostics.slice(0, 50).map(item));
    diagnostics.replaceChildren(
      make("h2", "", "Check"),
      found.diagnostics.length ? list : make("p", "", badge("good", "✓", "no mistakes found")),
    );
    showExamples(found.examples);
    form.dataset.checked = broken ? "bad" : "good";
    field.dispatchEvent(new CustomEvent("weir:checked", { bubbles: true }));
  }

  function item(diagnostic) {
    const bad = diagnostic.severity === "error";
    const line = make("p", "", badge(bad ? "bad" : "warn", bad ? "■" : "▲", diagnostic.severity), " ");
    if (diagnostic.line > 0) {
      const place = make("button", "plain place", `line ${diagnostic.line}, column ${diagnostic.column}`);
      place.type = "button";
      place.addEventListener("click", () => goTo(diagnostic));
      line.append(place, ": ");
    }
    line.append(diagnostic.message);
    const help = diagnostic.help ? [make("p", "help", diagnostic.help)] : [];
    return make("li", "", line, ...help);
  }

  function goTo({ line, column, length }) {
    const start = unitOf(field.value, line, column);
    field.focus();
    field.setSelectionRange(start, unitsOn(field.value, start, length));
  }

  function showExamples(list) {
    const body = list.length
      ? make("ul", "examples", ...list.map((example) => {
          const [tone, sign, word] =
            example.holds === null ? ["dim", "○", "not tried"] : example.holds ? ["good", "✓", "holds"] : ["bad", "■", "fails"];
          const why = example.message ? [make("div", "fault", example.message)] : [];
          return make("li", "", badge(tone, sign, word), " ", make("code", "", `${example.kind} ${example.number}`), " ",
            make("code", "quiet", example.facts), ...why);
        }))
      : make("p", "quiet", "This rule has none. Give facts under ", make("code", "", "match"), " that must match and under ",
          make("code", "", "no_match"), " that must not: they are tried whenever the rule is loaded.");
    examples.replaceChildren(make("h2", "", "Examples"), body);
  }

  function changed() {
    form.dataset.checked = "waiting";
    draw([]);
    forgetCheck();
    timer = setTimeout(check, CHECK_AFTER_MS);
  }
  field.addEventListener("input", () => {
    changed();
    offer(false);
  });

  // A form that is too large would be answered by nobody, and its text be gone: it is not sent at all.
  form.addEventListener("submit", (event) => {
    const refusal = tooLarge();
    if (!refusal) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    forgetCheck();
    say(refusal);
    diagnostics.scrollIntoView({ block: "center" });
  });

  // Leaving with what was not saved.
  const saved = field.value;
  let sending = false;
  form.addEventListener("submit", (event) => { sending = event.submitter?.value !== "backtest"; });
  addEventListener("pagehide", () => { sending = false; });
  addEventListener("beforeunload", (event) => {
    if (field.value !== saved && !sending) event.preventDefault();
  });

  // Completion of facts and functions, in conditions.

  let vocabulary;
  /** How words were asked for before they came. */
  let wanted;
  let offered = [];
  let chosen = -1;
  let typed = { start: 0, end: 0 };

  async function loadWords() {
    const answer = await fetch("/api/rules/vocabulary", { headers, credentials: "same-origin" }).catch(() => undefined);
    // Without it nothing is offered; all else works.
    if (!answer?.ok) return;
    const { facts, functions } = await answer.json();
    vocabulary = [
      ...facts.map((fact) => ({ text: fact.name, sort: fact.type, on: fact.on, about: [fact.about, fact.words.join(", ")].filter((part, at, all) => part && all.indexOf(part) === at).join("; ") })),
      ...functions.map((f) => ({ text: f.name, sort: f.usage, method: f.is_method, about: f.about, call: true })),
    ];
    if (wanted) offer(wanted.always);
  }
  loadWords();

  /** The boundary that the rule is for, as far as it is written. */
  const boundary = () => /^on:\s*(request|failure|tool)\b/m.exec(field.value)?.[1];

  /** Whether a place lies in the condition: below or behind the key `when`. */
  function isCondition(at) {
    const before = field.value.slice(0, at).split("\n");
    for (let n = before.length - 1; n >= 0; n -= 1) {
      const key = /^([a-z_]+):/.exec(before[n]);
      if (key) return key[1] === "when" && (n < before.length - 1 || before[n].length > 5);
    }
    return false;
  }

  function offer(always) {
    if (!vocabulary) {
      wanted = { always };
      return;
    }
    const at = field.selectionStart;
    const part = /[A-Za-z_][\w.]*$/.exec(field.value.slice(Math.max(0, at - WORD_UNITS_MAX), at))?.[0] ?? "";
    if (field.readOnly || at !== field.selectionEnd || !isCondition(at) || (!always && part === "")) return close();
    const on = boundary();
    const last = part.slice(part.lastIndexOf(".") + 1);
    const fits = (word) => {
      if (word.on && on && !word.on.includes(on)) return false;
      if (word.method) return part.includes(".") && word.text.startsWith(last);
      return word.text.startsWith(part) || (part.length > 2 && word.on && word.text.includes(part));
    };
    const found = vocabulary.filter(fits).sort((a, b) => b.text.startsWith(part) - a.text.startsWith(part));
    if (found.length === 1 && found[0].text === part) return close();
    if (found.length === 0) return close();
    typed = { start: at - part.length, end: at, last: at - last.length };
    offered = found.slice(0, WORDS_MAX);
    words.replaceChildren(...offered.map(option));
    place(typed.start);
    words.hidden = false;
    choose(0);
    state.textContent = `${found.length} ${found.length === 1 ? "word" : "words"}; the arrow keys choose, Enter takes one, Escape leaves`;
  }

  function option(word, n) {
    const element = make("li", "", make("code", "", word.text), " ", make("span", "quiet", word.sort), make("div", "about", word.about));
    element.id = `word-${n}`;
    element.setAttribute("role", "option");
    // The field keeps the focus.
    element.addEventListener("mousedown", (event) => {
      event.preventDefault();
      take(n);
    });
    return element;
  }

  /** Puts the list below a place in the text, which the marks behind the field know. */
  function place(at) {
    const walker = document.createTreeWalker(marks, NodeFilter.SHOW_TEXT);
    let left = at;
    let node = walker.nextNode();
    while (node && left > node.length) {
      left -= node.length;
      node = walker.nextNode();
    }
    if (!node) return;
    const range = document.createRange();
    range.setStart(node, Math.min(left, node.length));
    const box = range.getBoundingClientRect();
    const frame = words.parentElement.getBoundingClientRect();
    words.style.top = `${box.bottom - frame.top + 4}px`;
    words.style.left = `${Math.max(0, Math.min(box.left - frame.left, frame.width - 300))}px`;
  }

  function choose(n) {
    chosen = (n + offered.length) % offered.length;
    for (const [at, element] of [...words.children].entries()) element.setAttribute("aria-selected", String(at === chosen));
    words.children[chosen].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", words.children[chosen].id);
  }

  function close() {
    wanted = undefined;
    if (words.hidden) return;
    words.hidden = true;
    offered = [];
    field.removeAttribute("aria-activedescendant");
    state.textContent = "";
  }

  function take(n) {
    const word = offered[n];
    const start = word.method ? typed.last : typed.start;
    field.setRangeText(word.call ? `${word.text}()` : word.text, start, typed.end, "end");
    if (word.call) field.setSelectionRange(field.selectionEnd - 1, field.selectionEnd - 1);
    close();
    changed();
  }

  field.addEventListener("keydown", (event) => {
    if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      offer(true);
    } else if (words.hidden || event.altKey || event.ctrlKey || event.metaKey) {
      return;
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) {
      event.preventDefault();
      take(chosen);
    } else if (event.key === "Escape") {
      event.preventDefault();
      close();
    }
  });
  field.addEventListener("blur", close);
  field.addEventListener("click", close);
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-controls", "words");

  // The backtest is shown beside the text: the page of it is asked for again while it runs, and its report taken over.

  const panel = document.getElementById("backtest");
  const body = document.getElementById("backtest-body");
  const AGAIN_AFTER_MS = 400;
  let shown = 0;

  async function page(path, options) {
    const answer = await fetch(path, {
      credentials: "same-origin",
      ...options,
      headers: { "x-weir-csrf": headers["x-weir-csrf"], accept: "text/html" },
    });
    return { answer, document: new DOMParser().parseFromString(await answer.text(), "text/html") };
  }

  function tell(...nodes) {
    body.replaceChildren(...nodes);
  }

  /** Shows the report of a page, unless its button is just being pressed. Says whether it still runs. */
  function showReport({ answer, document: fresh }) {
    const report = fresh.getElementById("backtest-report");
    if (!report) {
      const why = fresh.querySelector("main [role=alert], main .lead, #diagnostics")?.textContent;
      tell(make("p", "fault", why || `weir answered ${answer.status}.`));
      return false;
    }
    const runs = report.querySelector("[data-state=running]") !== null;
    if (runs && isStopInUse()) return true;
    tell(...document.importNode(report, true).childNodes);
    return runs;
  }

  /** Whether somebody is about to stop it: a button that is exchanged under a press or a focus cannot be pressed. */
  function isStopInUse() {
    return window.weir?.isPressed(body) || (body.contains(document.activeElement) && !document.activeElement.disabled);
  }

  async function backtest() {
    const number = (shown += 1);
    panel.hidden = false;
    panel.dataset.state = "running";
    tell(make("p", "quiet", "It begins."));
    const fields = new URLSearchParams(new FormData(form));
    fields.set("do", "backtest");
    try {
      let found = await page(form.action, { method: "POST", body: fields });
      const path = found.answer.url;
      while (number === shown && showReport(found)) {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
        found = await page(path);
      }
    } catch {
      if (number === shown) tell(make("p", "fault", "weir does not answer; what you typed stays here."));
    }
    if (number === shown) panel.dataset.state = "ended";
  }

  form.addEventListener("submit", (event) => {
    if (event.submitter?.value !== "backtest") return;
    event.preventDefault();
    backtest();
  });

  // The button that stops it is a form of its own, and leaves this page as it is.
  panel.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter;
    if (button) button.disabled = true;
    try {
      await page(event.target.action, { method: "POST", body: new URLSearchParams(new FormData(event.target)) });
    } catch {
      // The report goes on, and its next copy brings the button again.
    }
  });

  draw([]);
  check();
})();
