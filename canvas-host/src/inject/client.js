(() => {
  "use strict";

  // The bridge: what a page sends reaches the app whose web view shows it, when there is one.
  const HANDLER = "openclawCanvasA2UIAction";

  const postMessage = (payload) => {
    try {
      const raw = typeof payload === "string" ? payload : JSON.stringify(payload);
      const apple = globalThis.webkit?.messageHandlers?.[HANDLER];
      if (typeof apple?.postMessage === "function") {
        apple.postMessage(raw);
        return true;
      }
      const android = globalThis[HANDLER];
      if (typeof android?.postMessage === "function") {
        android.postMessage(raw);
        return true;
      }
    } catch {
      // A page must not break because nobody listens.
    }
    return false;
  };

  // crypto.randomUUID exists in secure contexts only, and a page on the LAN is none.
  const newId = () => {
    if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  };

  const sendUserAction = (action) => {
    const id = action?.id ? String(action.id) : newId();
    return postMessage({ userAction: { ...action, id } });
  };

  globalThis.OpenClaw = Object.assign(globalThis.OpenClaw ?? {}, { postMessage, sendUserAction });
  globalThis.openclawPostMessage = postMessage;
  globalThis.openclawSendUserAction = sendUserAction;

  // Live reload. After a lost connection the page may be out of date, so it is loaded anew.
  const FIRST_DELAY = 250;
  const LAST_DELAY = 10_000;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  let lost = false;
  let delay = FIRST_DELAY;

  const connect = () => {
    let socket;
    try {
      socket = new WebSocket(`${scheme}://${location.host}/__openclaw__/ws`);
    } catch {
      return;
    }
    socket.onopen = () => {
      delay = FIRST_DELAY;
      if (lost) location.reload();
    };
    socket.onmessage = (event) => {
      if (event.data === "reload") location.reload();
    };
    socket.onclose = () => {
      lost = true;
      setTimeout(connect, delay * (0.75 + Math.random() / 2));
      delay = Math.min(delay * 2, LAST_DELAY);
    };
  };
  connect();
})();
