// Requests of the page. Reads use /page; actions use the control API, as a script does.

async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  const answer = text ? JSON.parse(text) : null;
  if (!response.ok) throw new Error([answer?.error, answer?.what_to_do].filter(Boolean).join(" — ") || response.statusText);
  return answer;
}

const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString();

export const view = (place) => call("GET", `/page/view?${query(place)}`);
export const everyone = () => call("GET", "/page/everyone");
export const send = (guild, channel, user, content) =>
  guild
    ? call("POST", `/control/guilds/${guild}/channels/${channel}/messages`, { user_id: user, content })
    : call("POST", `/control/dms/${channel}/messages`, { user_id: user, content });
export const interact = (body) => call("POST", "/control/interactions", body);
export const interaction = (id, wait = 2500) => call("GET", `/control/interactions/${id}?wait_ms=${wait}`);
export const join = (guild, body) => call("POST", `/control/guilds/${guild}/members`, body);
export const leave = (guild, user) => call("DELETE", `/control/guilds/${guild}/members/${user}`);
export const edit = (guild, user, body) => call("PATCH", `/control/guilds/${guild}/members/${user}`, body);

/** Calls `changed` after changes, at most ten times a second. */
export function onChange(changed) {
  const source = new EventSource("/page/changes");
  source.onmessage = changed;
  source.onopen = changed;
  return source;
}

export const recentTraffic = () => call("GET", "/page/traffic");
export const traffic = () => new EventSource("/control/traffic");
