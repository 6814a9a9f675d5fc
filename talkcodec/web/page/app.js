// SPDX-License-Identifier: Apache-2.0
// What the page shows of the program's state, and what it asks for when somebody acts.

import { Graph } from "./graph.js";
import { Media } from "./media.js";
import { Program } from "./program.js";

const get = (id) => document.getElementById(id);
const graphs = {
  sent: new Graph(get("sent-graph"), "You send"),
  received: new Graph(get("received-graph"), "You receive"),
};
const REASONS = {
  no_face: "no face", covered: "the lens is covered", second_face: "a second face",
  hidden_face: "something before the face", new_object: "something new", unsure: "not sure of the face",
  another_person: "another person", stale: "the picture is out of date",
};
let state = { phase: "idle" };
let before = null; // the last table of figures
let answered = null; // takes the program's description

const program = new Program({ open, gone, hello, state: stand, figures, media, trouble });
const view = new Media(show, (sdp) => new Promise((resolve, reject) => {
  answered = { resolve, reject };
  program.say("media", { sdp });
}), open);

// What the program says.

async function open() {
  get("program").textContent = "Connected to the program";
  trouble({ text: "" });
  if (!view.stream.getTracks().length) await capture();
  try {
    await view.connect();
  } catch (error) {
    trouble({ text: `No picture from the program: ${error.message}` });
  }
}

function gone(why) {
  get("program").textContent = why;
}

function hello({ h264, place, room, answers }) {
  const levels = { "h264-payload": h264.payload, "h264-wire": h264.wire };
  for (const graph of Object.values(graphs)) graph.compare(levels);
  get("source").textContent = `H.264: ${h264.payload} kbit/s of payload, ${h264.wire} on the wire: ${h264.source}.`;
  if (place === "paste") get("way").value = answers ? "answer" : "offer";
  else if (/^wss?:/.test(place)) get("way").value = "room";
  else get("way").value = place.startsWith("listen:") ? "listen" : "post";
  if (place !== "paste") get("place").value = place;
  get("room").value = room;
  choose();
}

function media({ sdp }) {
  answered?.resolve(sdp);
  answered = null;
}

function trouble({ text }) {
  if (text) answered?.reject(new Error(text));
  answered = null;
  get("trouble").textContent = text;
}

function stand(next) {
  const was = state;
  state = next;
  const talking = next.phase === "talking";
  const meeting = next.phase === "meeting";
  document.querySelector("main").dataset.phase = next.phase;
  press("mute", next.muted);
  press("mark", next.mark);
  press("video", next.video);
  get("leave").disabled = next.phase === "idle";
  get("meet").hidden = talking;
  get("opened").hidden = !(meeting && next.room);
  write("code", next.room);
  get("lines").hidden = !(meeting && get("way").value.match(/offer|answer/));
  get("ours-field").hidden = !next.line;
  if (get("ours").value !== next.line) get("ours").value = next.line;
  get("words-section").hidden = !talking;
  write("words", next.words);
  write("told", meeting && !next.told ? "Waiting for the other side …" : next.told);
  get("meeting").hidden = talking;
  describe(next, talking);
  slide(Math.round(next.loss * 100));
  if (talking && was.phase !== "talking") get("leave").focus();
  if (next.phase === "idle" && was.phase === "talking") get("call").focus();
}

function describe(next, talking) {
  const names = { motion: "Motion: the face is drawn", video: "Ordinary video" };
  get("mode").dataset.mode = next.mode ?? "none";
  write("mode", talking ? names[next.mode] : "No call");
  get("synthesised").hidden = !(talking && next.mode === "motion" && before?.frames_shown);
  const reason = REASONS[next.reason];
  const how = next.sends === "video" ? "You send ordinary video" : "You send motion";
  get("sends").hidden = !talking;
  write("sends", talking ? how + (reason ? ` (${reason})` : "") : "");
  get("muted").hidden = !next.muted;
}

function figures(now) {
  const last = before;
  before = now;
  // A new call begins at nothing.
  if (state.phase !== "talking" || !last || now.sent_wire < last.sent_wire) {
    if (state.phase === "meeting") for (const graph of Object.values(graphs)) graph.clear();
    return;
  }
  const seconds = now.at - last.at;
  const rate = (name) => Math.max(((now[name] - last[name]) * 8) / 1000 / seconds, 0);
  for (const [side, graph] of Object.entries(graphs)) {
    // What of ordinary video that comes is payload, nobody counts.
    const unknown = side === "received" && state.mode === "video";
    const rates = { payload: unknown ? null : rate(`${side}_payload`), wire: rate(`${side}_wire`) };
    graph.add(rates);
    write(`n-${side}-payload`, rates.payload?.toFixed(1) ?? "–");
    write(`n-${side}-wire`, rates.wire.toFixed(1));
    write(`n-${side}-sound`, rate(`${side}_sound`).toFixed(1));
  }
  const frames = (name) => ((now[name] - last[name]) / seconds).toFixed(0);
  write("n-frames-sent", `${frames("frames_sent")}/s`);
  write("n-frames-shown", `${frames("frames_shown")}/s`);
  const loss = now.loss === null ? "–" : `${(100 * now.loss).toFixed(0)} %`;
  const rtt = now.rtt === null ? "–" : `${(1000 * now.rtt).toFixed(0)} ms`;
  write("path", `Path: loss ${loss}, round trip ${rtt}; ${now.freezes} freezes over 0.2 s, ${now.concealed} frames made up.`);
}

