// Dialogs: the bot's modal, and changes of a member.
import * as api from "./api.js";
import { avatar, h, toast } from "./dom.js";
import { markdown } from "./markdown.js";

/** The parts of a modal that take input, from rows (first version) and labels (second). */
function inputs(components, names) {
  return components.flatMap((part) => {
    if (part.type === 1) return inputs(part.components, names);
    if (part.type === 18) return [field(part.component, part.label, part.description)];
    if (part.type === 10) return [{ node: markdown(part.content, names) }];
    return [field(part, part.label)];
  });
}

function field(part, label, description) {
  const props = { name: part.custom_id, id: `modal-${part.custom_id}`, required: part.required !== false };
  const box = part.type === 3
    ? h("select", { ...props, multiple: (part.max_values ?? 1) > 1 }, part.options.map((o) => h("option", { value: o.value, selected: o.default }, o.label)))
    : h(part.style === 2 ? "textarea" : "input",
        { ...props, minlength: part.min_length, maxlength: part.max_length ?? 4000, placeholder: part.placeholder });
  if (part.type !== 3 && part.value) box.value = part.value;
  const node = h("label", { class: "modal-field" }, h("span", {}, label ?? part.label ?? part.custom_id, props.required && h("b", {}, " *")),
    description && h("small", {}, description), box);
  return { node, part, box };
}

/** Opens the modal of an interaction; submitting is an interaction of its own. */
export function openModal(modal, interaction, context) {
  const dialog = document.getElementById("modal");
  const list = inputs(modal.components, context.names);
  const form = h("form", { method: "dialog" },
    h("h2", {}, modal.title), list.map((item) => item.node),
    h("div", { class: "row" },
      h("button", { type: "button", class: "button secondary", onclick: () => dialog.close() }, "Cancel"),
      h("button", { class: "button primary" }, "Submit")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = list.filter((item) => item.box).map(({ part, box }) => part.type === 3
      ? { type: 3, custom_id: part.custom_id, values: [...box.selectedOptions].map((o) => o.value) }
      : { type: 4, custom_id: part.custom_id, value: box.value });
    const { view } = context;
    context.interact({ kind: "modal", guild_id: view.guild?.id, channel_id: view.channel.id, user_id: view.viewer.id,
      custom_id: modal.custom_id, interaction_id: interaction, fields })
      .then(() => dialog.close())
      .catch((error) => toast(error.message));
  });
  dialog.replaceChildren(form);
  dialog.showModal();
}

/** Actions of an administrator on a member: nickname, roles, removal; and acting as the member. */
export function openPerson(person, context) {
  const dialog = document.getElementById("person");
  const { view } = context;
  const guild = view.guild.id;
  const act = (promise) => promise.then(() => dialog.close()).catch((error) => toast(error.message));
  const nick = h("input", { value: person.nick ?? "", maxlength: 32, placeholder: person.name, "aria-label": "Nickname" });
  const roles = view.guild.roles.filter((role) => role.id !== guild && !role.managed);
  const boxes = roles.map((role) => h("label", { class: "check" },
    h("input", { type: "checkbox", value: role.id, checked: person.roles.includes(role.id) }), role.name));
  const managed = person.roles.filter((id) => !roles.some((role) => role.id === id));
  const form = h("form", { method: "dialog" },
    h("h2", {}, avatar(person.id, person.display), ` ${person.display}`),
    h("p", { class: "hint" }, `@${person.name} · ${person.id}`),
    !person.bot && h("button", { type: "button", class: "button primary", onclick: () => { dialog.close(); context.become(person.id); } }, `Play ${person.display}`),
    h("label", { class: "modal-field" }, h("span", {}, "Nickname"), nick),
    h("fieldset", {}, h("legend", {}, "Roles, as an admin would give them"), boxes),
    h("div", { class: "row" },
      h("button", { class: "button primary" }, "Save"),
      !person.owner && h("button", { type: "button", class: "button danger", onclick: () => act(api.leave(guild, person.id)) }, "Make them leave"),
      h("button", { type: "button", class: "button secondary", onclick: () => dialog.close() }, "Close")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = boxes.map((label) => label.firstChild).filter((box) => box.checked).map((box) => box.value);
    act(api.edit(guild, person.id, { nick: nick.value || null, roles: [...managed, ...chosen] }));
  });
  dialog.replaceChildren(form);
  dialog.showModal();
}
