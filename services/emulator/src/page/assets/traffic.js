// The panel of gateway frames and REST calls, newest first.
import * as api from "./api.js";
import { h } from "./dom.js";

const KEPT = 300;

export class TrafficPanel {
  constructor() {
    this.newest = 0;
    this.panel = document.getElementById("traffic");
    this.list = document.getElementById("traffic-list");
    this.filter = document.getElementById("traffic-filter");
    this.pause = document.getElementById("traffic-pause");
    this.filter.addEventListener("input", () => this.applyFilter());
    document.getElementById("traffic-clear").addEventListener("click", () => this.list.replaceChildren());
    this.pause.addEventListener("click", () => {
      this.paused = !this.paused;
      this.pause.setAttribute("aria-pressed", String(this.paused));
      this.pause.textContent = this.paused ? "Go on" : "Pause";
    });
  }

  toggle(open = this.panel.hidden) {
    this.panel.hidden = !open;
    document.getElementById("app").classList.toggle("with-traffic", open);
    if (open && !this.source) {
      api.recentTraffic().then((entries) => entries.forEach((entry) => this.add(entry)));
      this.source = api.traffic();
      this.source.onmessage = (event) => this.add(JSON.parse(event.data));
    } else if (!open) {
      this.source?.close();
      this.source = null;
    }
  }

  add(entry) {
    if (this.paused || entry.n <= this.newest) return;
    this.newest = entry.n;
    const rest = entry.kind === "rest";
    const line = rest
      ? [h("b", { class: `status s${Math.floor(entry.status / 100)}` }, String(entry.status)), ` ${entry.method} ${shortened(entry.path)}`]
      : [h("b", { class: `gateway ${entry.direction}` }, entry.direction), ` ${entry.event ?? `op ${entry.op ?? entry.detail ?? ""}`}`,
         entry.seq ? ` #${entry.seq}` : "", entry.shard ? ` · shard ${entry.shard[0]}` : ""];
    const time = new Date(entry.at_ms).toISOString().slice(11, 23);
    const node = h("li", { class: rest ? "rest" : "frame" },
      h("details", {}, h("summary", {}, h("time", {}, time), " ", ...line, rest ? h("span", { class: "note" }, ` ${(entry.duration_us / 1000).toFixed(1)} ms`) : ""),
        h("pre", {}, pretty(entry))));
    node.dataset.text = JSON.stringify(entry).toLowerCase();
    node.hidden = !this.matches(node);
    this.list.prepend(node);
    while (this.list.children.length > KEPT) this.list.lastElementChild.remove();
  }

  matches(node) {
    return node.dataset.text.includes(this.filter.value.trim().toLowerCase());
  }

  applyFilter() {
    for (const node of this.list.children) node.hidden = !this.matches(node);
  }
}

/** A path without the long tokens of interactions; the record below has the complete path. */
const shortened = (path) => path.replace(/[\w-]{60,}/g, (token) => `${token.slice(0, 8)}…`);

/** The record, with JSON bodies parsed. */
function pretty(entry) {
  const open = (value) => {
    if (typeof value !== "string" || !/^[[{]/.test(value)) return value;
    try { return JSON.parse(value); } catch { return value; }
  };
  return JSON.stringify({ ...entry, request: open(entry.request), response: open(entry.response) }, null, 2);
}
