// Finds the wallets of the browser.
//
// EIP-6963: each wallet announces itself when the page asks, and some only later: an in-app browser may insert its script after
// the page has loaded. So the page asks at load and on each press, and keeps listening. EIP-1193's `window.ethereum` is the
// fall-back: it is whichever wallet was first, and is shown only when none announces itself.

const MAX_ICON = 200_000;
const MAX_NAME = 60;

export class Wallets extends EventTarget {
  #announced = new Map();

  constructor() {
    super();
    window.addEventListener("eip6963:announceProvider", (event) => this.#add(event.detail));
    window.addEventListener("ethereum#initialized", () => this.#changed());
    this.search();
  }

  /** Asks wallets to announce themselves. Answers arrive as `change` events. */
  search() {
    window.dispatchEvent(new Event("eip6963:requestProvider"));
    this.#changed();
  }

  /** The wallets found so far: `{ id, name, icon, provider }`. */
  get found() {
    const announced = [...this.#announced.values()];
    const fallback = window.ethereum;
    if (announced.length > 0 || typeof fallback?.request !== "function") return announced;
    return [{ id: "window.ethereum", name: "Browser wallet", icon: null, provider: fallback }];
  }

  #add(detail) {
    const { info, provider } = detail ?? {};
    if (typeof provider?.request !== "function" || typeof info?.uuid !== "string") return;
    // A wallet announces the same provider again at each search.
    for (const [id, known] of this.#announced) {
      if (known.provider === provider && id !== info.uuid) return;
    }
    const icon = typeof info.icon === "string" && info.icon.startsWith("data:image/") && info.icon.length < MAX_ICON;
    this.#announced.set(info.uuid, {
      id: info.uuid,
      name: String(info.name ?? "Wallet").slice(0, MAX_NAME) || "Wallet",
      // Shown by <img> only: scripts in an SVG do not run there.
      icon: icon ? info.icon : null,
      provider,
    });
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** The account that the wallet gives the page, after its owner agrees. */
export async function connect(provider) {
  const accounts = await provider.request({ method: "eth_requestAccounts" });
  return firstAddress(accounts);
}

export function firstAddress(accounts) {
  const first = Array.isArray(accounts) ? accounts[0] : undefined;
  return typeof first === "string" && /^0x[0-9a-f]{40}$/i.test(first) ? first : null;
}

export function chainNumber(chainId) {
  const number = Number(chainId);
  return Number.isSafeInteger(number) && number > 0 ? number : null;
}

export async function chainOf(provider) {
  return chainNumber(await provider.request({ method: "eth_chainId" }));
}

export async function switchChain(provider, chainId) {
  const parameters = [{ chainId: `0x${chainId.toString(16)}` }];
  await provider.request({ method: "wallet_switchEthereumChain", params: parameters });
}

/** Signs with `personal_sign`: the text's UTF-8 bytes in hexadecimal, then the address. */
export async function sign(provider, message, address) {
  const bytes = new TextEncoder().encode(message);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return provider.request({ method: "personal_sign", params: [`0x${hex}`, address] });
}

/** Whether the account is a contract, whose owners may take a while to sign. An account of EIP-7702 signs by its key. */
export async function isContract(provider, address) {
  try {
    const code = await provider.request({ method: "eth_getCode", params: [address, "latest"] });
    return typeof code === "string" && code.length > 2 && !code.toLowerCase().startsWith("0xef0100");
  } catch {
    return false;
  }
}
