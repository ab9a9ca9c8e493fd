// Live: camera pictures go out over a WebSocket, portraits come back; at most two are on their way.

import { openCamera, stopCamera, toJpeg } from "./camera.js";
import { sliders, toggle } from "./controls.js";
import { errorBox, h, place, showError } from "./dom.js";
import { portraitPicker } from "./pickers.js";
import { imageOf, store } from "./store.js";

const MAX_IN_FLIGHT = 2;
const CAMERA_LONGEST = 480; // pixels of what is sent: enough for a face
const SHOWN_EVERY_MS = 500;
const UNPLUGGED = "the camera gives no pictures any more: connect it, and start again";
const LOST = "the connection was lost: is fnevr still running?";
const SAID_WHY = [4409, 4500]; // codes with which the server ends a session, after an error

export class LiveRoom {
  constructor(room, showJob) {
    this.showJob = showJob;
    this.sent = new Map(); // when each picture that is on its way was sent
    portraitPicker(place("portraits", room), true);
    this.addControls(place("live-controls", room), place("live-options", room));
    this.addStream(place("live-stream", room));
    this.addStage(place("live-stage", room));
    store.addEventListener("picture", () => {
      this.still.src = imageOf(store.picture);
      this.tell({ type: "set", portrait: store.picture.id, ...store.faceOption });
    });
  }

  addControls(card, more) {
    const change = () => this.tell(this.settings());
    this.mirror = toggle("Move as in a mirror", "mirror", true, () => {
      this.self.classList.toggle("mirrored", this.mirror.get());
      change();
    });
    this.neutral = h("button", { type: "button", disabled: true, title:
      "Look into the camera as in the portrait, then press it",
    onclick: () => this.tell({ type: "neutral" }) }, "This is my neutral look ", h("kbd", {}, "N"));
    this.record = h("button", { type: "button", disabled: true, "aria-pressed": "false",
      onclick: () => this.tell({ type: "record", on: !this.isRecording }) },
    "Record ", h("kbd", {}, "R"));
    this.note = h("p", { class: "hint", role: "status" });
    card.append(h("header", {}, h("h2", {}, "Camera")), h("div", { class: "row" }, this.neutral,
      this.record), this.note, this.mirror.element);
    this.regions = sliders("How much goes over", store.about.regions, change);
    this.faces = sliders("An expression on top", store.about.sliders, change);
    more.append(this.regions.element, this.faces.element, h("button", { type: "button",
      onclick: () => { this.regions.reset(); this.faces.reset(); change(); } }, "Reset"));
  }

  addStream(card) {
    const address = new URL(store.about.stream, location.href).href;
    card.append(h("p", { class: "hint" }, "OBS and other programs read the live picture at this "
      + "address (as a browser or media source) while the camera runs:"),
    h("code", { class: "address" }, address),
    h("div", { class: "row" }, h("button", { type: "button", onclick: () =>
      navigator.clipboard?.writeText(address) }, "Copy")),
    store.about.virtual_camera
      ? h("p", { class: "hint" }, "It is shown as a virtual camera, too.")
      : h("p", { class: "hint" }, "To have it as a camera in video calls, start ",
        h("code", {}, "fnevr web --virtual-camera"), "."));
  }

  addStage(stage) {
    this.canvas = h("canvas", { width: 512, height: 512, class: "fit", hidden: true, role: "img",
      "aria-label": "The live portrait" });
    this.still = h("img", { class: "fit", alt: "" });
    this.self = h("video", { class: "self mirrored", autoplay: true, muted: true, playsInline: true,
      hidden: true, "aria-label": "What the camera sees" });
    this.numbers = h("span", { class: "badge numbers", hidden: true });
    this.lost = h("span", { class: "badge right", hidden: true, role: "status" },
      "No face in the camera");
    this.error = errorBox();
    this.start = h("button", { type: "button", class: "primary", onclick: () => this.begin() },
      "Start the camera");
    this.over = h("div", { class: "over" }, h("h2", {}, "Be this portrait"),
      h("p", {}, "It moves as you do before the camera. Once it runs, look straight ahead, relaxed, "
        + "and press N or the button for it: that is your neutral look."), this.start, this.error);
    this.stop = h("button", { type: "button", hidden: true, onclick: () => this.end() },
      "Stop the camera");
    this.screen = h("div", { class: "screen" }, this.still, this.canvas, this.self,
      this.numbers, this.lost, this.over);
    this.problem = errorBox();
    stage.append(this.screen, this.problem, h("div", { class: "row" }, this.stop));
  }

  key(event) {
    const buttons = { n: this.neutral, r: this.record };
    buttons[event.key.toLowerCase()]?.click();
  }

  enter() {}

  leave() {
    this.end();
  }

  settings() {
    return { type: "set", regions: this.regions.values(), sliders: this.faces.values(),
      mirror: this.mirror.get() };
  }

