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
  const { status } = response;
  throw new RequestError(answer?.code ?? `http_${status}`, answer?.message ?? refusalText(status), status === 429 || status >= 500);
}

/** The text of a refusal that has none for the member: a limit, or a request that was not handled in time. */
function refusalText(status) {
  if (status === 429) return "There are too many requests from your network. Nothing was lost. Wait a minute and try again.";
  if (status >= 500) return "The service is busy. Nothing was lost: try again in a moment.";
  return "The service refused the request.";
}

export const readSession = () => request("session");
export const readMessage = (address, chainId) => request("message", { address, chain_id: chainId });
export const sendSignature = (address, message, signature) => request("signature", { address, message, signature });
export const askToMove = () => request("move", {});
