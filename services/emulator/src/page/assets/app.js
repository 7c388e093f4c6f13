// The page: stores location and member, requests the view after each change, and draws it.
import * as api from "./api.js";
import { avatar, h, hex, hue, initials, reconcile, toast } from "./dom.js";
import { Composer } from "./composer.js";
import { openModal, openPerson } from "./dialogs.js";
import { showMessages, stayAtBottom } from "./messages.js";
import { Switcher } from "./switcher.js";
import { TrafficPanel } from "./traffic.js";

const byId = (id) => document.getElementById(id);

/** The location is part of the URL, so that a reload or a link shows the same. */
function place() {
  const parts = new URLSearchParams(location.hash.slice(1));
  return { viewer: parts.get("viewer"), guild: parts.get("guild"), channel: parts.get("channel") };
}

const context = {
  view: null,
  notesByChannel: new Map(),
  hidden: new Set(),

  go(change) {
    if (byId("app").dataset.drawer) {
      toggleDrawer(null);
      byId("composer").focus();
    }
    const next = { ...place(), ...change };
    if ("guild" in change && !("channel" in change)) delete next.channel;
    location.hash = new URLSearchParams(Object.entries(next).filter(([, value]) => value)).toString();
  },
  become(user) {
    this.go({ viewer: user, guild: place().guild, channel: place().channel });
  },
  dismiss(id) {
    this.hidden.add(id);
    draw();
    byId("composer").focus();
  },
  notes(channel) {
    return (this.notesByChannel.get(channel) ?? []).filter((note) => !this.hidden.has(note.id));
  },
  note(channel, text) {
    const list = this.notesByChannel.get(channel) ?? [];
    list.push({ id: `note-${Date.now()}-${list.length}`, note: text });
    this.notesByChannel.set(channel, list);
    draw();
  },

  people: () => (context.view.guild?.members ?? []).map((member) => ({ value: member.id, label: member.display, note: `@${member.name}`, mark: "@" })),
  roles: () => (context.view.guild?.roles ?? []).map((role) => ({ value: role.id, label: role.name, note: "role", mark: "@" })),
  channels: (kinds) => (context.view.guild?.channels ?? []).filter((channel) => !kinds?.length || kinds.includes(channel.kind))
    .map((channel) => ({ value: channel.id, label: channel.name, mark: "#" })),
  names: {
    user: (id) => context.view.guild?.members.find((member) => member.id === id)?.display ?? "unknown-user",
    role: (id) => context.view.guild?.roles.find((role) => role.id === id) ?? { name: "deleted-role", color: 0 },
    channel: (id) => context.view.guild?.channels.find((channel) => channel.id === id)?.name ?? "unknown",
  },

  press(message, customId, values, control) {
    control.classList.add("busy");
    this.interact({ kind: "component", ...this.here(), message_id: message.id, custom_id: customId, values })
      .catch((error) => toast(error.message))
      .finally(() => control.classList.remove("busy"));
  },
  here() {
    return { guild_id: this.view.guild?.id, channel_id: this.view.channel.id, user_id: this.view.viewer.id };
  },
  /** Sends an interaction. Resolves when it is sent, and shows a note later when the bot does not respond. */
  async interact(body) {
    const { id } = await api.interact(body);
    this.follow(id, body.channel_id);
    return id;
  },
  async follow(id, channel) {
    try {
      let record;
      do record = await api.interaction(id, 3000); while (record.state === "pending");
      if (record.modal) openModal(record.modal, id, this);
      else if (record.state === "expired") this.note(channel, "The application did not respond.");
    } catch (error) {
      toast(error.message);
    }
  },
};

const composer = new Composer(context);
const switcher = new Switcher(context);
const panel = new TrafficPanel();
stayAtBottom(byId("log"));
arrowKeys(byId("members"), ".member");
arrowKeys(byId("channel-list"), ".channel");
let running = false;
let again = false;

