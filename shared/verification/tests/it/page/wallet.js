// A wallet for tests: announces itself by EIP-6963 and sends every request to the test's server, which signs with a real key.
(() => {
  const listeners = new Map();
  const provider = {
    async request({ method, params }) {
      const response = await fetch("/test/wallet", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ method, params: params ?? [] }),
      });
      const { result, error, emit } = await response.json();
      if (emit) this.emit(...emit);
      if (error) throw Object.assign(new Error(error.message), { code: error.code });
      return result;
    },
    on(name, listener) {
      listeners.set(name, [...(listeners.get(name) ?? []), listener]);
    },
    removeListener(name, listener) {
      listeners.set(name, (listeners.get(name) ?? []).filter((each) => each !== listener));
    },
    emit(name, value) {
      for (const listener of listeners.get(name) ?? []) listener(value);
    },
  };
  window.testWallet = provider;
  const icon = "data:image/svg+xml," + encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><script>window.hacked = true</script>' +
    '<rect width="32" height="32" rx="8" fill="#2f6f8f"/><path d="M9 12h14v10H9z" fill="#fff"/></svg>');
  const info = { uuid: "6f1b2c1e-0f4d-4c53-9a3f-6b1f0a8d7c11", name: "Fremen Wallet", icon, rdns: "example.fremen" };
  const announce = () =>
    window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
  /* MODE */
})();
