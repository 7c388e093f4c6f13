// The panels of the page: one for each state, each with one primary action.

import { beginAgain, chainName, ENDED, networkName } from "./texts.js";
import { actions, address, button, el, facts, mark, notice, show, showStep, steps, waiting, wallet } from "./view.js";

// Some browsers of phones and tablets report a desktop: those are recognised by their touch screen.
const PHONE =
  navigator.userAgentData?.mobile === true ||
  /Android|iPhone|iPad|iPod/.test(navigator.userAgent) ||
  matchMedia("(hover: none) and (pointer: coarse)").matches;

/** Shows the panel of a state. */
export function render(state, found, handlers) {
  const { session, ended, failure } = state;
  if (ended !== null) return showEnded(state);
  if (failure !== null) return showFailure(failure, handlers);
  if (session === null) return show("", "Loading…");
  if (session.state === "completed") return showDone(session);
  if (session.state === "signed") return showHeld(state, handlers);
  if (session.state === "awaiting_consent") return showConsent(session);
  if (state.address !== null) return showSign(state, handlers);
  showStep("choose");
  if (found.length === 0) return showNoWallet(state, handlers);
  showChoice(state, found, handlers);
}

function showEnded({ ended, endedText, session }) {
  const [title, text] = ENDED[ended];
  // A suspended member can begin again, and is refused again.
  const next = ended === "account_suspended" ? null : el("p", {}, beginAgain(session?.account.network));
  showStep(null);
  show("ended", title, mark(ended === "expired" ? "expired" : "ended"), el("p", {}, text ?? endedText), next);
}

function showFailure(failure, { retryLoad }) {
  showStep(null);
  show("failure", "This page could not load", el("p", {}, failure), actions(button("Try again", retryLoad, "primary")));
}

function showDone(session) {
  const network = networkName(session.account.network);
  showStep("done");
  show(
    "done",
    "Your wallet is linked",
    mark("good"),
    facts([
      ["Wallet", address(session.address)],
      [network, session.account.name],
    ]),
    el("p", {}, `You can close this page and go back to ${network}. Your roles follow within seconds.`),
  );
}

function showHeld({ session, busy, notice: text }, { move }) {
  showStep("sign");
  const asks = busy === "move";
  show(
    "held",
    "Another member holds this wallet",
    el("p", {}, "You have shown that the wallet is yours, but it is linked to another account."),
    facts([["Wallet", address(session.address)]]),
    el("p", {}, "It moves to you when the other account agrees. We send it a message with two buttons. If that account is yours too, answer there."),
    notice(text),
    asks ? waiting("Sending the question…") : actions(button("Ask to move the wallet", move, "primary")),
    el("p", {}, `To link another wallet instead: ${lowerFirst(beginAgain(session.account.network))}`),
  );
}

function showConsent(session) {
  showStep("sign");
  show(
    "consent",
    "Waiting for the other account",
    el("p", {}, "We asked the member who holds this wallet. Keep this page open: it shows the answer. Without an answer, the wallet stays where it is."),
    facts([["Wallet", address(session.address)]]),
    waiting("No answer yet"),
  );
}

function showNoWallet({ notice: text }, { search, copyLink }) {
  if (!PHONE) {
    return show(
      "none",
      "No wallet found in this browser",
      el("p", {}, "Install or unlock your wallet's extension and search again. Or copy the link and open it in the browser of your wallet app on a phone."),
      notice(text, true),
      actions(button("Search again", search, "primary"), button("Copy the link", copyLink)),
    );
  }
  // No link that opens a wallet: such links pass through hosts of others, and the address of this page is a secret.
  show(
    "none",
    "Open this page in your wallet",
    el("p", {}, "A wallet app shows its wallet only to its own browser. Copy the link and open it in your wallet app's browser."),
    steps(
      "Copy the link.",
      "Open your wallet app, and its browser there. It is often called Browser, Explore or Discover.",
      "Paste the link into the address bar of that browser and open it.",
    ),
    el("p", {}, "The link is secret: give it to no one."),
    notice(text, true),
    actions(button("Copy the link", copyLink, "primary"), button("Search again", search, "quiet")),
  );
}

function showChoice({ busy, wallet: chosen, notice: text }, found, { choose, back, search }) {
  if (busy === "connect") {
    return show(
      "connect",
      `Open ${chosen.name}`,
      el("p", {}, "Agree there to share your account's address with this page. This signs nothing."),
      waiting("Waiting for your wallet"),
      actions(button("Choose another wallet", back, "quiet")),
    );
  }
  const one = found.length === 1;
  show(
    "choose",
    one ? "Connect your wallet" : "Choose your wallet",
    el("p", {}, "Connecting shows this page your address and nothing else."),
    notice(text),
    actions(
      ...found.map((each) => wallet(one ? { ...each, name: `Connect ${each.name}` } : each, () => choose(each), one)),
      button("Search for more wallets", search, "quiet"),
    ),
  );
}

function showSign(state, handlers) {
  const { session, chainId, anyChain, notice: text } = state;
  const network = networkName(session.account.network);
  showStep("sign");
  const rows = [
    ["Wallet", address(state.address)],
    [network, session.account.name],
    ["Chain", chainName(session.chain_id)],
  ];
  if (chainId !== session.chain_id && !anyChain) return showChain(state, rows, handlers);
  const details = state.message && el(
    "details",
    {},
    el("summary", {}, "Read the whole message"),
    el("pre", { tabIndex: 0, ariaLabel: "Message to sign" }, state.message),
  );
  show("sign", "Sign the message", el("p", {}, signingText(network)), facts(rows), details, notice(text), ...signActions(state, handlers));

}

const signingText = (network) =>
  `Your wallet shows one text with this website, your ${network} account and the time until which it is valid. Signing it is free.`;

function signActions(state, { sign, send, back }) {
  const other = button("Use another wallet", back, "quiet");
  switch (state.busy) {
    case "sign":
      return [
        waiting("Waiting for your signature"),
        state.contract
          ? notice("This wallet is a contract. If it has several owners, keep this page open until all have signed: the signature arrives only then.", true)
          : el("p", {}, "Open your wallet if it does not come up by itself."),
        actions(other),
      ];
    case "send":
      return [waiting(state.contract ? "Checking the signature with the wallet's contract" : "Checking the signature")];
    default:
      if (state.message === null) return [waiting("Preparing the message"), actions(other)];
      if (state.unsent !== null) return [actions(button("Send the signature again", () => send(), "primary"), other)];
      return [actions(button("Sign the message", sign, "primary"), other)];
  }
}

function showChain({ session, chainId, busy, notice: text }, rows, { switchChain, anyChain, back }) {
  const wanted = chainName(session.chain_id);
  show(
    "chain",
    `Switch to ${wanted}`,
    el("p", {}, `Your wallet is on ${chainName(chainId)}. A wallet that is a contract, such as a Safe, can be checked on ${wanted} only. Switching is free and moves nothing.`),
    facts(rows),
    notice(text),
    busy === "switch"
      ? waiting("Waiting for your wallet")
      : actions(
          button(`Switch to ${wanted}`, switchChain, "primary"),
          button("Sign without switching", anyChain),
          button("Use another wallet", back, "quiet"),
        ),
  );
}

const lowerFirst = (text) => text.charAt(0).toLowerCase() + text.slice(1);
