// The client of the event stream: one connection, reopened whenever it breaks.

/**
 * @typedef {object} Listeners
 * @property {(hello: any, isNew: boolean) => void} hello
 * @property {(state: any) => void} state
 * @property {(event: any) => void} event
 * @property {(event: any) => void} run
 * @property {(connection: "live" | "lost" | "locked") => void} connection
 */

/** States come five times a second, so silence for this long means that the connection is lost. */
const SILENCE_MAX = 3000;
const RETRY = 500;

/**
 * Listens for as long as the page is open.
 * @param {Listeners} listeners
 */
export function listen(listeners) {
  let lab = "";
  let heard = 0;
  let told = 0;
  let last = performance.now();
  /** @type {EventSource | null} */
  let source = null;
  let retry = 0;

  function open() {
    source?.close();
    last = performance.now();
    const opened = new EventSource("/api/stream");
    source = opened;
    const on = (/** @type {string} */ name, /** @type {(data: any) => void} */ then) =>
      opened.addEventListener(name, (message) => {
        last = performance.now();
        then(JSON.parse(/** @type {MessageEvent} */ (message).data));
      });
    on("hello", (hello) => {
      const isNew = hello.lab !== lab;
      if (isNew) [heard, told] = [0, 0];
      lab = hello.lab;
      listeners.connection("live");
      listeners.hello(hello, isNew);
    });
    on("state", listeners.state);
    on("event", (event) => {
      // A new stream repeats everything from the beginning; known events are skipped.
      if (event.id <= heard) return;
      heard = event.id;
      listeners.event(event);
    });
    on("run", (event) => {
      if (event.n <= told) return;
      told = event.n;
      listeners.run(event);
    });
    opened.addEventListener("error", lost);
  }

  async function lost() {
    source?.close();
    listeners.connection((await isLocked()) ? "locked" : "lost");
    clearTimeout(retry);
    retry = setTimeout(open, RETRY);
  }

  setInterval(() => {
    if (source && source.readyState !== EventSource.CLOSED && performance.now() - last > SILENCE_MAX) lost();
  }, 500);
  open();
}

/** Whether the lab answers but rejects this tab's token. */
async function isLocked() {
  try {
    const limit = AbortSignal.timeout(1000);
    const answer = await fetch("/api/hello", { signal: limit });
    return answer.status === 401;
  } catch {
    return false;
  }
}
