// The camera: a stream, a photograph, a recorded driver.

import { ApiError } from "./api.js";
import { errorBox, h, showError } from "./dom.js";

const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };

/** Open the camera, or say in plain words why it cannot be opened. */
export async function openCamera(audio = false) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new ApiError("browsers give a camera only to pages on this machine (127.0.0.1) or over "
      + "https: open the page on the machine that runs fnevr");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ video: WANTED, audio });
  } catch (error) {
    if (audio) return openCamera(); // where the microphone is what is missing, or not allowed
    const reasons = {
      NotAllowedError: "the camera is not allowed: allow it for this page in the browser, and try "
        + "again",
      NotFoundError: "no camera is connected: connect one, and try again",
      NotReadableError: "another program uses the camera: close it, and try again",
    };
    throw new ApiError(reasons[error.name] ?? `the camera cannot be opened: ${error.message}`);
  }
}

export const stopCamera = (stream) => stream?.getTracks().forEach((track) => track.stop());

/** Draw what a video shows into a JPEG whose longer side has at most so many pixels. */
export function toJpeg(video, longest, quality = 0.85) {
  const share = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight));
  const canvas = toJpeg.canvas ??= document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * share);
  canvas.height = Math.round(video.videoHeight * share);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}

/** Show the camera in a dialog, with buttons; resolves when it is closed. */
async function inDialog(title, audio, fill) {
  const error = errorBox();
  const video = h("video", { autoplay: true, muted: true, playsInline: true, class: "mirrored" });
  const buttons = h("div", { class: "row" });
  const dialog = h("dialog", { "aria-label": title }, h("h2", {}, title), video, error, buttons);
  document.body.append(dialog);
  dialog.showModal();
  let stream = null;
  const closed = new Promise((resolve) => dialog.addEventListener("close", resolve));
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  buttons.append(cancel);
  try {
    stream = await openCamera(audio);
    video.srcObject = stream;
    if (dialog.open) buttons.prepend(...fill(video, stream, () => dialog.close(), error));
  } catch (problem) {
    video.hidden = true;
    showError(error, problem);
  }
  await closed;
  stopCamera(stream);
  dialog.remove();
}

/** Take a photograph; null if it was cancelled. */
export async function photograph() {
  let taken = null;
  await inDialog("Take a portrait", false, (video, _stream, close) => {
    const button = h("button", { type: "button", class: "primary", disabled: true,
      onclick: async () => {
        taken = await toJpeg(video, 2048, 0.95);
        close();
      } }, "Take it");
    video.addEventListener("loadeddata", () => { button.disabled = false; });
    return [button];
  });
  return taken;
}

/** Record a driver, with sound where there is a microphone; null if it was cancelled. */
export async function recordDriver(maxSeconds) {
  let recorded = null;
  await inDialog("Record the motion", true, (_video, stream, close, error) => {
    let recorder = null;
    let started = 0;
    let ticking = null;
    const button = h("button", { type: "button", class: "primary" }, "Record");
    const chunks = [];
    button.addEventListener("click", () => {
      if (recorder) {
        recorder.stop();
        return;
      }
      try {
        recorder = new MediaRecorder(stream);
        recorder.ondataavailable = (event) => chunks.push(event.data);
        recorder.onstop = () => {
          clearInterval(ticking);
          recorded = new Blob(chunks, { type: recorder.mimeType });
          close();
        };
        recorder.start();
      } catch (problem) {
        showError(error, problem);
        return;
      }
      started = performance.now();
      ticking = setInterval(() => {
        const seconds = (performance.now() - started) / 1000;
        button.textContent = `Stop (${seconds.toFixed(0)} s)`;
        if (seconds > maxSeconds - 1 && recorder.state === "recording") recorder.stop();
      }, 250);
      button.textContent = "Stop (0 s)";
    });
    return [button];
  });
  return recorded;
}
