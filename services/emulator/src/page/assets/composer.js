// The input box: messages, and commands with their options, autocomplete and choices, all by keyboard.
import * as api from "./api.js";
import { h, toast } from "./dom.js";
import { Listbox } from "./listbox.js";

const NO_SUCH_COMMAND = "No such command here. The bot registers its commands when it starts.";
const KIND = { STRING: 3, INTEGER: 4, BOOLEAN: 5, USER: 6, CHANNEL: 7, ROLE: 8, MENTIONABLE: 9, NUMBER: 10, ATTACHMENT: 11 };

/** Commands with their subcommands, as entries of one list: `/verify start` is one. */
function entries(commands) {
  const list = [];
  const walk = (command, path, options, description) => {
    const nested = (options ?? []).filter((option) => option.type === 1 || option.type === 2);
    if (nested.length === 0) list.push({ command, path, options: options ?? [], description, label: `/${path.join(" ")}` });
    for (const option of nested) walk(command, [...path, option.name], option.options, option.description);
  };
  for (const command of commands) if ((command.type ?? 1) === 1) walk(command, [command.name], command.options, command.description);
  return list.sort((a, b) => a.label.localeCompare(b.label));
}

/**
 * Options in typed text, as Discord's client accepts them: `name:value`, the value in quotes or up to the next option. `values` has the text
 * of each option, `rest` the text that belongs to none.
 */
function typedOptions(options, text) {
  const heads = /(?:^|\s)([-_'\p{L}\p{N}]+):/gu;
  const found = [];
  for (let match = heads.exec(text); match; match = heads.exec(text)) {
    const option = options.find((option) => option.name === match[1].toLowerCase());
    if (!option) continue;
    const quoted = /^\s*"([^"]*)"/.exec(text.slice(heads.lastIndex));
    found.push({ option, head: match.index, start: heads.lastIndex, quoted: quoted?.[1] });
    if (quoted) heads.lastIndex += quoted[0].length;
    found.at(-1).end = heads.lastIndex;
  }
  const values = new Map();
  const rest = [text.slice(0, found[0]?.head)];
  found.forEach(({ option, start, end, quoted }, i) => {
    const next = found[i + 1]?.head;
    values.set(option, quoted ?? text.slice(start, next).trim());
    if (quoted !== undefined) rest.push(text.slice(end, next));
  });
  return { values, rest: rest.map((part) => part.trim()).filter(Boolean).join(" ") };
}

export class Composer {
  constructor(context) {
    this.context = context;
    this.input = document.getElementById("composer");
    this.fields = document.getElementById("command-fields");
    this.chip = document.getElementById("command-chip");
    this.hint = document.getElementById("hint");
    this.list = new Listbox(document.getElementById("suggestions"), (choice) => this.chosen(choice));
    this.entry = null;
    this.input.addEventListener("input", () => this.suggestCommands());
    this.input.addEventListener("keydown", (event) => this.keys(event));
    this.input.addEventListener("blur", () => this.list.hide());
    document.getElementById("composer-form").addEventListener("submit", (event) => event.preventDefault());
  }

  /** Called after each new view, which decides the allowed input. */
  refresh() {
    const { view } = this.context;
    const channel = view.channel;
    this.input.disabled = !channel;
    this.input.placeholder = !channel ? "" : this.entry ? `Enter runs ${this.entry.label}, Esc gives up`
      : channel.can_send ? `Message ${channel.title}, or / for a command` : "You may not write here; / for a command";
  }

  suggestCommands() {
    if (this.entry) return;
    const text = this.input.value;
    if (!text.startsWith("/")) return this.list.hide();
    const typed = this.typedCommand(text);
    if (typed?.text) {
      this.list.hide();
      const { entry } = typed;
      const names = entry.options.map((option) => `${option.name}:`).join(" ");
      this.hint.textContent = `${entry.description}. Enter runs it; its options: ${names || "none"}.`;
      return;
    }
    const wanted = text.slice(1).toLowerCase().trimEnd();
    const found = entries(this.context.view.commands).filter((entry) => entry.label.slice(1).includes(wanted));
    found.sort((a, b) => b.label.slice(1).startsWith(wanted) - a.label.slice(1).startsWith(wanted));
    this.list.show(this.input, found.map((entry) => ({ value: entry, label: entry.label, note: entry.description, mark: "/" })));
    this.hint.textContent = found.length ? "" : NO_SUCH_COMMAND;
  }

