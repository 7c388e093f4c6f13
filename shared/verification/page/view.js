// Elements of the page. Texts of others (names, errors of wallets) only become text nodes.

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const button = (text, onclick, className = "") => el("button", { type: "button", className, onclick }, text);

/** Buttons, the first of which is the primary action. */
export const actions = (...buttons) => el("div", { className: "actions" }, ...buttons);

export const waiting = (text) => el("p", { className: "waiting" }, el("span", {}, text));

export const notice = (text, calm = false) => (text ? el("p", { className: calm ? "notice calm" : "notice" }, text) : null);

/** A sign above the title: a check, a clock, or an exclamation mark, drawn in the colour of the text. */
const SIGNS = { good: "M14 25l7 7 14-15", expired: "M24 14v11l7 5", ended: "M24 13v14M24 33v1" };

export function mark(kind) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 48 48");
  svg.setAttribute("class", kind === "good" ? "mark" : "mark ended");
  svg.setAttribute("aria-hidden", "true");
  const shapes = [SIGNS[kind], "M24 3a21 21 0 1 1 0 42 21 21 0 0 1 0-42z"];
  for (const d of shapes) {
    const path = document.createElementNS(SVG, "path");
    const attributes = { d, fill: "none", stroke: "currentColor", "stroke-width": "3.5", "stroke-linecap": "round", "stroke-linejoin": "round" };
    for (const [name, value] of Object.entries(attributes)) path.setAttribute(name, value);
    svg.append(path);
  }
  return svg;
}

/** Numbered steps. */
export const steps = (...texts) => el("ol", { className: "how" }, ...texts.map((text) => el("li", {}, text)));

export function facts(pairs) {
  const list = el("dl", { className: "facts" });
  for (const [name, value] of pairs) list.append(el("dt", {}, name), el("dd", {}, value));
  return list;
}

/** An address; where it does not fit into a line, it breaks in the middle. */
export const address = (text) => el("span", { className: "address" }, text.slice(0, 22), el("wbr"), text.slice(22));

export function wallet({ name, icon }, onclick, primary) {
  const picture = icon
    ? el("img", { src: icon, alt: "", width: 32, height: 32 })
    : el("span", { className: "blank", "aria-hidden": "true" });
  return el("button", { type: "button", className: primary ? "wallet primary" : "wallet", onclick }, picture, el("span", {}, name));
}

let shown = "";

/**
 * Shows a panel. `key` identifies it: with another key the title gets the focus, so that keyboard and screen reader follow. The
 * same panel again leaves the focus on the button of the same text.
 */
export function show(key, title, ...children) {
  const panel = byId("panel");
  const active = panel.contains(document.activeElement) ? document.activeElement : null;
  const focused = active?.matches("button, a, summary") ? active.textContent : null;
  const opened = panel.querySelector("details")?.open ?? false;
  const icon = children.filter((child) => child instanceof SVGElement);
  const rest = children.filter((child) => child && !(child instanceof SVGElement));
  panel.replaceChildren(...icon, el("h2", { id: "panel-title", tabIndex: -1 }, title), ...rest);
  const first = shown === "";
  if (key === shown) {
    if (opened) panel.querySelector("details")?.setAttribute("open", "");
    const same = [...panel.querySelectorAll("button, a, summary")].find((element) => element.textContent === focused);
    if (active !== null) (same ?? byId("panel-title")).focus();
  } else if (!first) {
    byId("panel-title").focus();
  }
  shown = key;
}

/** Announces a text to screen readers. */
export function announce(text) {
  byId("status").textContent = text;
}

export function showAccount({ name, id }, network) {
  byId("account").hidden = false;
  byId("account-name").textContent = name;
  byId("account-id").textContent = `${network} account ${id}`;
}

const STEPS = ["choose", "sign", "done"];

export function showStep(step) {
  const list = byId("steps");
  list.hidden = step === null;
  const current = STEPS.indexOf(step);
  for (const item of list.children) {
    const at = STEPS.indexOf(item.dataset.step);
    item.classList.toggle("reached", at <= current);
    if (at === current) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

export function showTime(text) {
  byId("time").hidden = text === null;
  byId("time-left").textContent = text ?? "";
}
