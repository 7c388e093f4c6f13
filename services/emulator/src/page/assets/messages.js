// The messages of a channel: text, embeds, attachments, components.
import { avatar, h, hex, reconcile } from "./dom.js";
import { inline, markdown } from "./markdown.js";
import { component } from "./components.js";

const clock = (text) => new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** Keeps the newest message in sight for as long as the reader has not scrolled up, also when the log changes its size or an image loads. */
export function stayAtBottom(log) {
  log.stuck = true;
  log.addEventListener("scroll", () => { log.stuck = log.scrollHeight - log.scrollTop - log.clientHeight < 80; });
  const follow = () => { if (log.stuck) log.scrollTop = log.scrollHeight; };
  new ResizeObserver(follow).observe(log);
  // The events of images do not bubble.
  for (const event of ["load", "error"]) log.addEventListener(event, follow, true);
}

/** Shows the messages of a channel. */
export function showMessages(log, channel, context) {
  const atBottom = log.stuck || log.dataset.channel !== channel.id;
  log.dataset.channel = channel.id;
  reconcile(log, [...channel.messages, ...context.notes(channel.id)], (item) => item.id, (item) => message(item, context));
  if (atBottom) log.scrollTop = log.scrollHeight;
}

function message(item, context) {
  if (item.note) return note(item, context);
  const name = item.author_name;
  const onlyMe = (item.flags & 64) !== 0;
  const waiting = (item.flags & 128) !== 0;
  const body = [
    item.interaction_metadata && h("p", { class: "replying" }, `${item.interaction_user ?? "someone"} used `,
      h("span", { class: "mention" }, item.interaction_name ? `/${item.interaction_name}` : "a component")),
    h("header", {},
      h("span", { class: "author role-color", style: item.author_color && `--role:${hex(item.author_color)}` }, name),
      item.author.bot && h("span", { class: "tag" }, "APP"),
      h("time", { datetime: item.timestamp }, clock(item.timestamp)),
      item.edited_timestamp && h("span", { class: "edited" }, "(edited)")),
    waiting ? h("p", { class: "thinking" }, `${name} is thinking`, h("span", { class: "dots", "aria-hidden": "true" }, "…")) : null,
    item.kind_text ? h("p", { class: "system" }, item.kind_text) : null,
    item.content && markdown(item.content, context.names),
    item.attachments.map(attachment),
    item.embeds.map((embed) => showEmbed(embed, context.names)),
    item.components.map((part) => component(part, item, context)),
    item.reactions?.length ? h("div", { class: "reactions" }, item.reactions.map((r) => h("span", {}, `${r.emoji.name} ${r.count}`))) : null,
    onlyMe && h("p", { class: "only-me" }, "Only you can see this · ",
      h("button", { type: "button", class: "link", onclick: () => context.dismiss(item.id) }, "Dismiss")),
  ];
  return h("article", { class: onlyMe ? "message ephemeral" : "message", "aria-label": `${name}, ${clock(item.timestamp)}` },
    avatar(item.author.id, name), h("div", { class: "body" }, body));
}

/** A notice of the client, such as "The application did not respond". */
function note(item, context) {
  return h("article", { class: "message ephemeral failed" },
    h("span", { class: "avatar", "aria-hidden": "true" }, "!"),
    h("div", { class: "body" },
      h("p", {}, item.note),
      h("p", { class: "only-me" }, "Only you can see this · ",
        h("button", { type: "button", class: "link", onclick: () => context.dismiss(item.id) }, "Dismiss"))));
}

function attachment(file) {
  if (file.content_type?.startsWith("image/")) {
    return h("figure", { class: "attachment" },
      h("img", { src: file.url, alt: file.description ?? file.filename, loading: "lazy" }));
  }
  return h("p", { class: "attachment" }, h("a", { href: file.url, target: "_blank", rel: "noopener" }, file.filename),
    ` ${Math.max(1, Math.round(file.size / 1024))} KB`);
}

/** An embed, as a figure with its colour on the left. */
export function showEmbed(embed, names) {
  const image = (media, kind) => media && h("img", { class: kind, src: media.url, alt: media.description ?? "", loading: "lazy" });
  return h("section", { class: "embed", style: embed.color ? `--bar:${hex(embed.color)}` : undefined, "aria-label": embed.title ?? "Embed" },
    image(embed.thumbnail, "thumbnail"),
    embed.author && h("p", { class: "embed-author" }, embed.author.name),
    embed.title && h("h3", {}, embed.url ? h("a", { href: embed.url, target: "_blank", rel: "noopener noreferrer" }, embed.title) : inline(embed.title, names)),
    embed.description && markdown(embed.description, names),
    embed.fields?.length ? h("dl", {}, embed.fields.map((field) =>
      h("div", { class: field.inline ? "inline" : "wide" }, h("dt", {}, inline(field.name, names)), h("dd", {}, markdown(field.value, names))))) : null,
    image(embed.image, "image"),
    (embed.footer || embed.timestamp) && h("footer", {},
      [embed.footer?.text, embed.timestamp && new Date(embed.timestamp).toLocaleString()].filter(Boolean).join(" • ")));
}