/** Fetches the view and draws it. Changes in the meantime lead to one more request. */
async function update() {
  if (running) return void (again = true);
  running = true;
  try {
    do {
      again = false;
      context.view = await api.view(place());
      draw();
    } while (again);
  } catch (error) {
    toast(error.message);
  } finally {
    running = false;
  }
}

function draw() {
  const { view } = context;
  if (!view) return;
  drawServers(view);
  drawChannels(view);
  drawViewer(view);
  drawHeader(view);
  drawMembers(view);
  if (view.channel) {
    const channel = { ...view.channel, messages: view.channel.messages.filter((message) => !context.hidden.has(message.id)) };
    showMessages(byId("log"), channel, context);
  } else {
    byId("log").replaceChildren(empty(view));
  }
  composer.refresh();
}

function empty(view) {
  const text = view.guild ? "There is no channel here that you may see." : `${view.viewer.display} is in no server yet.`;
  return h("div", { class: "empty-state" }, h("p", {}, text),
    h("button", { type: "button", class: "button primary", onclick: () => switcher.open("*") }, "Find a server to join (Ctrl+K)"));
}

function drawServers(view) {
  const items = [...view.guilds.map((guild) => ({ ...guild, here: guild.id === view.guild?.id })), { id: "find" }];
  reconcile(byId("servers"), items, (item) => item.id, (item) => item.id === "find"
    ? h("button", { type: "button", class: "server find", title: "Find a server to join", "aria-label": "Find a server to join", onclick: () => switcher.open("*") }, "+")
    : h("button", { type: "button", class: "server", style: `--hue:${hue(item.id)}`, title: item.name, "aria-label": item.name, dataset: { focus: item.id },
        "aria-current": item.here ? "page" : null, onclick: () => context.go({ guild: item.id }) }, initials(item.name)));
}

const MARKS = { 0: "#", 2: "🔊", 5: "📣", 13: "🎙", 15: "💬", 16: "🖼" };

function drawChannels(view) {
  byId("guild-name").textContent = view.guild?.name ?? "No server";
  const items = (view.guild?.channels ?? []).map((channel) => ({ ...channel, here: channel.id === view.channel?.id }));
  reconcile(byId("channel-list"), items, (item) => item.id, (item) => item.kind === 4
    ? h("h3", { title: item.name }, item.name)
    : h("button", { type: "button", class: "channel", "aria-current": item.here ? "page" : null, dataset: { focus: item.id },
        onclick: () => context.go({ channel: item.id }) }, h("span", { class: "mark", "aria-hidden": "true" }, MARKS[item.kind] ?? "#"),
        h("span", { class: "name", title: item.name }, item.name),
        item.locked && h("span", { class: "lock", title: "not everyone sees this channel", "aria-label": "private" }, "🔒")));
  oneStop(byId("channel-list"), ".channel");
}

function drawViewer(view) {
  const me = view.viewer;
  reconcile(byId("viewer"), [{ id: me.id, display: me.display, name: me.name, roles: me.roles }], (item) => item.id, () =>
    h("div", { class: "me" },
      h("button", { type: "button", class: "who", title: "Act as another member (Ctrl+K)", dataset: { focus: "who" }, onclick: () => switcher.open("@") },
        avatar(me.id, me.display), h("span", {}, h("strong", {}, me.display), h("small", {}, me.roles.length ? me.roles.join(", ") : "no roles")),
        h("span", { class: "visually-hidden" }, "Act as another member"))));
}

function drawHeader(view) {
  const header = byId("channel-header");
  reconcile(header, [{ id: view.channel?.id ?? "none", title: view.channel?.title ?? "", topic: view.channel?.topic ?? "" }], (item) => item.id, (item) =>
    h("div", { class: "bar" }, h("h1", {}, item.title), item.topic && h("p", {}, item.topic),
      h("div", { class: "tools" },
        drawerButton("channels", "Channels"),
        drawerButton("members", "Members"),
        tool("Switch", "Ctrl+K", () => switcher.open()),
        tool("Traffic", "Ctrl+.", () => panel.toggle()),
        tool("Light or dark", "", flipTheme))));
}

