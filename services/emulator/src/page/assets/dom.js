// Functions that build and update the page. Text is always set as text, never as HTML, since bots send untrusted input.

/** Makes an element: h("button", {class: "primary", onclick: f}, "Go"). */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * Makes the children of `container` those of `items`, touching only what changed, so that focus and scrolling stay.
 * `render(item)` is called when the item's JSON differs from last time.
 */
export function reconcile(container, items, key, render) {
  const old = new Map([...container.children].map((child) => [child.dataset.key, child]));
  const focused = document.activeElement;
  let place = container.firstElementChild;
  for (const item of items) {
    const name = key(item);
    const print = JSON.stringify(item);
    let element = old.get(name);
    if (!element || element.dataset.print !== print) {
      const fresh = render(item);
      fresh.dataset.key = name;
      fresh.dataset.print = print;
      if (element) {
        const path = focused && element.contains(focused) ? focused.dataset.focus : null;
        if (place === element) place = fresh;
        element.replaceWith(fresh);
        if (path) fresh.querySelector(`[data-focus="${CSS.escape(path)}"]`)?.focus();
        else if (focused && element.contains(focused)) container.closest("[tabindex]")?.focus();
      }
      element = fresh;
    }
    old.delete(name);
    if (element === place) place = place.nextElementSibling;
    else container.insertBefore(element, place);
  }
  for (const gone of old.values()) gone.remove();
}

/** A short note at the edge of the page, for errors. */
export function toast(text) {
  const note = h("div", { class: "toast" }, text);
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), 6000);
}

/** `#rrggbb` of Discord's number; undefined for 0, which means "no colour". */
export const hex = (color) => (color ? `#${color.toString(16).padStart(6, "0")}` : undefined);

/** A colour of one's own for an avatar. Neighbouring ids are far apart on the wheel: 137 degrees is the golden angle. */
export const hue = (id) => Number((BigInt(id) * 137n) % 360n);

/** The first letters of a name, for avatars and server icons. */
export const initials = (name) =>
  name.split(/[\s_-]+/).filter(Boolean).slice(0, 2).map((word) => [...word][0].toUpperCase()).join("");

export const avatar = (id, name, size = "") =>
  h("span", { class: `avatar ${size}`, style: `--hue:${hue(id)}`, "aria-hidden": "true" }, initials(name));
