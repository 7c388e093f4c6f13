// One list of choices under one input, driven by arrow keys: the command list, option values and the quick switcher.
import { h } from "./dom.js";

/** `choose(choice)` is called for Enter, Tab or a click. Choices are {value, label, note?}. */
export class Listbox {
  constructor(element, choose) {
    this.element = element;
    this.choose = choose;
    this.choices = [];
    this.at = 0;
  }

  get open() {
    return !this.element.hidden && this.choices.length > 0;
  }

  show(input, choices, { at = 0 } = {}) {
    this.input?.setAttribute("aria-expanded", "false");
    this.input = input;
    this.choices = choices;
    this.at = at;
    this.element.hidden = choices.length === 0;
    this.element.replaceChildren(...choices.map((choice, i) =>
      h("div", { role: "option", id: `${this.element.id}-${i}`, class: "choice", onmousedown: (event) => { event.preventDefault(); this.choose(choice); } },
        choice.mark && h("span", { class: "mark", "aria-hidden": "true" }, choice.mark),
        h("strong", {}, choice.label), choice.note && h("span", { class: "note" }, choice.note))));
    input.setAttribute("aria-expanded", String(choices.length > 0));
    input.setAttribute("aria-controls", this.element.id);
    this.move(0);
  }

  hide() {
    this.choices = [];
    this.element.hidden = true;
    this.input?.setAttribute("aria-expanded", "false");
    this.input?.removeAttribute("aria-activedescendant");
  }

  move(by) {
    const count = this.choices.length;
    if (!count) return this.input?.removeAttribute("aria-activedescendant");
    this.at = (this.at + by + count) % count;
    [...this.element.children].forEach((child, i) => child.setAttribute("aria-selected", String(i === this.at)));
    this.element.children[this.at].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", `${this.element.id}-${this.at}`);
  }

  /** True when the list handled the key. */
  key(event) {
    if (!this.open) return false;
    if (event.key === "ArrowDown") this.move(1);
    else if (event.key === "ArrowUp") this.move(-1);
    else if (event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) this.choose(this.choices[this.at]);
    else if (event.key === "Escape") this.hide();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }
}