const tool = (label, key, onclick) =>
  h("button", { type: "button", class: "tool", title: key || label, onclick, dataset: { focus: label } }, label, key && h("kbd", {}, key));

/** A button that opens a list which a narrow window does not show. */
const drawerButton = (name, label) =>
  h("button", { type: "button", class: `tool open-${name}`, "aria-expanded": String(byId("app").dataset.drawer === name), "aria-controls": name,
    dataset: { focus: label, drawer: name }, onclick: () => toggleDrawer(name) }, label);

/** Opens this list over the messages, or closes it when it is open; `null` closes any. */
function toggleDrawer(name) {
  const app = byId("app");
  const open = name !== null && app.dataset.drawer !== name;
  if (open) app.dataset.drawer = name;
  else delete app.dataset.drawer;
  for (const button of document.querySelectorAll("button[data-drawer]")) {
    button.setAttribute("aria-expanded", String(open && button.dataset.drawer === name));
  }
  if (open) byId(name).querySelector("button[tabindex='0'], button")?.focus();
}

function closeDrawer() {
  const name = byId("app").dataset.drawer;
  if (!name) return;
  toggleDrawer(null);
  document.querySelector(`button[data-drawer="${name}"]`)?.focus();
}

function drawMembers(view) {
  const groups = [];
  for (const member of view.guild?.members ?? []) {
    const last = groups.at(-1);
    if (last?.id === member.group_id) last.members.push(member);
    else groups.push({ id: member.group_id, name: member.group, members: [member] });
  }
  reconcile(byId("members"), groups, (group) => group.id, (group) =>
    h("section", {}, h("h3", {}, `${group.name} — ${group.members.length}`), group.members.map((member) =>
      h("button", { type: "button", class: "member", dataset: { focus: member.id }, onclick: () => openPerson(member, context) },
        avatar(member.id, member.display, "small"), h("span", { class: "role-color", style: member.color && `--role:${hex(member.color)}` }, member.display),
        member.bot && h("span", { class: "tag" }, "APP"), member.owner && h("span", { title: "owner", "aria-label": "owner" }, "👑")))));
  oneStop(byId("members"), ".member");
}

/** One Tab stop for the whole list; arrow keys move in it. */
function arrowKeys(list, selector) {
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const items = [...list.querySelectorAll(selector)];
    const at = items.indexOf(document.activeElement);
    if (!by || at < 0) return;
    event.preventDefault();
    items[Math.min(items.length - 1, Math.max(0, at + by))].focus();
  });
}
const oneStop = (list, selector) => list.querySelectorAll(selector).forEach((item, i) => { item.tabIndex = i === 0 ? 0 : -1; });

function flipTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
}

const remembered = localStorage.getItem("theme");
if (remembered) document.documentElement.dataset.theme = remembered;
addEventListener("hashchange", update);
addEventListener("keydown", (event) => {
  if (event.ctrlKey && event.key === "k") { event.preventDefault(); switcher.open(); }
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) closeDrawer();
  if (event.ctrlKey && event.key === ".") { event.preventDefault(); panel.toggle(); }
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName) || document.querySelector("dialog[open]");
  if (event.key === "/" && !typing && !event.ctrlKey) {
    event.preventDefault();
    const input = byId("composer");
    input.focus();
    input.value = "/";
    composer.suggestCommands();
  }
});
document.querySelector("main").addEventListener("pointerdown", (event) => {
  if (!event.target.closest("button[data-drawer]") && byId("app").dataset.drawer) toggleDrawer(null);
});
api.onChange(update);
update().then(() => document.querySelector("dialog[open]") || byId("composer").focus());
