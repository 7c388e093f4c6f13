// The wallet page: choose a wallet, sign one text, done.
//
// `state` has everything; `render` shows it. The service decides: this page only carries its message to the wallet and the
// signature back.

import { askToMove, readMessage, readSession, RequestError, sendSignature } from "./api.js";
import { startClock } from "./clock.js";
import * as panels from "./panels.js";
import { chainName, ENDED, networkName, shortAddress, walletError } from "./texts.js";
import { announce, showAccount } from "./view.js";
import { chainNumber, chainOf, connect, firstAddress, isContract, sign, switchChain, Wallets } from "./wallets.js";

const POLL_OPEN = 10_000;
const POLL_CONSENT = 3_000;

const state = {
  /** The service's answer, or null while it loads. */
  session: null,
  /** Why there is no session to sign in: a key of ENDED. */
  ended: null,
  /** The service's text for it. */
  endedText: null,
  /** The service could not be reached at load. */
  failure: null,
  wallet: null,
  address: null,
  chainId: null,
  /** Set when the owner goes on without the session's chain. */
  anyChain: false,
  contract: false,
  message: null,
  /** A signature that could not be delivered yet. */
  unsent: null,
  /** What runs: "connect", "switch", "sign", "send", "move". */
  busy: null,
  notice: null,
};

const wallets = new Wallets();
const clock = startClock(() => end("expired"));

function set(changes) {
  Object.assign(state, changes);
  panels.render(state, wallets.found, handlers);
}

function end(reason, endedText = null) {
  if (state.ended !== null || state.session?.state === "completed") return;
  clock.stop();
  set({ ended: reason, endedText, busy: null, notice: null });
  announce(ENDED[reason][0]);
}

/** Shows a problem, and announces it. */
function report(text, changes = {}) {
  set({ busy: null, notice: text, ...changes });
  announce(text);
}

/** Handles an error of the service; true when it ended the session. */
function refused(error, changes = {}) {
  if (!(error instanceof RequestError)) throw error;
  // The signature may have been accepted although its answer was lost.
  if (error.code === "already_used") return void load();
  if (error.code in ENDED) return void end(error.code, error.message);
  report(error.message, changes);
}

async function load() {
  try {
    const session = await readSession();
    clock.set(session.seconds_left);
    showAccount(session.account, networkName(session.account.network));
    const changes = { session, failure: null };
    if (session.state !== "open") Object.assign(changes, { busy: null, notice: null, unsent: null });
    // Nothing is rendered when nothing changed: a screen reader would lose its place.
    if (session.state !== state.session?.state) set(changes);
    if (session.state in ENDED) end(session.state);
    if (session.state === "completed") clock.stop();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    if (error.code in ENDED) return end(error.code, error.message);
    if (state.session === null) set({ failure: error.message });
  }
}

/** Another page or a button may change the session: it is read again while the page is visible. */
async function poll() {
  const waits = state.session?.state === "awaiting_consent";
  setTimeout(poll, waits ? POLL_CONSENT : POLL_OPEN);
  const over = state.ended !== null || state.session?.state === "completed";
  if (over || document.hidden || state.session === null || state.busy === "send" || state.busy === "move") return;
  const before = state.session.state;
  await load();
  if (waits && before !== state.session.state && state.session.state === "completed") announce("Your wallet is linked.");
}

let listening = null;
/** Number of `chainChanged` events so far. */
let chainEvents = 0;

/** Follows the account and chain of the chosen wallet. */
function listen(provider) {
  if (listening?.provider === provider) return;
  listening?.stop();
  const accounts = (list) => chooseAddress(firstAddress(list));
  const chain = (id) => {
    chainEvents += 1;
    set({ chainId: chainNumber(id), anyChain: false, notice: null });
    if (state.chainId === state.session.chain_id) announce(`The wallet is on ${chainName(state.chainId)}.`);
  };
  provider.on?.("accountsChanged", accounts);
  provider.on?.("chainChanged", chain);
  listening = {
    provider,
    stop() {
      provider.removeListener?.("accountsChanged", accounts);
      provider.removeListener?.("chainChanged", chain);
    },
  };
}

