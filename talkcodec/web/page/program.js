// SPDX-License-Identifier: Apache-2.0
// The wire to the local program: a session for the token in the address, then one WebSocket.

const KEY = "talkcodec-session";
const PROTOCOL = "talkcodec.1";
const AGAIN = 1000; // ms until the next attempt
const POLICY_VIOLATION = 1008;

// Exchange the token in the address for a session, and take it out of the address and the history.
async function openSession() {
  const token = location.hash.slice(1);
  if (!token) return sessionStorage.getItem(KEY);
  history.replaceState(null, "", location.pathname);
  const answer = await fetch("/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  if (!answer.ok) return null;
  const { session } = await answer.json();
  sessionStorage.setItem(KEY, session);
  return session;
}

export class Program {
  // handlers: functions by the type of what the program says; also "open" and "gone" (with why).
  constructor(handlers) {
    this.handlers = handlers;
    this.socket = null;
  }

  async start() {
    let session = null;
    try {
      session = await openSession();
    } catch {
      // No program: told below.
    }
    if (!session) {
      this.handlers.gone("Open the address that talkcodec call --web printed.");
      return;
    }
    this.connect(session);
  }

  connect(session) {
    const socket = new WebSocket(`ws://${location.host}/wire`, [PROTOCOL, `session.${session}`]);
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.socket = socket;
      this.handlers.open();
    };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      this.handlers[message.type]?.(message);
    };
    socket.onclose = (event) => {
      this.socket = null;
      if (event.code === POLICY_VIOLATION) {
        this.handlers.gone(`Disconnected: ${event.reason}.`);
      } else {
        this.handlers.gone(opened ? "The program does not answer." : "No program, or a new one: open the address that it printed.");
        setTimeout(() => this.connect(session), opened ? AGAIN : 5 * AGAIN);
      }
    };
  }

  say(type, fields = {}) {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ type, ...fields }));
      return true;
    }
    return false;
  }
}
