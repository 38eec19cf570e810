// Connects the stream to the parts of the page; each part updates only what has changed.

import { able, say } from "./api.js";
import { compare } from "./compare.js";
import { byId, set } from "./dom.js";
import { header } from "./header.js";
import { keys } from "./keys.js";
import { log } from "./log.js";
import { panel } from "./panel.js";
import { sliders } from "./sliders.js";
import { story } from "./story.js";
import { listen } from "./stream.js";
import { topology } from "./topology.js";
import { traffic } from "./traffic.js";
import { widgets } from "./widgets.js";

const SCREENS = ["lab", "traffic", "story", "log", "compare"];
/** Browsers open six connections to a host: one remains for commands. */
const TABS_MAX = 5;
const CONNECTIONS = {
  live: "live",
  lost: "The lab does not answer: it has ended, or is suspended. Retrying…",
  locked: "This tab has no token for this lab. Open it with `labctl open`, or the URL in `docker compose logs page`.",
};

let chosen = "";
/** @type {any} */
let state = null;
const choose = (/** @type {string} */ name) => {
  chosen = name === chosen ? "" : name;
  show();
};
const parts = {
  header: header(),
  sliders: sliders(),
  panel: panel(choose),
  log: log(),
  traffic: traffic(),
  widgets: widgets(),
  story: story(),
  compare: compare(),
};
const picture = topology(choose);

function show() {
  if (!state) return;
  picture.update(state, chosen);
  parts.panel.update(state, chosen);
}

/** @param {number} index */
function screen(index) {
  SCREENS.forEach((name, at) => {
    const tab = byId(`tab-${name}`);
    set(tab, { "aria-selected": String(at === index), tabindex: at === index ? 0 : -1 });
    byId(`screen-${name}`).hidden = at !== index;
  });
  if (state) parts.traffic.update(state);
  if (SCREENS[index] === "compare") parts.compare.open();
  show();
}

SCREENS.forEach((name, index) => byId(`tab-${name}`).addEventListener("click", () => screen(index)));
byId("tabs").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const now = SCREENS.findIndex((name) => byId(`tab-${name}`).getAttribute("aria-selected") === "true");
  const step = { ArrowRight: 1, ArrowLeft: SCREENS.length - 1 }[event.key];
  if (step === undefined) return;
  screen((now + step) % SCREENS.length);
  byId(`tab-${SCREENS[(now + step) % SCREENS.length]}`).focus();
});
byId("focus").addEventListener("change", show);
byId("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(byId("typed").textContent ?? "");
  say("Copied.");
});
keys(parts.panel, parts.widgets.step, screen, () => {
  chosen = "";
  show();
});

let openedAt = Infinity;

listen({
  hello(hello, isNew) {
    const chapter = hello.chapter;
    able.act = hello.can_act;
    document.title = `${chapter.title} · Scaling Lab`;
    set(byId("title"), { text: `${chapter.number}. ${chapter.title}` });
    set(byId("question"), { text: chapter.question });
    set(byId("typed"), { text: hello.can_act ? `${hello.labctl} status` : `${hello.labctl} ps` });
    parts.traffic.begin(hello, isNew);
    if (!isNew) return;
    chosen = "";
    openedAt = Infinity;
    picture.entrances(hello);
    parts.log.clear();
    parts.sliders.begin(hello);
    parts.panel.begin(hello);
    parts.widgets.begin(hello);
    parts.story.begin(hello);
    parts.compare.begin(hello);
    if (hello.watchers >= TABS_MAX) {
      say(`${hello.watchers} tabs are open: a browser gives them six connections together. Close some.`, true);
    }
  },
  state(told) {
    state = told;
    const isFirst = openedAt === Infinity;
    if (isFirst) openedAt = told.at;
    parts.header.update(state);
    parts.sliders.update(state);
    parts.widgets.update(state);
    parts.traffic.update(state);
    parts.story.update(state);
    show();
    if (isFirst) performance.mark("drawn");
  },
  event(event) {
    parts.log.add(event, event.at > openedAt);
    parts.widgets.event(event);
    if (event.fault) parts.traffic.fault(event);
    // The picture shows it at once, ahead of the next state.
    const machine = state?.machines.find((/** @type {any} */ one) => one.name === event.subject);
    if (machine && event.event === "machine_ended") {
      Object.assign(machine, {
        health: "down",
        word: "down",
        since: event.at,
        reason: event.text.split(": ")[1] ?? null,
        cpu: null,
        queue: null,
      });
      show();
    }
  },
  run(event) {
    parts.story.run(event);
  },
  connection(connection) {
    document.body.dataset.connection = connection;
    set(byId("connection"), { text: CONNECTIONS[connection], "data-connection": connection });
  },
});