  /** The command that a text begins with, and the text after it; undefined when there is none. */
  typedCommand(text) {
    const lower = text.toLowerCase();
    const begun = entries(this.context.view.commands).filter(({ label }) => lower === label || lower.startsWith(`${label} `));
    const entry = begun.sort((a, b) => b.label.length - a.label.length)[0];
    return entry && { entry, text: text.slice(entry.label.length).trim() };
  }

  keys(event) {
    if (this.list.key(event)) return;
    // Without a submit button a browser does not submit a form with several fields.
    if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      this.submit();
    }
    if (this.entry && (event.key === "Escape" || (event.key === "Backspace" && this.input.value === ""))) {
      event.preventDefault();
      this.leaveCommand();
    }
  }

  chosen(choice) {
    if (this.field) return this.field.take(choice);
    this.enterCommand(choice.value);
  }

  enterCommand(entry, focuses = true) {
    this.entry = entry;
    this.list.hide();
    this.input.value = "";
    this.chip.textContent = entry.label;
    this.chip.hidden = false;
    this.values = new Map();
    const optional = entry.options.map((option) => option.name).join(", ");
    this.hint.textContent = `${entry.description}. Enter runs it${optional && `; Shift+Tab goes to its options: ${optional}`}.`;
    this.fields.replaceChildren(...entry.options.map((option) => this.optionField(option)));
    this.fields.hidden = entry.options.length === 0;
    this.refresh();
    if (!focuses) return;
    const first = this.fields.querySelector("[data-required] input, [data-required] select");
    (first ?? this.input).focus();
  }

  leaveCommand() {
    this.entry = null;
    this.field = null;
    this.chip.hidden = true;
    this.chip.textContent = "";
    this.fields.hidden = true;
    this.fields.replaceChildren();
    this.hint.textContent = "";
    this.input.value = "";
    this.list.hide();
    this.refresh();
    this.input.focus();
  }

  /** One option: an input with suggestions from choices, users, roles, channels or the bot's autocomplete. */
  optionField(option) {
    const id = `option-${option.name}`;
    const box = option.type === KIND.BOOLEAN
      ? h("select", { id }, h("option", { value: "" }, "—"), h("option", { value: "true" }, "True"), h("option", { value: "false" }, "False"))
      : h("input", { id, role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", spellcheck: "false",
          "aria-required": String(Boolean(option.required)), "aria-description": option.description });
    let pause;
    const suggest = async () => {
      this.field = { take: (choice) => this.take(option, box, choice) };
      if (!option.autocomplete) return this.list.show(box, this.localChoices(option, box.value));
      clearTimeout(pause);
      pause = setTimeout(async () => {
        if (document.activeElement !== box) return;
        const choices = await this.askForChoices(option, box.value);
        if (document.activeElement === box) this.list.show(box, choices);
      }, 150);
    };
    if (box.tagName === "INPUT") {
      box.addEventListener("input", () => { this.values.delete(option.name); suggest(); });
      box.addEventListener("focus", () => { this.hint.textContent = option.description; suggest(); });
      box.addEventListener("blur", () => { this.list.hide(); this.field = null; });
    }
    box.addEventListener("keydown", (event) => {
      if (this.list.key(event)) return;
      if (event.key === "Escape") { event.preventDefault(); this.leaveCommand(); }
      if (event.key === "Enter") { event.preventDefault(); this.submit(); }
    });
    return h("label", { class: "option", dataset: option.required ? { required: "" } : {} },
      h("span", {}, option.name, option.required && h("b", { title: "required" }, " *")), box);
  }

  localChoices(option, typed) {
    const { context } = this;
    const all = option.choices ? option.choices.map((choice) => ({ value: choice.value, label: choice.name }))
      : option.type === KIND.USER ? context.people()
      : option.type === KIND.ROLE ? context.roles()
      : option.type === KIND.MENTIONABLE ? [...context.people(), ...context.roles()]
      : option.type === KIND.CHANNEL ? context.channels(option.channel_types)
      : [];
    const wanted = typed.toLowerCase().replace(/^[@#]/, "");
    return all.filter((choice) => `${choice.label} ${choice.note ?? ""}`.toLowerCase().includes(wanted)).slice(0, 25);
  }

  async askForChoices(option, typed) {
    try {
      const { id } = await api.interact({ ...this.place(), kind: "autocomplete", name: this.entry.command.name, command_id: this.entry.command.id,
        options: this.nest(this.gather(option, typed)), focused: option.name });
      const record = await api.interaction(id, 3000);
      return (record.choices ?? []).map((choice) => ({ value: choice.value, label: choice.name }));
    } catch (error) {
      this.hint.textContent = error.message;
      return [];
    }
  }

  take(option, box, choice) {
    this.values.set(option.name, choice.value);
    box.value = choice.label;
    this.list.hide();
    const boxes = [...this.fields.querySelectorAll("input, select")];
    const next = boxes.slice(boxes.indexOf(box) + 1).find((other) => other.closest("[data-required]") && !other.value);
    (next ?? box).focus();
    this.list.hide();
  }

  place() {
    const { view } = this.context;
    return { guild_id: view.guild?.id, channel_id: view.channel.id, user_id: view.viewer.id };
  }

  /** The options in the form of Discord's client; `focused` is the option with focus. */
  gather(focused, typed) {
    const options = [];
    for (const option of this.entry.options) {
      const box = document.getElementById(`option-${option.name}`);
      const text = focused === option ? typed : box.value.trim();
      if (text === "" && focused !== option) continue;
      const value = this.values.has(option.name) ? this.values.get(option.name) : this.convert(option, text);
      options.push({ name: option.name, type: option.type, value, ...(focused === option ? { focused: true } : {}) });
    }
    return options;
  }

  convert(option, text) {
    if (option.type === KIND.BOOLEAN) return text === "true";
    if (option.type === KIND.INTEGER || option.type === KIND.NUMBER) return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    const mention = /^<(?:@[!&]?|#)(\d+)>$/.exec(text);
    if (mention && [KIND.USER, KIND.CHANNEL, KIND.ROLE, KIND.MENTIONABLE].includes(option.type)) return mention[1];
    const wanted = text.toLowerCase().replace(/^[@#]/, "");
    const choices = this.localChoices(option, text);
    const exact = choices.find((choice) => choice.label.toLowerCase() === wanted) ?? choices.find((choice) => choice.note === `@${wanted}`);
    return exact ? exact.value : text;
  }

  /** Nests options under their subcommand and group. */
  nest(options) {
    let nested = options;
    const names = this.entry.path.slice(1);
    names.reverse().forEach((name, depth) => { nested = [{ name, type: depth === 0 ? 1 : 2, options: nested }]; });
    return nested;
  }

  async submit() {
    if (this.entry) return this.run();
    const text = this.input.value.trim();
    const { view } = this.context;
    if (!text || !view.channel) return;
    if (text.startsWith("/")) {
      const typed = this.typedCommand(text);
      if (typed) {
        this.enterCommand(typed.entry, false);
        this.input.value = typed.text;
        return this.run();
      }
      if (this.hint.textContent !== NO_SUCH_COMMAND) this.hint.textContent = "Choose a command from the list with Tab or Enter.";
      return;
    }
    try {
      await api.send(view.guild?.id, view.channel.id, view.viewer.id, text);
      this.input.value = "";
    } catch (error) {
      toast(error.message);
    }
  }

  /** Moves text of the input box into the options; false when a part of it belongs to none, which the hint then explains. */
  moveTypedText() {
    const { entry } = this;
    const text = this.input.value.trim();
    if (!text) return true;
    const { values, rest } = typedOptions(entry.options, text);
    const box = (option) => document.getElementById(`option-${option.name}`);
    if (rest) {
      const empty = entry.options.find((option) => !values.has(option) && !box(option).value.trim());
      if (!empty) {
        this.hint.textContent = entry.options.length ? `"${rest}" belongs to no option. Options go into their fields: Shift+Tab.`
          : `${entry.label} has no options; delete "${rest}", then Enter runs it.`;
        this.input.focus();
        return false;
      }
      values.set(empty, rest);
    }
    for (const [option, value] of values) {
      const shown = option.type === KIND.BOOLEAN ? value.toLowerCase() : value;
      this.values.delete(option.name);
      box(option).value = shown;
      if (box(option).value !== shown) {
        this.hint.textContent = `${option.name} is True or False, not "${value}".`;
        this.input.focus();
        return false;
      }
    }
    this.input.value = "";
    return true;
  }

  async run() {
    if (!this.moveTypedText()) return;
    const missing = this.entry.options.find((option) => option.required && !document.getElementById(`option-${option.name}`).value.trim());
    if (missing) {
      this.hint.textContent = `${missing.name} is needed: ${missing.description}`;
      document.getElementById(`option-${missing.name}`).focus();
      return;
    }
    const body = { ...this.place(), kind: "command", name: this.entry.command.name, command_id: this.entry.command.id, options: this.nest(this.gather()) };
    try {
      await this.context.interact(body);
      this.leaveCommand();
    } catch (error) {
      this.hint.textContent = error.message;
    }
  }
}
