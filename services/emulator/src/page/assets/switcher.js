// Ctrl+K: switches to a server or channel, or to another member, by a few letters of the name.
import * as api from "./api.js";
import { toast } from "./dom.js";
import { Listbox } from "./listbox.js";

/** What is shown when nothing matches, by the sign before the name. */
const NOTHING = { "@": "No such person. A new one joins by POST /control/guilds/{id}/members.", "#": "No such channel in this server.",
  "*": "No such server.", "": "No such person, channel or server." };

export class Switcher {
  constructor(context) {
    this.context = context;
    this.dialog = document.getElementById("switcher");
    this.input = document.getElementById("switcher-input");
    this.empty = document.getElementById("switcher-empty");
    this.list = new Listbox(document.getElementById("switcher-list"), (choice) => this.go(choice));
    this.input.addEventListener("input", () => this.filter());
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") this.list.key(event);
    });
    this.dialog.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  }

  async open(start = "") {
    // Opened first, so that fast input does not go into the message box.
    this.everyone = { users: [], guilds: [] };
    this.loaded = false;
    this.input.value = start;
    this.dialog.showModal();
    this.input.focus();
    this.filter();
    try {
      this.everyone = await api.everyone();
      this.loaded = true;
      this.filter();
    } catch (error) {
      toast(error.message);
    }
  }

  filter() {
    const { view } = this.context;
    const text = this.input.value.trim().toLowerCase();
    const sign = /^[@#*]/.test(text) ? text[0] : "";
    const wanted = text.slice(sign.length);
    const people = this.everyone.users.map((user) => ({ kind: "@", value: user.id, label: user.display,
      note: `@${user.name}${user.guilds.length ? ` · ${user.guilds.join(", ")}` : " · in no server yet"}` }));
    const channels = (view.guild?.channels ?? []).filter((channel) => channel.kind !== 4)
      .map((channel) => ({ kind: "#", value: channel.id, label: channel.name, note: view.guild.name }));
    const servers = this.everyone.guilds.map((guild) => ({ kind: "*", value: guild.id, label: guild.name,
      note: view.guilds.some((mine) => mine.id === guild.id) ? "server" : `server · ${view.viewer.display} is not in it: join` }));
    const found = [...servers, ...channels, ...people]
      .filter((choice) => (!sign || choice.kind === sign) && `${choice.label} ${choice.note}`.toLowerCase().includes(wanted))
      .map((choice) => ({ ...choice, mark: choice.kind === "*" ? "◆" : choice.kind }));
    this.empty.textContent = this.loaded && found.length === 0 ? NOTHING[sign] : "";
    const rank = (choice) => (choice.label.toLowerCase().startsWith(wanted) ? 0 : 1);
    this.list.show(this.input, found.sort((a, b) => rank(a) - rank(b)).slice(0, 40));
  }

  async go(choice) {
    this.dialog.close();
    const { context } = this;
    if (choice.kind === "@") return context.become(choice.value);
    if (choice.kind === "#") return context.go({ channel: choice.value });
    try {
      if (!context.view.guilds.some((mine) => mine.id === choice.value)) await api.join(choice.value, { user_id: context.view.viewer.id });
      context.go({ guild: choice.value, channel: undefined });
    } catch (error) {
      toast(error.message);
    }
  }
}