  tell(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  async begin() {
    showError(this.error, null);
    showError(this.problem, null);
    this.start.disabled = true;
    const attempt = this.attempt = {}; // end() forgets it
    let stream;
    try {
      stream = await openCamera();
    } catch (problem) {
      if (this.attempt === attempt) this.end(problem);
      return;
    }
    if (this.attempt !== attempt) { // we left meanwhile
      stopCamera(stream);
      return;
    }
    this.stream = this.self.srcObject = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      if (this.stream === stream) this.end(new Error(UNPLUGGED));
    });
    this.self.hidden = false;
    this.start.textContent = "Preparing the portrait…";
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/live`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => this.tell({ ...this.settings(), portrait: store.picture.id,
      ...store.faceOption });
    socket.onmessage = (event) => this.hear(event.data);
    socket.onclose = (event) => {
      if (this.socket !== socket) return; // we left ourselves
      this.end(SAID_WHY.includes(event.code) ? null : new Error(LOST));
    };
  }

  hear(data) {
    if (typeof data !== "string") {
      this.show(data);
      return;
    }
    const message = JSON.parse(data);
    const answers = {
      ready: () => {
        showError(this.problem, null);
        this.run();
      },
      dropped: () => this.arrived(message.number),
      unseen: () => { this.arrived(message.number); this.lost.hidden = false; },
      face: () => { this.lost.hidden = message.seen; },
      neutral: () => {
        this.note.textContent = message.taken ? "Your neutral look is taken."
          : "No face was seen: look into the camera, and press it again.";
      },
      recording: () => this.setRecording(true),
      recorded: () => {
        this.setRecording(false);
        if (!message.job) return;
        this.note.replaceChildren("Recorded: ", h("a", { href:
          `/api/jobs/${message.job}/result.mp4?download=true`, download: "" }, "save the video"));
        this.showJob(message.job, false);
      },
      error: () => {
        if (this.isRunning) showError(this.problem, message.error);
        else this.end(message.error);
      },
    };
    answers[message.type]?.();
  }

  setRecording(isOn) {
    this.isRecording = isOn;
    this.record.setAttribute("aria-pressed", String(isOn));
    this.record.firstChild.textContent = isOn ? "Stop recording " : "Record ";
  }

  run() {
    if (this.isRunning) return;
    this.isRunning = true;
    this.number = 0;
    this.latencies = [];
    this.times = [];
    this.over.hidden = this.still.hidden = true;
    this.canvas.hidden = this.numbers.hidden = this.stop.hidden = false;
    this.neutral.disabled = this.record.disabled = false;
    this.timer = setInterval(() => this.showNumbers(), SHOWN_EVERY_MS);
    this.pump();
  }

  /** Send the camera's newest picture whenever there is room for one on the way. */
  async pump() {
    const socket = this.socket;
    while (this.isRunning && this.socket === socket) {
      if (this.sent.size < MAX_IN_FLIGHT && this.self.videoWidth) {
        const number = this.number++;
        this.sent.set(number, performance.now());
        const jpeg = await toJpeg(this.self, CAMERA_LONGEST);
        if (socket.readyState !== WebSocket.OPEN) break;
        const message = new Uint8Array(4 + jpeg.size);
        new DataView(message.buffer).setUint32(0, number, true);
        message.set(new Uint8Array(await jpeg.arrayBuffer()), 4);
        socket.send(message);
      }
      await new Promise((resolve) => {
        this.haveRoom = resolve;
        if (this.self.requestVideoFrameCallback) this.self.requestVideoFrameCallback(resolve);
        setTimeout(resolve, 40); // where the camera stands still, or the page is hidden
      });
    }
  }

  /** Send the next picture at once, not with the camera's next one. */
  arrived(number) {
    this.sent.delete(number);
    this.haveRoom?.();
  }

  async show(data) {
    const number = new DataView(data).getUint32(0, true);
    const sent = this.sent.get(number);
    this.arrived(number);
    const bitmap = await createImageBitmap(new Blob([data.slice(4)], { type: "image/jpeg" }));
    if (number >= (this.newest ?? 0)) {
      this.newest = number;
      this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
    }
    const now = performance.now();
    if (sent) this.latencies.push(now - sent);
    this.times.push(now);
    this.latencies.splice(0, this.latencies.length - 30);
    this.times.splice(0, this.times.length - 30);
  }

  showNumbers() {
    if (this.times.length < 2) return;
    const span = this.times.at(-1) - this.times[0];
    const rate = (this.times.length - 1) / span * 1000;
    const latency = [...this.latencies].sort((a, b) => a - b)[this.latencies.length >> 1];
    this.numbers.textContent = `${rate.toFixed(1)} frames/s · ${latency.toFixed(0)} ms`;
  }

  /** Stop, and say why if it was not wanted. */
  end(problem = null) {
    clearInterval(this.timer);
    this.attempt = null;
    const socket = this.socket;
    this.socket = null;
    if (this.isRecording) this.finishRecording(socket);
    else socket?.close();
    stopCamera(this.stream);
    this.stream = this.self.srcObject = null;
    this.isRunning = false;
    this.newest = 0;
    this.sent.clear();
    this.setRecording(false);
    this.over.hidden = this.still.hidden = false;
    this.canvas.hidden = this.numbers.hidden = this.lost.hidden = this.stop.hidden = true;
    this.self.hidden = this.neutral.disabled = this.record.disabled = true;
    this.start.disabled = false;
    this.start.textContent = "Start the camera";
    showError(this.error, problem);
  }

  /** Wait for the recording, and close the connection then. */
  finishRecording(socket) {
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string" || JSON.parse(data).type !== "recorded") return;
      this.hear(data);
      socket.close();
    };
    socket.send(JSON.stringify({ type: "record", on: false }));
  }
}
