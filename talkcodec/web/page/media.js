// SPDX-License-Identifier: Apache-2.0
// Camera, microphone, and the local connection by which the program gets them and gives a picture.

const VIDEO = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30, max: 30 } };
const SOUND = { echoCancellation: true, noiseSuppression: true, channelCount: 1 };
// kbit/s: there is no network on the way, so quality need not be found out slowly.
const START = 2500;
const LEAST = 1200;

function briskly(sdp) {
  const line = (number) =>
    `a=fmtp:${number} x-google-start-bitrate=${START};x-google-min-bitrate=${LEAST}\r\n`;
  return sdp.replace(/a=rtpmap:(\d+) VP8\/90000\r\n/, (found, number) => found + line(number));
}

export class Media {
  // show: given the stream of the other side; exchange: carries our description, returns theirs;
  // lost: called when the connection is gone and another one is needed.
  constructor(show, exchange, lost) {
    this.show = show;
    this.exchange = exchange;
    this.lost = lost;
    this.stream = new MediaStream();
    this.connection = null;
  }

  // Ask for camera and microphone; what cannot be had is left out. Returns what went wrong, or "".
  async capture(camera, microphone) {
    const wish = (constraints, id) => (id ? { ...constraints, deviceId: { exact: id } } : constraints);
    const wishes = [
      { video: wish(VIDEO, camera), audio: wish(SOUND, microphone) },
      { video: wish(VIDEO, camera) },
      { audio: wish(SOUND, microphone) },
    ];
    for (const track of this.stream.getTracks()) track.stop();
    let trouble = "";
    for (const constraints of wishes) {
      try {
        this.stream = await navigator.mediaDevices.getUserMedia(constraints);
        await this.replace();
        return trouble;
      } catch (error) {
        trouble ||= `No camera or no microphone: ${error.message || error.name}.`;
      }
    }
    this.stream = new MediaStream();
    return trouble;
  }

  track(kind) {
    return this.stream.getTracks().find((track) => track.kind === kind) ?? null;
  }

  async devices() {
    return navigator.mediaDevices.enumerateDevices();
  }

  // Connect with the program anew.
  async connect() {
    this.connection?.close();
    const connection = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
    this.connection = connection;
    const incoming = new MediaStream();
    connection.onconnectionstatechange = () => {
      if (connection === this.connection && connection.connectionState === "failed") this.lost();
    };
    connection.ontrack = ({ track }) => incoming.addTrack(track);
    for (const kind of ["video", "audio"]) {
      const track = this.track(kind);
      connection.addTransceiver(track ?? kind, { direction: "sendrecv" });
    }
    await connection.setLocalDescription();
    await gathered(connection);
    const sdp = await this.exchange(connection.localDescription.sdp);
    await connection.setRemoteDescription({ type: "answer", sdp: briskly(sdp) });
    this.show(incoming);
  }

  async replace() {
    for (const { sender, receiver } of this.connection?.getTransceivers() ?? []) {
      await sender.replaceTrack(this.track(receiver.track.kind));
    }
  }
}

function gathered(connection) {
  if (connection.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => connection.iceGatheringState === "complete" && resolve();
    connection.addEventListener("icegatheringstatechange", done);
    setTimeout(resolve, 3000);
  });
}