// Only what differs is written, or screen readers would read it again.
function write(id, text) {
  if (get(id).textContent !== (text ?? "")) get(id).textContent = text ?? "";
}

function press(id, on) {
  get(id).setAttribute("aria-pressed", String(on));
}

function slide(percent) {
  if (document.activeElement !== get("loss")) get("loss").value = percent;
  write("loss-value", `${get("loss").value} %`);
}

// Pictures and devices.

async function capture() {
  const said = await view.capture(get("camera").value, get("microphone").value);
  get("self").srcObject = view.stream;
  if (said) trouble({ text: said });
  await list();
}

async function list() {
  const devices = await view.devices();
  const kinds = { camera: "videoinput", microphone: "audioinput", speaker: "audiooutput" };
  for (const [id, kind] of Object.entries(kinds)) {
    const chosen = get(id).value;
    const found = devices.filter((device) => device.kind === kind);
    const options = found.map((device, index) => new Option(device.label || `${id} ${index + 1}`, device.deviceId));
    get(id).replaceChildren(...(options.length ? options : [new Option(`no ${id}`, "")]));
    if (found.some((device) => device.deviceId === chosen)) get(id).value = chosen;
    get(id).disabled = !options.length;
  }
  get("speaker-field").hidden = !("setSinkId" in HTMLMediaElement.prototype);
}

async function show(stream) {
  get("peer").srcObject = stream;
  try {
    await get("peer").play();
    get("play").hidden = true;
  } catch (error) {
    // Browsers let no page make sound before somebody has touched it.
    get("play").hidden = error.name !== "NotAllowedError";
  }
}

// What people do.

function choose() {
  const way = get("way").value;
  const names = { room: "Server", post: "Address", listen: "Listen at" };
  const examples = { room: "wss://example.org", post: "https://example.org/", listen: "listen:127.0.0.1:8080" };
  get("place-field").hidden = !(way in names);
  get("room-field").hidden = way !== "room";
  write("place-label", names[way]);
  get("place").placeholder = examples[way] ?? "";
}

function meet(event) {
  event.preventDefault();
  const way = get("way").value;
  const pasting = way === "offer" || way === "answer";
  const place = pasting ? "paste" : get("place").value.trim();
  get("theirs").value = "";
  trouble({ text: "" });
  program.say("meet", {
    place, room: way === "room" ? get("room").value.trim() : "", answers: way === "answer",
  });
}

function toggle(id, name) {
  get(id).addEventListener("click", () => {
    program.say(name, { on: get(id).getAttribute("aria-pressed") !== "true" });
  });
}

function copy(button, source) {
  get(button).addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source());
      write("told", "Copied.");
    } catch {
      trouble({ text: "The browser does not let this page copy: select the text instead." });
    }
  });
}

toggle("mute", "mute");
toggle("mark", "mark");
toggle("video", "video");
copy("copy-code", () => get("code").textContent);
copy("copy-line", () => get("ours").value);
get("way").addEventListener("change", choose);
get("meet").addEventListener("submit", meet);
get("leave").addEventListener("click", () => program.say("leave"));
get("take").addEventListener("submit", (event) => {
  event.preventDefault();
  program.say("line", { text: get("theirs").value.trim() });
});
get("mirror").addEventListener("click", () => {
  const on = get("mirror").getAttribute("aria-pressed") !== "true";
  press("mirror", on);
  get("self").dataset.mirror = String(on);
});
get("beside").addEventListener("click", () => {
  const on = get("beside").getAttribute("aria-pressed") !== "true";
  press("beside", on);
  get("stage").dataset.layout = on ? "beside" : "inset";
});
get("loss").addEventListener("input", () => {
  write("loss-value", `${get("loss").value} %`);
  program.say("loss", { part: Number(get("loss").value) / 100 });
});
get("camera").addEventListener("change", capture);
get("microphone").addEventListener("change", capture);
get("speaker").addEventListener("change", () => get("peer").setSinkId(get("speaker").value));
get("play").addEventListener("click", () => show(get("peer").srcObject));
navigator.mediaDevices?.addEventListener("devicechange", list);
choose();
program.start();