async function chooseAddress(address) {
  if (address?.toLowerCase() === state.address?.toLowerCase() && state.message !== null) return;
  if (address === null) {
    listening?.stop();
    listening = null;
    return report("The wallet no longer shares an account with this page.", { wallet: null, address: null, message: null });
  }
  const changed = state.address !== null;
  set({ address, message: null, unsent: null, notice: null, contract: false });
  try {
    const { message } = await readMessage(address, state.session.chain_id);
    if (state.address !== address) return;
    set({ message });
    announce(`${changed ? "The account changed. " : ""}Wallet ${shortAddress(address)} is connected. Next: sign the message.`);
  } catch (error) {
    refused(error, { address: null });
    return;
  }
  const contract = await isContract(state.wallet.provider, address);
  if (contract && state.address === address) set({ contract });
}

const handlers = {
  search() {
    wallets.search();
    const count = wallets.found.length;
    announce(count === 0 ? "No wallet was found." : `${count} found.`);
  },

  retryLoad() {
    set({ failure: null });
    load();
  },

  async choose(wallet) {
    wallets.search();
    set({ wallet, busy: "connect", notice: null, address: null, message: null, anyChain: false });
    announce(`Waiting for ${wallet.name}.`);
    try {
      const address = await connect(wallet.provider);
      if (state.wallet !== wallet) return;
      if (address === null) return report("The wallet shared no account. Choose one in the wallet and try again.");
      const chainId = await chainOf(wallet.provider).catch(() => null);
      set({ chainId, busy: null });
      listen(wallet.provider);
      await chooseAddress(address);
    } catch (error) {
      if (state.wallet === wallet) report(walletError(error));
    }
  },

  back() {
    listening?.stop();
    listening = null;
    set({ wallet: null, address: null, message: null, unsent: null, busy: null, notice: null });
  },

  async switchChain() {
    set({ busy: "switch", notice: null });
    announce("Waiting for the wallet to switch.");
    try {
      const before = chainEvents;
      await switchChain(state.wallet.provider, state.session.chain_id);
      const chainId = await chainOf(state.wallet.provider);
      // An event that came meanwhile is newer than this answer.
      set(chainEvents === before ? { chainId, busy: null } : { busy: null });
    } catch (error) {
      report(walletError(error));
    }
  },

  anyChain() {
    set({ anyChain: true, notice: null });
  },

  async sign() {
    const { wallet, address, message } = state;
    set({ busy: "sign", notice: null });
    announce(`Waiting for your signature in ${wallet.name}.`);
    let signature;
    try {
      signature = await sign(wallet.provider, message, address);
    } catch (error) {
      if (state.address === address) report(walletError(error));
      return;
    }
    // The session ended, or the account changed, while the wallet was open.
    if (state.ended !== null || state.address !== address || state.busy !== "sign") return;
    await handlers.send({ address, message, signature });
  },

  async send(unsent = state.unsent) {
    set({ busy: "send", notice: null, unsent });
    announce("Checking the signature.");
    try {
      const progress = await sendSignature(unsent.address, unsent.message, unsent.signature);
      finish(progress);
    } catch (error) {
      // Only what may succeed later is kept: a refused signature stays refused.
      refused(error, { unsent: error.retry ? unsent : null });
    }
  },

  async move() {
    set({ busy: "move", notice: null });
    try {
      finish(await askToMove());
    } catch (error) {
      refused(error);
    }
  },

  async copyLink() {
    try {
      await navigator.clipboard.writeText(location.href);
      report("The link is copied.", {});
    } catch {
      report("Copying is not allowed here. Copy the link from the address bar.");
    }
  },
};

const FINISHED = {
  completed: "Your wallet is linked.",
  signed: "Another member holds this wallet.",
  awaiting_consent: "The member who holds this wallet was asked.",
};

function finish(progress) {
  const session = { ...state.session, state: progress.state, address: progress.address };
  set({ session, busy: null, unsent: null, notice: null });
  if (progress.state === "completed") clock.stop();
  announce(FINISHED[progress.state]);
}

wallets.addEventListener("change", () => panels.render(state, wallets.found, handlers));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && state.session !== null && state.ended === null && state.busy === null) load();
});
panels.render(state, wallets.found, handlers);
load();
setTimeout(poll, POLL_OPEN);
