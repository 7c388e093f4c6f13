// Texts that depend on a code.

const CHAINS = new Map([
  [1, "Ethereum"],
  [10, "OP Mainnet"],
  [56, "BNB Smart Chain"],
  [100, "Gnosis"],
  [137, "Polygon"],
  [8453, "Base"],
  [42161, "Arbitrum One"],
  [80069, "Berachain Bepolia"],
  [80094, "Berachain"],
]);

export const chainName = (id) => (id === null ? "an unknown chain" : (CHAINS.get(id) ?? `chain ${id}`));

export const shortAddress = (address) => `${address.slice(0, 8)}…${address.slice(-6)}`;

/** Text for an error of a wallet, by the codes of EIP-1193 and EIP-1474. */
export function walletError(error) {
  // Some wallets wrap the code of another one.
  const code = error?.data?.originalError?.code ?? error?.code;
  switch (code) {
    case 4001:
    case "ACTION_REJECTED":
      return "You declined the request in your wallet. Nothing was signed. You can try again.";
    case -32002:
      return "Your wallet has an open request already. Open the wallet, answer or close that request, and try again.";
    case 4100:
      return "Your wallet does not allow this page to use the account. Connect it again, or choose the account in the wallet.";
    case 4200:
    case -32601:
      return "Your wallet cannot do this. Try another wallet.";
    case 4900:
    case 4901:
      return "Your wallet is not connected to its network. Check the wallet and try again.";
    case 4902:
      return "Your wallet does not have this chain. Add it in the wallet, or sign without switching.";
    default: {
      const text = String(error?.message ?? "").slice(0, 200);
      const detail = [code === undefined ? "" : `code ${code}`, text].filter(Boolean).join(": ");
      return `Your wallet reported an error${detail ? ` (${detail})` : ""}. Try again.`;
    }
  }
}

/** What a session that accepts no signature shows: title, text; without a text, that of the service. */
export const ENDED = {
  unknown_session: ["This link is not valid", "It may be incomplete. Open the newest link that you got."],
  expired: ["This link has expired", "Links work for 15 minutes."],
  replaced: ["There is a newer link", "A newer link replaced this one. Use the newest one."],
  refused: [
    "The wallet stays where it is",
    "The member who holds this wallet did not agree to move it. You can link another wallet.",
  ],
  already_used: ["This link was used", "A link accepts one signature. For another wallet you need a new link."],
  account_suspended: ["Your account is suspended", null],
  too_many_attempts: ["Too many attempts", "This link accepts no further signature."],
};
ENDED.holder_refused = ENDED.refused;

const COMMANDS = {
  discord: "Type /verify start in Discord to begin again.",
  telegram: "Send /verify to the bot in Telegram to begin again.",
};
export const beginAgain = (network) => COMMANDS[network] ?? "Start the verification again where you got this link.";

export const networkName = (network) => ({ discord: "Discord", telegram: "Telegram" })[network] ?? network;

export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
}
