// Choosing a portrait and a driver: drop one, browse, use the camera, or take what is there.

import { photograph, recordDriver } from "./camera.js";
import { errorBox, h, icon, showError } from "./dom.js";
import { BUNDLED, imageOf, store } from "./store.js";

/** A file of the user's, dropped on an element or chosen in a dialog. */
function takesFiles(element, accept, label, bring) {
  const error = errorBox();
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "sending" });
  const take = async (blob, name) => {
    if (!blob) return;
    showError(error, null);
    bar.hidden = false;
    bar.removeAttribute("value");
    try {
      await bring(blob, name, (share) => {
        if (share < 1) bar.value = share;
        else bar.removeAttribute("value"); // it is looked at now
      });
    } catch (problem) {
      showError(error, problem);
    }
    bar.hidden = true;
  };
  const input = h("input", { type: "file", accept, class: "unseen", tabindex: -1,
    "aria-label": label });
  input.addEventListener("change", () => {
    take(input.files[0], input.files[0]?.name);
    input.value = "";
  });
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("drop");
  });
  element.addEventListener("dragleave", () => element.classList.remove("drop"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("drop");
    const file = event.dataTransfer.files[0];
    take(file, file?.name);
  });
  const button = h("button", { type: "button", class: "choice add", title: label,
    "aria-label": label, onclick: () => input.click() }, icon("plus"));
  return { error, bar, input, button, take };
}

function cameraButton(label, onclick) {
  return h("button", { type: "button", class: "choice add", title: label, "aria-label": label,
    onclick }, icon("camera"));
}

function removeButton(item, remove, error) {
  return h("button", { type: "button", class: "link", onclick: async () => {
    try {
      await remove();
    } catch (problem) {
      showError(error, problem);
    }
  } }, `Remove ${item}`);
}

/** The card in which a portrait, and a face in it, is chosen; a small one shows faces alone. */
export function portraitPicker(card, isSmall = false) {
  const shown = h("div", { class: "shown" });
  const choices = h("div", { class: "choices", role: "group", "aria-label": "Portraits" });
  const files = takesFiles(card, "image/*", "Add a picture",
    (blob, name, tell) => store.bringPicture(blob, name, tell));
  const camera = cameraButton("Take a picture with the camera", async () => {
    files.take(await photograph(), "camera.jpg");
  });
  const hint = h("p", { class: "hint" });
  card.append(h("header", {}, h("h2", {}, "Portrait"), h("span", { class: "hint" },
    "drop a picture here")), shown, hint, choices, files.bar, files.error, files.input);

  function render() {
    const picture = store.picture;
    const frame = h("div", { class: "frame-of" }, h("img", { src: imageOf(picture, 640),
      alt: `Portrait: ${picture.name}` }));
    const many = picture.faces.length > 1;
    const chosen = store.face ?? 0;
    if (many) {
      picture.faces.forEach((box, index) => {
        const [left, top, right, bottom] = box;
        const face = h("button", { type: "button", class: "face", "aria-label":
          `Face ${index + 1} of ${picture.faces.length}`, "aria-pressed": String(index === chosen),
        onclick: () => store.choosePicture(picture, index) });
        Object.assign(face.style, {
          left: `${100 * left / picture.width}%`, top: `${100 * top / picture.height}%`,
          width: `${100 * (right - left) / picture.width}%`,
          height: `${100 * (bottom - top) / picture.height}%`,
        });
        frame.append(face);
      });
    }
    shown.replaceChildren(frame);
    shown.hidden = isSmall && !many;
    const isBundled = picture.id === BUNDLED.picture;
    hint.replaceChildren();
    if (many) hint.append(`${picture.faces.length} faces: choose one. `);
    if (!picture.faces.length) {
      hint.append("No face was found: use a picture that shows one from the front. ");
    }
    if (!isBundled) {
      hint.append(removeButton(picture.name, () => store.removePicture(picture), files.error));
    }
    choices.replaceChildren(...store.pictures.map((other) => h("button", {
      type: "button", class: "choice", "aria-pressed": String(other === picture),
      "aria-label": `Use ${other.name}`, title: other.name,
      onclick: () => store.choosePicture(other),
    }, h("img", { src: imageOf(other, 128), alt: "" }))), files.button, camera);
  }
  store.addEventListener("picture", render);
}

/** The card in which a driver is chosen. */
export function driverPicker(card) {
  const shown = h("div", { class: "shown" });
  const choices = h("div", { class: "choices", role: "group", "aria-label": "Motions" });
  const hint = h("p", { class: "hint" });
  const files = takesFiles(card, "video/*,image/gif,image/webp,.safetensors", "Add a video",
    (blob, name, tell) => store.bringDriver(blob, name, tell));
  const camera = cameraButton("Record the motion with the camera", async () => {
    files.take(await recordDriver(store.about.limits.max_seconds), "camera.webm");
  });
  card.append(h("header", {}, h("h2", {}, "Motion"), h("span", { class: "hint" },
    "drop a video here")), shown, hint, choices, files.bar, files.error, files.input);

  function render() {
    const driver = store.driver;
    const length = `${driver.seconds.toFixed(1)} s, ${driver.frames} frames`;
    const src = `/api/drivers/${driver.id}/video`;
    const label = `Driver: ${driver.name}`;
    if (driver.kind === "track") {
      shown.replaceChildren(h("div", { class: "motion" }, icon("motion"), h("div", {},
        h("p", {}, h("strong", {}, driver.name)), h("p", {}, `${length}; a recorded motion`))));
    } else if (driver.media_type.startsWith("image/")) {
      shown.replaceChildren(h("img", { src, alt: label }));
    } else {
      shown.replaceChildren(h("video", { src, muted: true, loop: true, controls: true,
        playsInline: true, "aria-label": label }));
    }
    hint.replaceChildren();
    if (driver.id !== BUNDLED.driver) {
      hint.append(driver.kind === "track" ? "" : `${length}. `,
        removeButton(driver.name, () => store.removeDriver(driver), files.error));
    }
    choices.replaceChildren(...store.drivers.map((other) => h("button", {
      type: "button", class: "choice", "aria-pressed": String(other === driver),
      "aria-label": `Use ${other.name}`, title: other.name,
      onclick: () => store.chooseDriver(other),
    }, icon(other.kind === "track" ? "motion" : "video"))), files.button, camera);
  }
  store.addEventListener("driver", render);
}
