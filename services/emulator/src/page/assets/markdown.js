// Discord's Markdown, the part that bots use, into DOM nodes.
import { h, hex } from "./dom.js";

const INLINE = [
  [/^```(?:\w+\n)?([\s\S]+?)```/, (m) => h("pre", {}, h("code", {}, m[1].replace(/^\n/, "")))],
  [/^`([^`]+)`/, (m) => h("code", {}, m[1])],
  [/^\*\*([\s\S]+?)\*\*(?!\*)/, (m, names) => h("strong", {}, inline(m[1], names))],
  [/^__([\s\S]+?)__/, (m, names) => h("u", {}, inline(m[1], names))],
  [/^~~([\s\S]+?)~~/, (m, names) => h("s", {}, inline(m[1], names))],
  [/^\*([^*\s][^*]*?)\*/, (m, names) => h("em", {}, inline(m[1], names))],
  [/^_([^_\s][^_]*?)_(?!\w)/, (m, names) => h("em", {}, inline(m[1], names))],
  [/^\|\|([\s\S]+?)\|\|/, (m, names) => h("details", { class: "spoiler" }, h("summary", {}, "spoiler"), inline(m[1], names))],
  [/^\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/, (m, names) => link(m[2], inline(m[1], names))],
  [/^<(https?:\/\/[^\s>]+)>/, (m) => link(m[1], m[1])],
  [/^https?:\/\/[^\s<]+[^\s<.,:;"')\]]/, (m) => link(m[0], m[0])],
  [/^<@!?(\d+)>/, (m, names) => mention(`@${names.user(m[1])}`)],
  [/^<@&(\d+)>/, (m, names) => mention(`@${names.role(m[1]).name}`, hex(names.role(m[1]).color))],
  [/^<#(\d+)>/, (m, names) => mention(`#${names.channel(m[1])}`)],
  [/^<\/([\w -]+):\d+>/, (m) => mention(`/${m[1]}`)],
  [/^<t:(-?\d+)(?::([tTdDfFR]))?>/, (m) => time(Number(m[1]), m[2] ?? "f")],
  [/^<a?:(\w+):\d+>/, (m) => h("span", { class: "emoji" }, `:${m[1]}:`)],
  [/^\\([^A-Za-z0-9\s])/, (m) => m[1]],
];

const link = (url, text) => h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text);
const mention = (text, color) => h("span", { class: "mention", style: color && `color:${color}` }, text);

const STYLES = {
  t: { timeStyle: "short" }, T: { timeStyle: "medium" }, d: { dateStyle: "short" }, D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" }, F: { dateStyle: "full", timeStyle: "short" },
};

function time(seconds, style) {
  const date = new Date(seconds * 1000);
  const text = style === "R" ? relative(seconds - Date.now() / 1000) : date.toLocaleString(undefined, STYLES[style]);
  return h("time", { datetime: date.toISOString(), title: date.toLocaleString() }, text);
}

function relative(seconds) {
  const units = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

/** Inline text: bold, code, links, mentions, timestamps. */
export function inline(text, names) {
  const nodes = [];
  let plain = "";
  for (let rest = text; rest; ) {
    const rule = INLINE.find(([pattern]) => pattern.test(rest));
    if (rule) {
      if (plain) nodes.push(plain);
      plain = "";
      const match = rule[0].exec(rest);
      nodes.push(rule[1](match, names));
      rest = rest.slice(match[0].length);
    } else {
      const letter = String.fromCodePoint(rest.codePointAt(0));
      plain += letter;
      rest = rest.slice(letter.length);
    }
  }
  if (plain) nodes.push(plain);
  return nodes.flat();
}

/** Whole text: the blocks (headings, quotes, lists, code) and what is inside of them. */
export function markdown(text, names) {
  const blocks = [];
  const parts = text.split(/(```[\s\S]+?```)/);
  for (const part of parts) {
    if (part.startsWith("```") && part.length > 6) blocks.push(...inline(part, names));
    else for (const line of part.split("\n")) blocks.push(block(line, names));
  }
  return h("div", { class: "markdown" }, blocks);
}

function block(line, names) {
  let match;
  if ((match = /^(#{1,3}) (.+)/.exec(line))) return h("p", { class: `heading-${match[1].length}` }, inline(match[2], names));
  if ((match = /^-# (.+)/.exec(line))) return h("p", { class: "small" }, inline(match[1], names));
  if ((match = /^> ?(.*)/.exec(line))) return h("blockquote", {}, inline(match[1], names));
  if ((match = /^(\s*)[-*] (.+)/.exec(line))) return h("p", { class: `item depth-${match[1].length > 0 ? 2 : 1}` }, inline(match[2], names));
  if ((match = /^(\d+\.) (.+)/.exec(line))) return h("p", { class: "item numbered", dataset: { number: match[1] } }, inline(match[2], names));
  return line.trim() ? h("p", {}, inline(line, names)) : h("p", { class: "empty" });
}
