// Requests to the service. The page's own path ends in the session's token.

const base = location.pathname.replace(/\/+$/, "");
const TIME_LIMIT = 30_000;

/** A refusal of the service, or no response (`code` is "no_response"). The message is for the member. */
export class RequestError extends Error {
  constructor(code, message, retry) {
    super(message);
    this.code = code;
    /** Whether the same request may succeed later. */
    this.retry = retry;
  }
}

async function request(path, body) {
  const options = { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(TIME_LIMIT) };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  let response;
  let answer;
  try {
    response = await fetch(`${base}/${path}`, options);
    answer = await response.json();
  } catch {
    const message = "The service did not respond. Nothing was lost. Check your connection and try again.";
    throw new RequestError("no_response", message, true);
  }
  if (response.ok) return answer;
  const message = answer?.message ?? "The service refused the request.";
  throw new RequestError(answer?.code ?? `http_${response.status}`, message, response.status === 429 || response.status >= 500);
}

export const readSession = () => request("session");
export const readMessage = (address, chainId) => request("message", { address, chain_id: chainId });
export const sendSignature = (address, message, signature) => request("signature", { address, message, signature });
export const askToMove = () => request("move", {});
