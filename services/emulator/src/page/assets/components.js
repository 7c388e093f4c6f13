// Components of a message: buttons and selects that send an interaction, and the layout parts of the second version.
import { h, hex } from "./dom.js";
import { markdown } from "./markdown.js";

const STYLES = { 1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link-button", 6: "primary" };

/** One component by its type. Unknown types are shown as such. */
export function component(part, message, context) {
  const inner = (list) => (list ?? []).map((child) => component(child, message, context));
  switch (part.type) {
    case 1: return h("div", { class: "row" }, inner(part.components));
    case 2: return button(part, message, context);
    case 3: case 5: case 6: case 7: case 8: return select(part, message, context);
    case 9: return h("div", { class: "section" }, h("div", {}, inner(part.components)), part.accessory && component(part.accessory, message, context));
    case 10: return markdown(part.content, context.names);
    case 11: return h("img", { class: "thumbnail", src: part.media.url, alt: part.description ?? "" });
    case 12: return h("div", { class: "gallery" }, part.items.map((item) => h("img", { src: item.media.url, alt: item.description ?? "" })));
    case 13: return h("p", {}, h("a", { href: part.file.url }, part.file.url));
    case 14: return h("hr", { class: part.divider === false ? "space" : "" });
    case 17: return h("div", { class: "embed", style: part.accent_color ? `--bar:${hex(part.accent_color)}` : undefined }, inner(part.components));
    default: return h("p", { class: "hint" }, `(a component of type ${part.type}, which this page does not draw)`);
  }
}

const face = (part) => [part.emoji?.name && !part.emoji.id ? `${part.emoji.name} ` : "", part.label ?? ""].join("").trim();

function button(part, message, context) {
  const props = { class: `button ${STYLES[part.style] ?? "secondary"}`, dataset: { focus: `c:${part.custom_id ?? part.url}` } };
  if (part.style === 5) {
    return part.disabled
      ? h("span", { ...props, "aria-disabled": "true" }, face(part))
      : h("a", { ...props, href: part.url, target: "_blank", rel: "noopener noreferrer" }, `${face(part)} ↗`);
  }
  const press = (event) => context.press(message, part.custom_id, undefined, event.currentTarget);
  return h("button", { ...props, type: "button", disabled: part.disabled, onclick: press, "aria-label": face(part) || part.custom_id }, face(part) || "…");
}

/** Options of a select: those of a string select, or users, roles and channels of the server. */
function choices(part, context) {
  switch (part.type) {
    case 3: return part.options.map((option) => ({ value: option.value, label: option.label, note: option.description, chosen: option.default }));
    case 5: return context.people();
    case 6: return context.roles();
    case 7: return [...context.people(), ...context.roles()];
    default: return context.channels(part.channel_types);
  }
}

function select(part, message, context) {
  const most = part.max_values ?? 1;
  const list = choices(part, context);
  const options = list.map((choice) =>
    h("option", { value: choice.value, selected: choice.chosen }, choice.note ? `${choice.label} — ${choice.note}` : choice.label));
  const label = part.placeholder ?? "Make a selection";
  const box = h("select", {
    multiple: most > 1, disabled: part.disabled, size: most > 1 ? Math.min(6, list.length) : undefined,
    "aria-label": label, dataset: { focus: `c:${part.custom_id}` },
  }, most > 1 || list.some((choice) => choice.chosen) ? null : h("option", { value: "", disabled: true, selected: true }, label), options);
  const send = () => context.press(message, part.custom_id, [...box.selectedOptions].map((option) => option.value).filter(Boolean), box);
  if (most === 1) {
    box.addEventListener("change", send);
    return box;
  }
  return h("div", { class: "multiple" }, box,
    h("button", { type: "button", class: "button primary", onclick: send }, `Send (${part.min_values ?? 1} to ${most})`));
}
